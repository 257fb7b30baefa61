"""Deadlines of calls and the words for what became of them, without a plugin at the other end."""

from __future__ import annotations

import asyncio
import math
import time
from types import SimpleNamespace
from typing import Any

import pytest

from plugin_host.command import call_command
from plugin_host.errors import CallError, CallFailed, CallTimeout
from plugin_host.metric.meter import Meter
from plugin_host.service import Caller, current_caller
from tests.run import Run


class Link:
    """Takes requests and answers each with `outcome`; without one it never answers."""

    def __init__(self, outcome: Any = None) -> None:
        self.outcome = outcome
        self.connection = SimpleNamespace(raw=False)
        self.gathering = 0
        self.sent: list[tuple[str, Any, dict[str, Any] | None, float | None]] = []
        self.abandoned: list[int] = []
        self.requested = asyncio.Event()

    def call(
        self,
        method: str,
        params: Any,
        meta: Any = None,
        deadline: float | None = None,
        on_progress: Any = None,
        name: str | None = None,
    ) -> tuple[int, asyncio.Future[Any]]:
        self.sent.append((method, params, meta, deadline))
        answer = asyncio.get_running_loop().create_future()
        if isinstance(self.outcome, Exception):
            answer.set_exception(self.outcome)
        elif self.outcome is not None:
            answer.set_result(self.outcome)
        self.requested.set()
        return 7, answer

    def survey(self, params: Any) -> None:
        """What a decoder would not take is the connection's to know."""

    def abandon(self, msgid: int) -> None:
        self.abandoned.append(msgid)


OK = {"status": 0, "status_message": "", "result": 42}


async def call(link: Link, params: Any = None, timeout: float | None = None, *, raw: bool = False) -> Any:
    link.connection.raw = raw
    plugin: Any = SimpleNamespace(id="demo", is_raw=raw, meter=Meter())
    stand_in: Any = link
    return await call_command(plugin, stand_in, "work", params, timeout, None)


async def refused(
    link: Link, params: Any = None, timeout: float | None = None, *, raw: bool = False
) -> Any:
    with pytest.raises(CallError) as caught:
        await call(link, params, timeout, raw=raw)
    return caught.value


def test_a_deadline_goes_along_in_milliseconds(run: Run) -> None:
    link, before = Link(OK), time.monotonic()
    assert run(call(link, timeout=1.5)) == 42
    [(method, params, meta, deadline)] = link.sent
    assert (method, params) == ("command.call", {"name": "work", "params": {}})
    assert meta == {"timeout_ms": 1500}
    assert deadline is not None
    assert before + 1.5 <= deadline <= time.monotonic() + 1.5


def test_the_least_of_deadlines_is_a_millisecond(run: Run) -> None:
    link = Link(OK)
    run(call(link, timeout=0.000_01))
    assert link.sent[0][2] == {"timeout_ms": 1}


@pytest.mark.parametrize("timeout", [None, math.inf, 1e300])
def test_a_call_may_wait_for_ever(timeout: float | None, run: Run) -> None:
    link = Link(OK)
    assert run(call(link, timeout=timeout)) == 42
    assert link.sent[0][2:] == (None, None)


def test_a_call_without_time_is_not_sent(run: Run) -> None:
    link = Link(OK)
    error = run(refused(link, timeout=0))
    assert (type(error), error.name, link.sent) == (CallTimeout, "command.timeout", [])


def test_the_outer_calls_deadline_and_chain_go_along(run: Run) -> None:
    link = Link(OK)

    async def nested() -> None:
        current_caller.set(Caller("outer", ("first", "outer"), time.monotonic() + 60))
        await call(link)
        await call(link, timeout=0.5)

    run(nested())
    (_, _, inherited, _), (_, _, shorter, _) = link.sent
    assert inherited is not None
    assert shorter == {"timeout_ms": 500, "chain": ["first", "outer"]}
    assert inherited["chain"] == ["first", "outer"]
    assert 500 < inherited["timeout_ms"] <= 60_000


def test_a_timeout_says_how_long_was_waited(run: Run) -> None:
    late = Link(CallTimeout("no answer", name="command.timeout"))
    error = run(refused(late, timeout=0.25))
    assert str(error) == "demo work: no answer within 0.25 s"
    assert (error.name, error.code) == ("command.timeout", 104)


@pytest.mark.parametrize(
    ("timeout", "reason"),
    [
        (None, "within the deadline of the outer call"),
        (30, "within the deadline of the outer call"),
        (0.5, "within 0.5 s"),
    ],
)
def test_a_timeout_says_whose_deadline_it_was(timeout: float | None, reason: str, run: Run) -> None:
    async def nested() -> Any:
        current_caller.set(Caller("outer", deadline=time.monotonic() + 20))
        return await refused(Link(CallTimeout("no answer", name="command.timeout")), timeout=timeout)

    assert str(run(nested())) == f"demo work: no answer {reason}"


def test_a_timeout_without_a_deadline_keeps_the_plugins_words(run: Run) -> None:
    error = run(refused(Link(CallTimeout("its database is slow", name="rpc.deadline_exceeded"))))
    assert str(error) == "demo work: its database is slow"
    assert error.name == "command.timeout"


def test_a_status_of_the_handlers_own_is_raised_with_its_fields(run: Run) -> None:
    link = Link({"status": 3, "status_message": "not yours", "result": {"path": "/x"}})
    error = run(refused(link))
    assert (type(error), error.name, error.code) == (CallFailed, "command.failed", 3)
    assert (str(error), error.data) == ("demo work: not yours", {"path": "/x"})


@pytest.mark.parametrize("answer", [42, [], {"result": 42}])
def test_an_answer_without_a_status_is_foreign(answer: Any, run: Run) -> None:
    error = run(refused(Link(answer)))
    assert error.name == "rpc.foreign"
    assert "has no status" in str(error)


def test_a_caller_that_is_cancelled_gives_the_request_up(run: Run) -> None:
    link = Link()

    async def cancelled() -> None:
        task = asyncio.create_task(call(link))
        await link.requested.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancelled())
    assert link.abandoned == [7]


@pytest.mark.parametrize(("params", "sent"), [(None, []), ([1, 2], [1, 2]), ((1,), [1])])
def test_a_raw_peer_gets_its_parameters_by_position(params: Any, sent: list[Any], run: Run) -> None:
    link = Link(OK)
    assert run(call(link, params, 1.0, raw=True)) == OK
    [(method, params, meta, deadline)] = link.sent
    assert (method, params, meta) == ("work", sent, None)
    assert deadline is not None


def test_a_raw_peer_has_no_named_parameters(run: Run) -> None:
    link = Link(OK)
    error = run(refused(link, {"a": 1}, raw=True))
    assert (error.name, link.sent) == ("command.bad_request", [])
    assert "its parameters are a list, not dict" in str(error)
