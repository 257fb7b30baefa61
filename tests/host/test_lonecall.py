"""Calls beside no other, whose answer may be there before the loop has had a turn."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any

import msgpack
import pytest

from plugin_host.callfuture import CallFuture
from plugin_host.eagerness import ROW_S
from plugin_host.errors import CallFailed, CallTimeout
from plugin_host.link import Link
from plugin_host_sdk.events import CancelReceived
from tests.linked import Owner, PluginEnd, linked
from tests.run import Run
from tests.wait import WaitUntil


def ask(link: Link, params: Any = None, *, timeout: float | None = None, on_progress: Any = None) -> Any:
    """The id and the answer, as `call` gives them."""
    deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
    return link.call("work", {} if params is None else params, None, deadline, on_progress, "work")


def answer(link: Link, result: Any, ahead: int = 0) -> bytes:
    """The answer to the next call, or to one that follows on it."""
    return bytes(msgpack.packb([1, link.connection._next_id + ahead, None, result]))


def notice(text: str) -> bytes:
    return bytes(msgpack.packb([2, "log", [{"message": text}]]))


def progress(link: Link) -> bytes:
    report = {"msgid": link.connection._next_id, "done": 1, "total": 2, "message": ""}
    return bytes(msgpack.packb([2, "progress", [report]]))


def said(owner: Owner) -> list[str]:
    return [params["message"] for _, params in owner.notices]


def say(plugin: PluginEnd, data: bytes) -> None:
    """Have it there before anything else happens."""
    assert plugin.socket.send(data) == len(data)


def never_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is."""
    monkeypatch.setattr("plugin_host.lonecall.SLOW_S", 60.0)


async def way_of(link: Link, plugin: PluginEnd) -> str:
    """How the answer to a call came that was there before."""
    say(plugin, answer(link, 7))
    msgid, result = ask(link)
    assert (result if msgid is None else await result) == 7
    return "look" if msgid is None else "loop"


def is_settled(link: Link) -> bool:
    """Nothing is left of any call."""
    return not (link._futures or link.connection.pending or link._progress or link._times or link._untold)


