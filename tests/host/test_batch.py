"""Many calls of one command: what is sent, when, and what is left of them however they end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from types import SimpleNamespace, TracebackType
from typing import Any

import pytest

from plugin_host import CallFailed, CallTimeout, PluginHostError
from plugin_host.batch import IN_FLIGHT, call_batch
from plugin_host.bundle import CALLS, FEATURE, METHOD
from plugin_host.link import Link
from plugin_host.metric.call import CallRow, CallTable
from tests.linked import PluginEnd, initialize, linked
from tests.run import Run


def made(*, is_raw: bool = False) -> Any:
    """As much of a plugin as a batch needs."""
    return SimpleNamespace(id="demo", is_raw=is_raw, meter=SimpleNamespace(calls=CallTable(lambda _: True)))


class Attempts:
    """Counts what a link is asked to send."""

    def __init__(self, link: Link) -> None:
        self.methods: list[str] = []
        self._send = link.connection.send_request
        link.connection.send_request = self  # type: ignore[assignment,method-assign]

    def __call__(self, method: str, *rest: Any) -> tuple[int, bytes]:
        self.methods.append(method)
        return self._send(method, *rest)


async def answer_all(plugin: PluginEnd) -> None:
    """Answer whatever comes, until the link ends."""
    while True:
        asked = await plugin.request("command.call")
        await plugin.answer(asked.msgid, {"status": 0, "result": None})


def test_calls_that_cannot_go_together_are_tried_so_once(run: Run) -> None:
    async def body() -> None:
        async with linked(ready=False) as (link, plugin, _):
            await initialize(link, plugin, {"features": [FEATURE]})
            attempts = Attempts(link)
            many = [{"value": object()}] * IN_FLIGHT
            ended = await call_batch(made(), link, "work", many, None, True)
            assert {str(one) for one in ended} == {
                "demo work: cannot send [0].params.value: msgpack cannot carry a builtins.object"
            }
            assert len(ended) == IN_FLIGHT == attempts.methods.count("command.call")
            assert len(attempts.methods) < 1.1 * IN_FLIGHT

    run(body())


def test_others_have_their_turn_while_every_call_is_refused(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, _, _):
            turns: list[int] = []
            taken: list[int] = []

            def source() -> Iterator[Any]:
                asyncio.get_running_loop().call_soon(lambda: turns.append(len(taken)))
                for number in range(4 * IN_FLIGHT):
                    taken.append(number)
                    yield {"value": object()}

            ended = await call_batch(made(), link, "work", source(), None, True)
            assert len(ended) == 4 * IN_FLIGHT
            assert turns == [IN_FLIGHT]

    run(body())


def test_nothing_is_sent_once_the_deadline_has_passed(run: Run) -> None:
    async def body() -> None:
        async with linked(ready=False) as (link, plugin, _):
            await initialize(link, plugin, {"features": [FEATURE]})
            attempts = Attempts(link)
            count = 10 * IN_FLIGHT
            many: list[Any] = [{}] * count
            ended = await call_batch(made(), link, "work", many, 0.2, True)
            assert [type(one) for one in ended] == [CallTimeout] * count
            assert {str(one) for one in ended} == {"demo work: no answer within 0.2 s"}
            assert attempts.methods == [METHOD] * (IN_FLIGHT // CALLS)
            assert link.in_flight == 0

    run(body())


def test_calls_are_told_the_time_that_is_left_when_they_are_sent(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            many: list[Any] = [{}] * (IN_FLIGHT + 1)
            batch = asyncio.create_task(call_batch(made(), link, "work", many, 10.0, False))
            first = await plugin.request("command.call")
            assert first.meta is not None
            await asyncio.sleep(0.02)
            await plugin.answer(first.msgid, {"status": 0, "result": None})
            for _ in range(IN_FLIGHT):
                last = await plugin.request("command.call")
                await plugin.answer(last.msgid, {"status": 0, "result": None})
            assert last.meta is not None
            assert 0 < last.meta["timeout_ms"] <= first.meta["timeout_ms"] - 20
            assert await batch == [None] * (IN_FLIGHT + 1)

    run(body())


def test_nobody_is_told_of_errors_that_a_batch_does_not_want(run: Run) -> None:
    async def body() -> None:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with linked() as (link, plugin, _):
            many: list[Any] = [{}] * 5
            batch = asyncio.create_task(call_batch(made(), link, "work", many, None, False))
            await plugin.request("command.call")
            link.fail_calls(lambda: CallFailed("it is over", name="rpc.cancelled"))
            with pytest.raises(CallFailed, match="it is over"):
                await batch
            del batch
            gc.collect()
            assert told == []

    run(body())


def test_failure_that_is_no_calls_own_leaves_nothing_in_flight(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, _, _):
            plugin, request = made(), link.request
            asked = 0

            def failing(*arguments: Any) -> Any:
                nonlocal asked
                asked += 1
                if asked == 3:
                    raise PluginHostError("no more")
                return request(*arguments)

            link.request = failing  # type: ignore[assignment,method-assign]
            with pytest.raises(PluginHostError, match="no more"):
                await call_batch(plugin, link, "work", [{}] * 5, None, True)
            assert link.in_flight == 0
            figures = plugin.meter.calls.figures()["work"]
            assert (figures["started"], figures["in_flight"]) == (2, 0)

    run(body())


def test_parameters_are_not_asked_whether_they_are_true(run: Run) -> None:
    class Odd:
        def __bool__(self) -> bool:
            raise ValueError("neither")

    async def body() -> None:
        async with linked() as (link, _, _):
            (error,) = await call_batch(made(), link, "work", [Odd()], None, True)
            assert error.name == "rpc.not_encodable"

    run(body())


class Mutex:
    """Knows whether it is held."""

    def __init__(self) -> None:
        self.depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.depth -= 1


@pytest.mark.parametrize("is_ended_early", [False, True])
def test_calls_are_counted_with_the_mutex_of_the_link_held(run: Run, is_ended_early: bool) -> None:
    mutex = Mutex()

    class Row(CallRow):
        def __setattr__(self, name: str, value: Any) -> None:
            assert mutex.depth
            super().__setattr__(name, value)

    async def body() -> None:
        async with linked() as (link, plugin, _):
            link.mutex = mutex
            corked = link.corked

            def exclusively(ask: Any) -> None:
                with mutex:
                    corked(ask)

            link.corked = exclusively  # type: ignore[method-assign]
            demo = made()
            with mutex:
                row = demo.meter.calls["work"] = Row()
            batch = asyncio.create_task(call_batch(demo, link, "work", [{}] * 3, None, True))
            asked = await plugin.request("command.call")
            await plugin.answer(asked.msgid, {"status": 0, "result": None})
            if is_ended_early:
                batch.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await batch
            else:
                answers = asyncio.create_task(answer_all(plugin))
                assert await batch == [None] * 3
                answers.cancel()
            assert row.figures()["finished"] == row.started == 3

    run(body())
