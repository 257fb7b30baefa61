"""Each plugin's desk: so many calls at once, the others in turn, and nobody waits for another plugin."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from plugin_host import service
from plugin_host.service import Caller, ServiceTable
from plugin_host_sdk.events import RequestReceived
from tests.run import Run
from tests.wait import WaitUntil


class Link:
    """Keeps the answers."""

    is_full = False  # it reads

    def __init__(self) -> None:
        self.answers: dict[int, Any] = {}

    def answer(self, msgid: int, result: Any) -> None:
        self.answers[msgid] = result

    def refuse(self, msgid: int, error: Any) -> None:
        self.answers[msgid] = error.name


class Desk:
    """A table with one service, and calls of it by plugins."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.table = ServiceTable({"work": function})

    def ask(self, link: Link, msgid: int, plugin: str = "a", **meta: Any) -> None:
        event = RequestReceived(msgid, "host.work", {}, meta)
        peer: Any = link
        self.table.serve(peer, plugin, ("host.work",), event)


@asynccontextmanager
async def desk_of(function: Callable[..., Any]) -> AsyncIterator[Desk]:
    desk = Desk(function)
    try:
        yield desk
    finally:
        desk.table.close()
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_CALLS", 3)
    monkeypatch.setattr(service, "_PLAIN_CALLS", 2)


class Counting:
    """An async service that waits until it is let go, and knows how many run."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.running = 0
        self.most = 0

    async def __call__(self, caller: Caller) -> str:
        raise NotImplementedError

    async def work(self, caller: Caller) -> str:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        return caller.plugin


async def turns() -> None:
    """Time for whoever needs none but a few turns of the loop."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_more_than_there_is_room_for_wait_and_are_all_answered(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        counting = Counting()
        async with desk_of(counting.work) as desk:
            link = Link()
            for msgid in range(10):
                desk.ask(link, msgid)
            await wait_until.aio(lambda: counting.running == 3)
            await turns()
            assert counting.running == 3
            counting.gate.set()
            await wait_until.aio(lambda: len(link.answers) == 10)
            assert counting.most == 3
            assert set(link.answers.values()) == {"a"}

    run(body())


