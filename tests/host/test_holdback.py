"""Requests wait while too much waits for their peer, in order, and each is begun in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from plugin_host import holdback
from plugin_host.holdback import Holdback
from tests.run import Run
from tests.wait import WaitUntil


class Link:
    """A link whose peer reads when the test says so."""

    def __init__(self) -> None:
        self.is_full = False
        self.waiter: asyncio.Future[None] | None = None

    def fill(self) -> None:
        self.is_full, self.waiter = True, asyncio.get_running_loop().create_future()

    def read(self) -> None:
        self.is_full, waiter, self.waiter = False, self.waiter, None
        if waiter is not None:
            waiter.set_result(None)

    def room(self) -> asyncio.Future[None] | None:
        return self.waiter


class Crowd:
    """Requests that run until they are let go; `begun` is in order, with how long each was held."""

    def __init__(self, holdback: Holdback) -> None:
        self.holdback = holdback
        self.begun: dict[int, float] = {}
        self.gates: dict[int, asyncio.Event] = {}

    def ask(self, msgid: int) -> None:
        gate = self.gates[msgid] = asyncio.Event()

        async def work() -> None:
            await gate.wait()

        def begin(waited: float) -> asyncio.Task[None]:
            self.begun[msgid] = waited
            return asyncio.get_running_loop().create_task(work())

        self.holdback.begin(msgid, begin)

    def are_begun(self, count: int) -> bool:
        return len(self.begun) >= count

    def end(self) -> None:
        self.holdback.close()
        for gate in self.gates.values():
            gate.set()


def crowd(run: Run, body: Callable[[Any, Crowd], Any], on_free: Callable[[], None] = lambda: None) -> None:
    async def scene() -> None:
        link: Any = Link()
        people = Crowd(Holdback(link, on_free))
        try:
            await body(link, people)
        finally:
            people.end()
            for _ in range(5):
                await asyncio.sleep(0)

    run(scene())


def test_with_room_they_are_begun_at_once(run: Run) -> None:
    async def body(link: Link, people: Crowd) -> None:
        for msgid in range(100):
            people.ask(msgid)
        assert list(people.begun) == list(range(100))
        assert set(people.begun.values()) == {0.0}

    crowd(run, body)


def test_without_room_they_wait_and_are_begun_in_order_a_few_at_a_time(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body(link: Link, people: Crowd) -> None:
        link.fill()
        for msgid in range(20):
            people.ask(msgid)
        await asyncio.sleep(0)
        assert not people.begun
        assert len(people.holdback) == 20
        link.read()
        await wait_until.aio(lambda: len(people.begun) == 8)
        people.ask(20)
        for msgid in range(21):
            assert msgid < 8 or len(people.begun) > msgid - 8
            people.gates[msgid].set()
            await wait_until.aio(partial(people.are_begun, min(msgid + 9, 21)))
        assert list(people.begun) == list(range(21)), "one that came later is not begun before"
        assert min(people.begun.values()) > 0

    crowd(run, body)


def test_those_that_take_their_time_do_not_keep_others_back(
    run: Run, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(holdback, "_TURN_S", 0.01)

    async def body(link: Link, people: Crowd) -> None:
        link.fill()
        for msgid in range(30):
            people.ask(msgid)
        link.read()
        await wait_until.aio(lambda: len(people.begun) == 30)

    crowd(run, body)


def test_it_fills_up_again_and_the_rest_waits_again(run: Run, wait_until: WaitUntil) -> None:
    freed: list[bool] = []

    async def body(link: Link, people: Crowd) -> None:
        link.fill()
        for msgid in range(20):
            people.ask(msgid)
        link.read()
        await wait_until.aio(lambda: len(people.begun) == 8)
        link.fill()
        for msgid in range(8):
            people.gates[msgid].set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(people.begun) == 8
        assert freed == []
        for gate in people.gates.values():
            gate.set()
        link.read()
        await wait_until.aio(lambda: len(people.begun) == 20)
        await wait_until.aio(lambda: freed == [True])

    crowd(run, body, lambda: freed.append(True))


def test_one_that_is_dropped_is_not_begun(run: Run, wait_until: WaitUntil) -> None:
    async def body(link: Link, people: Crowd) -> None:
        link.fill()
        for msgid in range(3):
            people.ask(msgid)
        assert people.holdback.drop(1)
        assert not people.holdback.drop(1)
        link.read()
        await wait_until.aio(lambda: list(people.begun) == [0, 2])

    crowd(run, body)
