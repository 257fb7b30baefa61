"""Which calls wait for a plugin, for how long, and what those are told that may not."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from plugin_host.admittance import admitted, restarting
from plugin_host.candidate import Candidate
from plugin_host.errors import CallTimeout, PluginNotReady
from plugin_host.manifest import Manifest, convert
from plugin_host.plugin import Plugin
from plugin_host.service import Caller, current_caller
from plugin_host.state import State
from tests.run import Run

LINK: Any = object()
SHORT_S = 0.02
COMING = [State.STARTING, State.BACKOFF]
"""On its way, without anybody's doing."""


def manifest(activation: str) -> Manifest:
    raw = {"id": "demo", "version": "1", "launch": {"argv": ["x"]}, "activation": activation}
    return convert(raw, file="a test")


class Keeper:
    """A plugin in some state, that moves when the test says so."""

    def __init__(self, state: State, *, activation: str = "eager", **candidate: Any) -> None:
        found = Candidate(id="demo", source="here", manifest=manifest(activation), **candidate)
        self.plugin = Plugin(found, lambda event: None)
        self.plugin.state = state
        self.link: Any = None
        self.is_due = False
        self.restarts_due = 0
        self.wakes = 0
        self._moved = asyncio.Event()

    def wake(self) -> None:
        self.wakes += 1
        self.move(State.STARTING)

    async def next_move(self) -> None:
        await self._moved.wait()

    def move(self, state: State, link: Any = None) -> None:
        self.plugin.state, self.link = state, link
        self.wake_callers()

    def wake_callers(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


async def waiting(keeper: Keeper, timeout: float | None = None, *, fail_fast: bool = False) -> Any:
    """A call that has found out that it waits."""
    call = asyncio.ensure_future(admitted(keeper, timeout, fail_fast=fail_fast))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not call.done()
    return call


def test_call_of_a_plugin_that_is_ready_is_let_in_with_all_its_time(run: Run) -> None:
    async def body() -> None:
        keeper = Keeper(State.READY)
        keeper.link = LINK
        assert await admitted(keeper, 3.0, fail_fast=True) == (LINK, 3.0)
        assert await admitted(keeper, None, fail_fast=False) == (LINK, None)

    run(body())


@pytest.mark.parametrize("state", COMING)
def test_call_waits_until_the_plugin_is_ready_and_has_the_rest_of_its_time(run: Run, state: State) -> None:
    async def body() -> None:
        loop, keeper = asyncio.get_running_loop(), Keeper(state)
        began = loop.time()
        calls = [await waiting(keeper), await waiting(keeper, 30.0)]
        keeper.move(State.BACKOFF)
        keeper.move(State.STARTING)
        await asyncio.sleep(SHORT_S)
        keeper.move(State.READY, LINK)
        assert await calls[0] == (LINK, None)
        link, left = await calls[1]
        assert link is LINK
        assert 30.0 - (loop.time() - began) <= left <= 30.0 - SHORT_S

    run(body())


def test_call_waits_for_the_first_start_when_that_is_due(run: Run) -> None:
    async def body() -> None:
        keeper = Keeper(State.DISCOVERED)
        keeper.is_due = True
        calls = [await waiting(keeper), await waiting(keeper)]
        with pytest.raises(PluginNotReady, match="is discovered, not ready"):
            await admitted(keeper, None, fail_fast=True)
        keeper.move(State.STARTING)
        keeper.move(State.READY, LINK)
        assert [await call for call in calls] == [(LINK, None)] * 2

    run(body())


@pytest.mark.parametrize("state", [State.STOPPING, State.STOPPED, State.FAILED])
def test_call_waits_for_a_restart_until_the_last_of_them_is_over(run: Run, state: State) -> None:
    async def body() -> None:
        keeper = Keeper(state)
        with restarting(keeper):
            with restarting(keeper):
                call = await waiting(keeper)
                with pytest.raises(PluginNotReady, match=f"is {state}, not ready"):
                    await admitted(keeper, None, fail_fast=True)
            await asyncio.sleep(0)
            assert not call.done()
            keeper.move(State.STOPPED)
            keeper.move(State.STARTING)
            keeper.move(State.READY, LINK)
            assert await call == (LINK, None)
            keeper.link = None
            vain = await waiting(keeper)
            keeper.plugin.error = RuntimeError("no licence")
            keeper.move(State.FAILED)
        with pytest.raises(PluginNotReady, match="is failed, not ready: no licence"):
            await vain

    run(body())


@pytest.mark.parametrize("state", COMING)
def test_call_ends_at_its_own_deadline_and_says_what_it_waited_for(run: Run, state: State) -> None:
    async def body() -> None:
        loop, keeper = asyncio.get_running_loop(), Keeper(state)
        patient = await waiting(keeper, 60.0)
        began = loop.time()
        with pytest.raises(CallTimeout) as caught:
            await admitted(keeper, SHORT_S, fail_fast=False)
        assert loop.time() - began >= SHORT_S
        assert caught.value.name == "command.timeout"
        assert str(caught.value) == (
            f"plugin `demo` is {state}, not ready; it was waited for until the deadline of the call"
        )
        assert not patient.done()
        keeper.move(State.READY, LINK)
        assert (await patient)[0] is LINK

    run(body())


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_call_of_a_plugin_ends_at_the_deadline_of_its_caller(run: Run, timeout: float | None) -> None:
    async def body() -> None:
        current_caller.set(Caller("other", deadline=time.monotonic() + SHORT_S))
        with pytest.raises(CallTimeout, match="is starting"):
            await admitted(Keeper(State.STARTING), timeout, fail_fast=False)

    run(body())


@pytest.mark.parametrize("state", COMING)
def test_call_that_is_not_to_wait_fails_at_once(run: Run, state: State) -> None:
    async def body() -> None:
        call = admitted(Keeper(state), 60.0, fail_fast=True)
        with pytest.raises(PluginNotReady, match=f"^plugin `demo` is {state}, not ready$") as caught:
            call.send(None)  # with no turn of the loop
        assert (caught.value.plugin, caught.value.state) == ("demo", str(state))

    run(body())


@pytest.mark.parametrize("fail_fast", [True, False])
def test_call_of_an_idle_plugin_starts_it_once_and_waits(run: Run, fail_fast: bool) -> None:
    """Also when it is not to wait: nothing else would ever start it."""

    async def body() -> None:
        keeper = Keeper(State.IDLE, activation="lazy")
        call = await waiting(keeper, 60.0, fail_fast=fail_fast)
        keeper.move(State.BACKOFF)
        for _ in range(5):
            await asyncio.sleep(0)
        keeper.move(State.READY, LINK)
        assert (await call)[0] is LINK
        assert keeper.wakes == 1

    run(body())


@pytest.mark.parametrize("state", [State.DISCOVERED, State.STOPPING, State.STOPPED, State.FAILED])
def test_plugin_that_does_not_come_by_itself_is_not_waited_for(run: Run, state: State) -> None:
    async def body() -> None:
        with pytest.raises(PluginNotReady, match=f"is {state}, not ready"):
            await admitted(Keeper(state), 60.0, fail_fast=False)

    run(body())


def test_wait_ends_when_the_plugin_fails(run: Run) -> None:
    async def body() -> None:
        keeper = Keeper(State.STARTING)
        call = await waiting(keeper)
        keeper.plugin.error = LookupError("it has no head")
        keeper.move(State.FAILED)
        with pytest.raises(PluginNotReady, match="is failed, not ready: it has no head"):
            await call

    run(body())


def test_lazy_plugin_that_is_stopping_is_started_again(run: Run) -> None:
    async def body() -> None:
        keeper = Keeper(State.STOPPING, activation="lazy")
        call = await waiting(keeper)
        keeper.move(State.IDLE)
        for _ in range(5):
            await asyncio.sleep(0)
        assert keeper.wakes == 1
        keeper.move(State.READY, LINK)
        assert (await call)[0] is LINK

    run(body())


def test_plugin_that_is_left_out_is_not_waited_for(run: Run) -> None:
    async def body() -> None:
        with pytest.raises(PluginNotReady, match="is starting, not ready: blocked"):
            await admitted(Keeper(State.STARTING, skipped="blocked"), 60.0, fail_fast=False)

    run(body())