def test_plugin_does_not_wait_for_another_plugins_calls(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        counting = Counting()
        async with desk_of(counting.work) as desk:
            greedy, modest = Link(), Link()
            for msgid in range(10):
                desk.ask(greedy, msgid)
            desk.ask(modest, 1, "b")
            await wait_until.aio(lambda: counting.running == 4)
            await turns()
            assert counting.running == 4
            counting.gate.set()
            await wait_until.aio(lambda: modest.answers == {1: "b"})

    run(body())


def test_call_that_came_through_the_plugin_before_does_not_wait(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        counting = Counting()
        async with desk_of(counting.work) as desk:
            link = Link()
            for msgid in range(5):
                desk.ask(link, msgid)
            desk.ask(link, 100, chain=["a", "b", "a"])
            desk.ask(link, 101, chain=["b", "a"])  # for the first time
            await wait_until.aio(lambda: counting.running == 4)
            await turns()
            assert counting.running == 4
            counting.gate.set()
            await wait_until.aio(lambda: len(link.answers) == 7)

    run(body())


def test_calls_that_say_they_came_through_the_plugin_before_have_no_endless_room(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        counting = Counting()
        async with desk_of(counting.work) as desk:
            link = Link()
            peer: Any = link
            for msgid in range(10):
                desk.ask(link, msgid, chain=["a", "b", "a"])
            await wait_until.aio(lambda: counting.running == 3)
            await turns()
            assert counting.running == 3
            desk.ask(link, 100, chain=["a", "b", "a", "b", "a"])  # these may wait for it
            await wait_until.aio(lambda: counting.running == 4)
            desk.table.cancel(peer, 9)
            assert link.answers == {9: "rpc.cancelled"}
            counting.gate.set()
            await wait_until.aio(lambda: len(link.answers) == 11)
            assert counting.most == 4

    run(body())


def test_waiting_call_can_be_cancelled_and_never_runs(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        counting = Counting()
        async with desk_of(counting.work) as desk:
            link = Link()
            peer: Any = link
            for msgid in range(5):
                desk.ask(link, msgid)
            desk.table.cancel(peer, 4)
            assert link.answers == {4: "rpc.cancelled"}
            desk.table.cancel(peer, 0)
            await wait_until.aio(lambda: link.answers.get(0) == "rpc.cancelled")
            desk.table.cancel(peer, 77)
            await wait_until.aio(lambda: counting.running == 3)  # the next one has its place
            counting.gate.set()
            await wait_until.aio(lambda: len(link.answers) == 5)

    run(body())


def test_forgotten_link_is_answered_nothing(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        counting = Counting()
        async with desk_of(counting.work) as desk:
            link = Link()
            peer: Any = link
            for msgid in range(5):
                desk.ask(link, msgid)
            await asyncio.sleep(0)
            desk.table.forget(peer)
            desk.table.forget(peer)
            desk.table.cancel(peer, 1)
            await wait_until.aio(lambda: counting.running == 0)
            assert desk.table._desks == {}

    run(body())


def test_plain_functions_are_fewer_and_nested_ones_do_not_wait(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        gate = threading.Event()
        running: list[int] = []

        def work(caller: Caller) -> str:
            running.append(1)
            gate.wait(10)
            return caller.plugin

        async with desk_of(work) as desk:
            link = Link()
            for msgid in range(3):
                desk.ask(link, msgid)
            await wait_until.aio(lambda: len(running) == 2)
            desk.ask(link, 100, chain=["a", "a"])
            await wait_until.aio(lambda: len(running) == 3)
            for msgid in range(101, 104):
                desk.ask(link, msgid, chain=["a", "a"])
            await wait_until.aio(lambda: len(running) == 4)
            await turns()
            assert len(running) == 4
            gate.set()
            await wait_until.aio(lambda: len(link.answers) == 7)

    run(body())


@pytest.mark.parametrize(
    ("chain", "found"),
    [([], ("a",)), (["b"], ("b", "a")), (["b", "a"], ("b", "a")), (["a", "b"], ("a", "b", "a"))],
)
def test_chain_ends_with_the_one_who_asks(
    run: Run, wait_until: WaitUntil, chain: list[str], found: tuple[str, ...]
) -> None:
    async def body() -> None:
        async with desk_of(lambda caller: caller.chain) as desk:
            link = Link()
            desk.ask(link, 1, chain=chain)
            await wait_until.aio(lambda: link.answers == {1: found})

    run(body())


def test_calls_for_which_there_was_no_thread_take_no_room_from_later_ones(
    run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def body() -> None:
        link = Link()
        async with desk_of(lambda caller: "done") as desk:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", no_thread)
                for msgid in range(4):  # more than there is room for
                    desk.ask(link, msgid)
                await wait_until.aio(lambda: len(link.answers) == 4)
            desk.ask(link, 4)
            await wait_until.aio(lambda: len(link.answers) == 5)
        assert list(link.answers.values()) == ["host.service_failed"] * 4 + ["done"]

    run(body())


def test_failures_without_end_are_logged_in_measure(
    run: Run, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(caller: Caller) -> None:
        raise OSError("one of many")

    async def body() -> None:
        link = Link()
        async with desk_of(fails) as desk:
            for msgid in range(1000):
                desk.ask(link, msgid)
            await wait_until.aio(lambda: len(link.answers) == 1000)
        assert set(link.answers.values()) == {"host.service_failed"}

    run(body())
    told = [record.getMessage() for record in caplog.records]
    assert 100 <= sum("one of many" in text for text in told) < 500
    assert any("log records were dropped" in text for text in told)
