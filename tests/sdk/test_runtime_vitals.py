"""`vitals`: how far a plugin's calls are, told by the reading thread while the others are stuck."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from plugin_host_sdk import Plugin
from plugin_host_sdk.context import Context
from plugin_host_sdk.runtime.coroutine import LoopThread
from plugin_host_sdk.runtime.vitals import take_vitals
from tests.served import serving
from tests.wait import WaitUntil


def call(name: str, arrived: float, *, has_begun: bool = True) -> Context:
    ctx = Context(None, name)  # type: ignore[arg-type]
    ctx.arrived, ctx.has_begun = arrived, has_begun
    return ctx


# As numbers.


def test_without_calls_there_is_nothing_to_tell_but_counts() -> None:
    assert take_vitals([], 7, None, 5.0) == {"running": 0, "waiting": 0, "finished": 7}


def test_calls_that_have_begun_are_told_from_those_that_wait() -> None:
    calls = [call("a", 1.0), call("b", 2.0, has_begun=False), call("c", 3.0)]
    vitals = take_vitals(calls, 0, None, 5.0)
    assert (vitals["running"], vitals["waiting"]) == (2, 1)


def test_oldest_is_the_first_that_has_begun() -> None:
    calls = [call("waits", 1.0, has_begun=False), call("runs", 2.5), call("later", 3.0)]
    vitals = take_vitals(calls, 0, None, 5.0)
    assert (vitals["oldest"], vitals["oldest_ms"]) == ("runs", 2500)


def test_age_is_never_negative() -> None:
    assert take_vitals([call("a", 6.0)], 0, None, 5.0)["oldest_ms"] == 0


def test_long_name_is_cut() -> None:
    assert take_vitals([call("x" * 1000, 0.0)], 0, None, 5.0)["oldest"] == "x" * 200


@pytest.mark.parametrize(("lag", "milliseconds"), [(0.0, 0), (1.5, 1500)])
def test_lag_of_the_loop_is_told_where_there_is_one(lag: float, milliseconds: int) -> None:
    assert take_vitals([], 0, lag, 0.0)["loop_ms"] == milliseconds


# From a plugin.


def test_vitals_are_answered_while_every_worker_is_stuck(wait_until: WaitUntil) -> None:
    plugin = Plugin("demo", version="1.0.0", workers=2)
    gate = threading.Event()
    started: list[int] = []

    @plugin.command("wait")
    def wait(ctx: Any) -> None:
        started.append(1)
        gate.wait(10)

    with serving(plugin) as host:
        waiting = [host.ask_command("wait") for _ in range(5)]
        wait_until(lambda: len(started) == 2)
        time.sleep(0.01)
        vitals = host.result(host.ask("vitals"))
        assert (vitals["running"], vitals["waiting"], vitals["finished"]) == (2, 3, 0)
        assert vitals["oldest"] == "wait"
        assert 10 <= vitals["oldest_ms"] < 10_000
        assert "loop_ms" not in vitals
        gate.set()
        for msgid in waiting:
            host.result(msgid)
        vitals = host.result(host.ask("vitals"))
        assert vitals == {"running": 0, "waiting": 0, "finished": 5}


def test_failed_and_cancelled_calls_are_finished_too(wait_until: WaitUntil) -> None:
    plugin = Plugin("demo", version="1.0.0")

    @plugin.command("fail")
    def fail(ctx: Any) -> None:
        raise LookupError

    @plugin.command("until")
    def until(ctx: Any) -> None:
        ctx.cancelled.wait(10)

    with serving(plugin) as host:
        host.error(host.ask_command("fail"))
        msgid = host.ask_command("until")
        wait_until(lambda: host.result(host.ask("vitals"))["running"] == 1)
        host.cancel(msgid)
        host.answer(msgid)
        assert host.result(host.ask("vitals"))["finished"] == 2


def test_calls_that_ended_before_they_began_are_not_finished(wait_until: WaitUntil) -> None:
    plugin = Plugin("demo", version="1.0.0", workers=1)
    gate = threading.Event()

    @plugin.command("wait")
    def wait(ctx: Any) -> None:
        gate.wait(10)

    with serving(plugin) as host:
        first = host.ask_command("wait")
        wait_until(lambda: host.result(host.ask("vitals"))["running"] == 1)
        second = host.ask_command("wait")
        host.cancel(second)
        host.error(second)
        vitals = host.result(host.ask("vitals"))
        assert (vitals["running"], vitals["waiting"], vitals["finished"]) == (1, 0, 0)
        gate.set()
        host.result(first)
        assert host.result(host.ask("vitals"))["finished"] == 1


def test_blocked_loop_is_seen_at_the_second_look_and_free_again_after_it(wait_until: WaitUntil) -> None:
    plugin = Plugin("demo", version="1.0.0")
    gate, entered = threading.Event(), threading.Event()

    @plugin.command("block")
    async def block(ctx: Any) -> None:
        entered.set()
        gate.wait(10)

    with serving(plugin) as host:
        msgid = host.ask_command("block")
        entered.wait(10)
        assert host.result(host.ask("vitals"))["loop_ms"] == 0
        time.sleep(0.02)
        first = host.result(host.ask("vitals"))["loop_ms"]
        time.sleep(0.02)
        second = host.result(host.ask("vitals"))
        assert 20 <= first < second["loop_ms"]
        assert second["oldest"] == "block"
        gate.set()
        host.result(msgid)
        wait_until(lambda: host.result(host.ask("vitals"))["loop_ms"] == 0)


def test_loop_that_waits_for_its_tasks_comes_round(wait_until: WaitUntil) -> None:
    plugin = Plugin("demo", version="1.0.0")
    entered = threading.Event()

    @plugin.command("nap")
    async def nap(ctx: Any) -> None:
        entered.set()
        await asyncio.sleep(10)

    with serving(plugin) as host:
        host.ask_command("nap")
        entered.wait(10)
        host.result(host.ask("vitals"))
        time.sleep(0.02)
        # The mark of the last look is gone, or will be in a moment.
        wait_until(lambda: host.result(host.ask("vitals"))["loop_ms"] == 0)


def test_loop_that_has_ended_has_no_lag(wait_until: WaitUntil) -> None:
    loop_thread = LoopThread()
    assert loop_thread.lag() is None

    ran = threading.Event()

    async def nothing() -> None:
        ran.set()

    loop_thread.run(nothing)
    ran.wait(10)
    loop = loop_thread.loop
    assert loop is not None
    loop_thread.close()
    wait_until(loop.is_closed)
    assert loop_thread.lag() is None
    loop_thread._loop = loop  # who looked at it a moment before
    assert loop_thread.lag() is None


@pytest.mark.parametrize("method", ["vitals", "stacks"])
def test_both_are_answered_although_too_many_requests_are_open(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = Plugin("demo", version="1.0.0")
    with serving(plugin) as host:
        monkeypatch.setattr("plugin_host_sdk.connection.PENDING_REQUESTS", 0)
        monkeypatch.setattr("plugin_host_sdk.alone.PENDING_REQUESTS", 0)
        assert isinstance(host.result(host.ask(method)), dict)
        assert host.error(host.ask("command.list"))["name"] == "rpc.busy"
