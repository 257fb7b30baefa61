"""What a handler is given, without a runtime: a session in the test takes what it says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from plugin_host_sdk import CallCancelled, CallError, CallTimeout, Context


class Heard:
    """A session that remembers."""

    plugin_id = "demo"

    def __init__(self) -> None:
        self.settings: Mapping[str, Any] = {"colour": "red"}
        self.capabilities: Mapping[str, Any] = {}
        self.said: list[tuple[Any, ...]] = []

    def log(self, level: str, logger: str, message: str, fields: Mapping[str, Any]) -> None:
        self.said.append((level, logger, message, dict(fields)))

    def progress(self, msgid: int, done: float, total: float | None, message: str) -> None:
        self.said.append((msgid, done, total, message))

    def start_call(
        self, ctx: Context, method: str, params: dict[str, Any], answered: Callable[..., object]
    ) -> Callable[[CallError], None]:
        raise AssertionError("nobody starts a call here")

    def call_host(self, ctx: Context, method: str, params: dict[str, Any]) -> Any:
        return [ctx.name, method, params]


def context(**options: Any) -> tuple[Heard, Context]:
    session = Heard()
    return session, Context(session, "work", 7, **options)


def test_it_knows_its_call() -> None:
    _, ctx = context(deadline=5.0, chain=("a", "b"))
    assert (ctx.name, ctx.msgid, ctx.deadline, ctx.chain) == ("work", 7, 5.0, ("a", "b"))
    assert ctx.settings == {"colour": "red"}
    assert repr(ctx) == "<Context of 'work' in demo>"


def test_remaining_is_never_negative_and_none_without_a_deadline() -> None:
    assert context()[1].remaining() is None
    assert context(deadline=time.monotonic() - 5)[1].remaining() == 0.0
    left = context(deadline=time.monotonic() + 60)[1].remaining()
    assert left is not None
    assert 55 < left <= 60


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_log_goes_out_under_the_commands_name(level: str) -> None:
    session, ctx = context()
    getattr(ctx.log, level)("a message", size=3)
    assert session.said == [(level, "demo.work", "a message", {"size": 3})]


def test_log_fields_may_have_any_name() -> None:
    session, ctx = context()
    ctx.log.info("sent", message="hello", self=1, level="high")
    assert session.said == [("info", "demo.work", "sent", {"message": "hello", "self": 1, "level": "high"})]


def test_progress_is_numbers_and_a_text() -> None:
    session, ctx = context()
    ctx.progress(1)
    ctx.progress(0.5, 2, "half")
    assert session.said == [(7, 1, None, ""), (7, 0.5, 2, "half")]


@pytest.mark.parametrize(
    "arguments", [("half",), (None,), (1, "two"), (1, 2, 3), (1, 2, None), (Decimal(1),), ([1],)]
)
def test_progress_that_no_host_takes_is_refused_where_it_is_made(arguments: tuple[Any, ...]) -> None:
    session, ctx = context()
    with pytest.raises(TypeError, match="progress takes numbers and a text"):
        ctx.progress(*arguments)
    assert session.said == []


def test_service_may_have_parameters_of_any_name() -> None:
    _, ctx = context()
    assert ctx.host.call("note", service=1, self=2) == ["work", "host.note", {"service": 1, "self": 2}]


def test_check_passes_until_the_call_is_given_up() -> None:
    _, ctx = context(deadline=time.monotonic() + 60)
    ctx.check()
    ctx.cancelled.set("the caller cancelled")
    with pytest.raises(CallCancelled, match="'work' was cancelled: the caller cancelled"):
        ctx.check()


def test_check_raises_once_the_deadline_has_passed() -> None:
    _, ctx = context(deadline=time.monotonic())
    with pytest.raises(CallTimeout, match="the deadline of 'work' has passed") as caught:
        ctx.check()
    assert caught.value.name == "rpc.deadline_exceeded"


def test_cancelled_is_one_flag() -> None:
    _, ctx = context()
    assert ctx.cancelled is ctx.cancelled