def test_answer_that_is_there_is_the_result_without_a_turn_of_the_loop(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            say(plugin, answer(link, 7))
            assert ask(link, timeout=5, on_progress=print) == (None, 7)
            assert is_settled(link)
            assert (await plugin.request()).params == {}

    run(body())


def test_answer_that_is_not_there_is_waited_for(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            _, future = ask(link)
            assert type(future) is CallFuture
            assert (link.in_flight, link.calls()) == (1, ["work"])
            await plugin.answer((await plugin.request()).msgid, 7)
            assert await future == 7
            assert is_settled(link)

    run(body())


def test_calls_after_one_that_looked_in_vain_do_not_look(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            _, future = ask(link)
            await plugin.answer((await plugin.request()).msgid, 1)
            await future
            assert link._eagerness.pause > 0
            link._eagerness.pause = 3  # it is longer on a busy machine
            for result in range(3):
                say(plugin, answer(link, result))
                msgid, future = ask(link)
                assert msgid is not None
                assert await future == result
            say(plugin, answer(link, 7))
            assert ask(link) == (None, 7)

    run(body())


def test_loop_brings_an_answer_now_and_then_however_quick_they_are(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_slow(monkeypatch)
    monkeypatch.setattr("plugin_host.eagerness.ROW_S", 0.0)

    async def body() -> None:
        async with linked() as (link, plugin, _):
            ways = [await way_of(link, plugin) for _ in range(6)]
            assert ways == ["look", "loop"] * 3

    run(body())


def test_work_of_the_caller_between_its_calls_counts_as_well(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_slow(monkeypatch)

    async def body() -> None:
        async with linked() as (link, plugin, _):
            ways = []
            for _ in range(3):
                ways.append(await way_of(link, plugin))
                begun = time.perf_counter()
                while time.perf_counter() - begun < 2 * ROW_S:
                    pass
            assert ways == ["look", "loop", "look"]

    run(body())


def test_what_is_ready_to_run_comes_before_a_look(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    never_slow(monkeypatch)
    monkeypatch.setattr("plugin_host.eagerness.ROW_S", 60.0)

    async def body() -> None:
        async with linked() as (link, plugin, _):
            for _ in range(2):  # before and in a row
                turns: list[int] = []
                asyncio.get_running_loop().call_soon(turns.append, 1)
                assert await way_of(link, plugin) == "loop"
                assert turns == [1]
                assert await way_of(link, plugin) == "look"

    run(body())


def test_tasks_that_call_side_by_side_do_not_wait_for_each_others_looks(run: Run) -> None:
    async def body() -> None:
        async with linked() as (first, its_plugin, _), linked() as (second, another, _):
            ways = await asyncio.gather(way_of(first, its_plugin), way_of(second, another))
            assert ways[0] == "loop"

    run(body())


def test_answer_to_a_call_that_an_exception_tore_away_is_dropped(
    run: Run, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):

            def interrupt() -> None:
                raise KeyboardInterrupt

            with monkeypatch.context() as torn:
                torn.setattr("plugin_host.lonecall._give_way", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    ask(link)
            await plugin.answer((await plugin.request()).msgid, 7)
            await wait_until.aio(lambda: not link.connection.pending)
            assert is_settled(link)
            say(plugin, answer(link, 8))
            msgid, result = ask(link)
            assert (result if msgid is None else await result) == 8

    run(body())


def test_what_was_read_when_an_exception_strikes_is_told_all_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):

            def overflow(*arguments: object) -> None:
                raise RecursionError

            say(plugin, notice("another's"))
            with monkeypatch.context() as torn:
                torn.setattr("plugin_host.lonecall.take_answer", overflow)
                with pytest.raises(RecursionError):
                    ask(link)
            await wait_until.aio(lambda: owner.notices)
            assert said(owner) == ["another's"]
            await plugin.answer((await plugin.request()).msgid)
            await wait_until.aio(lambda: is_settled(link))

    run(body())


def test_owner_that_closes_the_link_when_it_is_told_hears_no_more(run: Run) -> None:
    class Closing(Owner):
        link: Link

        def notified(self, method: str, params: Any) -> None:
            super().notified(method, params)
            self.link.close()

    async def body() -> None:
        owner = Closing()
        async with linked(owner=owner) as (link, plugin, _):
            owner.link = link
            say(plugin, notice("end"))
            _, future = ask(link)
            say(plugin, notice("after the end"))
            link._read()
            assert said(owner) == ["end"]
            link.fail_calls(lambda: CallFailed("closed"))
            with pytest.raises(CallFailed, match="closed"):
                await future

    run(body())


def test_what_comes_with_the_answer_is_told_before_it_and_not_in_the_callers_task(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            told: list[Any] = []
            say(plugin, notice("first") + progress(link) + answer(link, 7) + notice("last"))
            _, future = ask(link, on_progress=lambda *report: told.append((said(owner), report)))
            assert (owner.notices, told) == ([], [])
            assert await future == 7
            assert told == [(["first"], (1, 2, ""))]
            assert said(owner) == ["first", "last"]
            assert is_settled(link)

    run(body())


def test_what_was_read_first_is_told_first(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            say(plugin, notice("one"))
            _, future = ask(link)
            say(plugin, notice("two"))
            link._read()  # as a loop does that has seen it before its next turn
            assert said(owner) == ["one", "two"]
            await asyncio.sleep(0)
            await plugin.answer((await plugin.request()).msgid, 7)
            assert await future == 7
            assert said(owner) == ["one", "two"]

    run(body())


def test_what_was_read_is_told_when_the_link_is_drained(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            say(plugin, notice("last words"))
            ask(link)
            link.drain()
            assert said(owner) == ["last words"]
            link.abandon(link.oldest_call or 0)

    run(body())


def test_closed_link_tells_nothing_more(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            say(plugin, notice("too late"))
            _, future = ask(link)
            link.close()
            link.fail_calls(lambda: CallFailed("closed"))
            with pytest.raises(CallFailed, match="closed"):
                await future
            await asyncio.sleep(0)
            assert owner.notices == []

    run(body())


def test_answer_in_two_pieces_is_put_together(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            data = answer(link, "seven")
            say(plugin, data[:5])
            _, future = ask(link)
            await asyncio.sleep(0)
            say(plugin, data[5:])
            assert await future == "seven"
            assert is_settled(link)

    run(body())


def test_end_of_the_plugin_is_told_as_ever(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            plugin.socket.shutdown(socket.SHUT_WR)
            _, future = ask(link)
            await wait_until.aio(lambda: owner.ends)
            assert owner.ends == [None]
            link.fail_calls(lambda: CallFailed("it died"))
            with pytest.raises(CallFailed, match="it died"):
                await future

    run(body())


def test_call_that_was_looked_for_in_vain_times_out(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            _, future = ask(link, timeout=0.01)
            with pytest.raises(CallTimeout):
                await future
            asked = await plugin.request()
            assert (await plugin.expect(CancelReceived)).msgid == asked.msgid

    run(body())


def test_call_beside_another_does_not_look(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            _, other = link.request("work", {})
            say(plugin, answer(link, 7))
            msgid, future = ask(link)
            assert msgid is not None
            assert await future == 7
            await plugin.answer((await plugin.request()).msgid, 1)
            assert await other == 1

    run(body())


def test_call_after_one_that_was_given_up_looks_all_the_same(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            _, future = ask(link)
            link.abandon(link.oldest_call or 0)
            assert link.connection.abandoned
            future.cancel()
            link._eagerness.pause = 0
            say(plugin, answer(link, 7))
            assert ask(link) == (None, 7)

    run(body())


def test_call_on_a_link_that_rests_does_not_read(
    run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin_host.link._SHORTEST_REST_S", 0.2)

    class Burdened(Owner):
        link: Link

        def notified(self, method: str, params: Any) -> None:
            super().notified(method, params)
            self.link.slow_down()

    async def body() -> None:
        owner = Burdened()
        async with linked(owner=owner) as (link, plugin, _):
            owner.link = link
            say(plugin, notice("much"))
            await wait_until.aio(lambda: owner.notices)
            assert link._is_resting
            say(plugin, answer(link, 7))
            msgid, future = ask(link)
            assert msgid is not None
            assert await future == 7
            assert not link._is_resting

    run(body())


def test_large_call_waits_for_room_before_its_answer_is_looked_for(run: Run) -> None:
    async def body() -> None:
        async with linked(room=4096) as (link, plugin, _):
            say(plugin, answer(link, 7))
            msgid, future = ask(link, {"data": bytes(1 << 20)})
            assert msgid is not None
            assert link.received_bytes > 0
            assert not link._eagerness.pause  # there was no look
            assert await future == 7
            assert len((await plugin.request()).params["data"]) == 1 << 20
            assert is_settled(link)

    run(body())


def test_call_from_another_loop_is_told_to_be_one(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            say(plugin, answer(link, 7))
            errors: list[BaseException] = []

            async def call() -> None:
                msgid, future = ask(link)
                assert msgid is not None
                await future

            def other() -> None:
                try:
                    asyncio.run(call())
                except RuntimeError as error:
                    errors.append(error)

            thread = threading.Thread(target=other)
            thread.start()
            thread.join(5)
            (error,) = errors
            assert "loop" in str(error)
            link.abandon(link.oldest_call or 0)

    run(body())


def test_call_after_the_end_looks_for_nothing(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            link.close()
            link.fail_calls(lambda: CallFailed("closed"))
            say(plugin, answer(link, 7))
            msgid, future = ask(link)
            assert msgid is not None
            with pytest.raises(CallFailed, match="closed"):
                await future

    run(body())
