"""Callers whose answers come together ask anew together: one request for several, an outcome for each."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from plugin_host import CallCancelled, CallFailed, PluginDied, PluginHost, PluginNotReady
from plugin_host.joint import Joint
from plugin_host_sdk.events import ResponseReceived
from tests.run import Run
from tests.stage import link_of, stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import os, threading, time

    seen = []

    @plugin.command("echo")
    def echo(ctx, value=None):
        return value

    @plugin.command("odd")
    def odd(ctx, value):
        if value % 3 == 0:
            raise CommandError(3, f"three {value}")
        if value % 3 == 1:
            raise ValueError(f"one {value}")
        return [value]

    @plugin.command("note")
    def note(ctx, value):
        seen.append(value)

    @plugin.command("seen")
    def told(ctx):
        return seen

    @plugin.command("nap")
    def nap(ctx, value):
        if value >= 300:
            time.sleep(0.02)
        if value >= 290:
            with open(__file__ + ".ran", "a") as ran:
                ran.write(".")
        return value

    met, seen_leaving = threading.Event(), []

    @plugin.command("meet")
    def meet(ctx, value):
        if value == 500:
            return met.wait(10)
        if value == 501:
            met.set()
        return value

    @plugin.command("linger")
    def linger(ctx, value):
        if value == "linger":
            seen_leaving.append(ctx.cancelled.wait(10))
        return value

    @plugin.command("left")
    def left(ctx):
        return seen_leaving

    @plugin.command("mark")
    def mark(ctx, value):
        if not hasattr(ctx, "mark"):
            ctx.mark = value
        return ctx.mark

    @plugin.command("leave")
    def leave(ctx, value):
        if value == 500:
            os._exit(3)
"""


@pytest.fixture
def host(tmp_path: Path) -> PluginHost:
    write_plugin(tmp_path, "desk", CODE, head="from plugin_host_sdk import CommandError")
    return stage("desk", dirs=[tmp_path])


async def crowd(host: PluginHost, command: str, total: int, callers: int = 64) -> dict[int, Any]:
    """What each of so many calls ended with; as many callers as there are make them one after the other."""
    ended: dict[int, Any] = {}
    numbers = iter(range(total))

    async def go_on() -> None:
        for number in numbers:
            try:
                ended[number] = await host.call("desk", command, {"value": number})
            except Exception as error:
                ended[number] = error

    await asyncio.gather(*(go_on() for _ in range(callers)))
    return ended


async def prove_quick(host: PluginHost, command: str) -> None:
    """Call it until calls of it share requests, for which a busy machine may take some more."""
    joint = link_of(host, "desk").joint
    assert isinstance(joint, Joint)
    await crowd(host, command, 100)
    while not joint.takes(command):
        await crowd(host, command, 100)


def test_few_requests_bring_each_caller_its_own_answer(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        async with host:
            connection = link_of(host, "desk").connection
            asked = 3000
            while asked >= 2500:  # as it is while the command has not proved quick
                before = connection._next_id
                assert await crowd(host, "echo", 3000) == {number: number for number in range(3000)}
                asked = connection._next_id - before
            assert not connection.pending

    run(body())


def test_calls_that_are_made_at_once_share_requests_from_the_ninth_on(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        async with host:
            connection = link_of(host, "desk").connection
            asked = 100
            while asked > 11:  # as it is while the command has not proved quick
                before = connection._next_id
                calls = [host.call("desk", "echo", {"value": number}) for number in range(100)]
                assert await asyncio.gather(*calls) == list(range(100))
                asked = connection._next_id - before
            assert asked == 8 + 3
            assert not connection.pending

    run(body())


def test_calls_that_are_made_at_once_and_cannot_share_a_request_are_all_answered(
    run: Run, host: PluginHost
) -> None:
    async def body() -> None:
        async with host:
            await prove_quick(host, "echo")
            calls = [
                host.call("desk", "echo", {"value": [number]}, timeout=60 if number % 2 else None)
                for number in range(60)
            ]
            assert await asyncio.gather(*calls) == [[number] for number in range(60)]

    run(body())


def test_failures_are_those_of_single_calls(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        async with host:
            ended = await crowd(host, "odd", 1200)
            for number, one in ended.items():
                if number % 3 == 2:
                    assert one == [number]
                    continue
                assert isinstance(one, CallFailed)
                expected = (
                    (3, "command.failed", f"desk odd: three {number}")
                    if number % 3 == 0
                    else (105, "command.handler_failed", f"desk odd raised ValueError: one {number}")
                )
                assert (one.code, one.name, str(one).partition("\n")[0]) == expected
            metrics = host.plugins["desk"].meter.calls["odd"].figures()
            assert (metrics["started"], metrics["finished"], metrics["in_flight"]) == (1200, 1200, 0)
            assert sum(metrics["failures"].values()) == 800

    run(body())


def test_call_whose_turn_had_not_come_when_the_link_ended_ends_with_it(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        async with host:
            await prove_quick(host, "echo")
            link = link_of(host, "desk")
            calls: list[asyncio.Task[Any]] = []

            def ask() -> None:
                calls.extend(asyncio.create_task(host.call("desk", "echo", {"value": n})) for n in range(4))

            link.gather(ask)
            await asyncio.sleep(0)
            (msgid,) = link._futures
            assert link.calls() == ["echo"] * 4
            link.connection.pending.pop(msgid)
            # As when the last read of all brings it: nobody has acted on it when the calls end.
            link._deliver(ResponseReceived(msgid, {"results": [7], "failures": []}))
            link.close()
            link.fail_calls(lambda: PluginDied("demo died"))
            first, *others = await asyncio.gather(*calls, return_exceptions=True)
            assert first == 7
            assert [str(error) for error in others] == ["demo died"] * 3

    run(body())


def test_parameters_that_change_after_the_call_do_not_change_it(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        async with host:
            await prove_quick(host, "echo")
            link = link_of(host, "desk")
            flat: dict[str, Any] = {}
            deep: dict[str, Any] = {"value": []}
            calls: list[asyncio.Task[Any]] = []

            async def ask(kind: str, number: int) -> Any:
                flat["value"], deep["value"][:] = number, [number]
                return await host.call("desk", "echo", flat if kind == "flat" else deep)

            asked = [(kind, number) for kind in ("flat", "deep") for number in range(4)]
            link.gather(lambda: calls.extend(asyncio.create_task(ask(*one)) for one in asked))
            expected = [number if kind == "flat" else [number] for kind, number in asked]
            assert await asyncio.gather(*calls) == expected

    run(body())


def test_each_call_is_run_once(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        async with host:
            await crowd(host, "note", 2000)
            seen = await host.call("desk", "seen")
            assert sorted(seen) == list(range(2000))

    run(body())


def test_command_that_turns_slow_is_run_once_for_each_call(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        async with host:
            assert await crowd(host, "nap", 400) == {number: number for number in range(400)}

    run(body())


def test_callers_that_leave_take_nobody_with_them(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        async with host:
            await crowd(host, "echo", 500)
            others = asyncio.create_task(crowd(host, "echo", 2000, callers=48))
            left = 0
            while not others.done():
                leaving = [asyncio.create_task(host.call("desk", "echo", {"value": n})) for n in range(16)]
                for turn in range(3):
                    await asyncio.sleep(0)
                    for task in leaving[turn::3]:
                        left += task.cancel()
                await asyncio.wait(leaving)
            assert left
            assert await others == {number: number for number in range(2000)}
            assert await host.call("desk", "echo", {"value": "still"}) == "still"
            assert link_of(host, "desk").in_flight == 0

    run(body())


def test_what_a_handler_keeps_on_its_context_is_of_one_call(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        async with host:
            await prove_quick(host, "mark")
            assert await crowd(host, "mark", 2000) == {number: number for number in range(2000)}
            many = [{"value": number} for number in range(500)]
            assert await host.call_many("desk", "mark", many) == list(range(500))

    run(body())


def test_call_may_wait_for_another_that_came_with_it(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        async with host:
            await prove_quick(host, "meet")
            ended = await crowd(host, "meet", 600)
            assert ended == {number: number for number in range(600)} | {500: True}

    run(body())


def test_call_of_many_may_wait_for_a_later_one(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        async with host:
            await prove_quick(host, "meet")
            many = [{"value": number} for number in range(600)]
            ended = await host.call_many("desk", "meet", many)
            assert ended == [number if number != 500 else True for number in range(600)]
            metrics = host.plugins["desk"].meter.calls["meet"].figures()
            assert (metrics["started"], metrics["in_flight"]) == (metrics["finished"], 0)

    run(body())


def test_caller_that_leaves_a_call_that_lasts_is_noticed_by_it(
    run: Run, host: PluginHost, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with host:
            await prove_quick(host, "linger")
            others = asyncio.create_task(crowd(host, "linger", 3000, callers=40))
            for _ in range(3):
                await asyncio.sleep(0)

            async def lingers() -> None:
                for _ in range(20):
                    await host.call("desk", "linger", {"value": 0})
                async with asyncio.timeout(0.2):
                    await host.call("desk", "linger", {"value": "linger"})

            with pytest.raises(TimeoutError):
                await lingers()
            assert await others == {number: number for number in range(3000)}
            await wait_until.aio(lambda: left(host))
            assert await host.call("desk", "left") == [True]

    async def left(host: PluginHost) -> bool:
        return bool(await host.call("desk", "left"))

    run(body())


def test_death_is_told_to_every_caller(run: Run, host: PluginHost) -> None:
    async def body() -> None:
        async with host:
            numbers = iter(range(1000))
            ended: list[BaseException | None] = []

            async def go_on() -> None:
                try:
                    for number in numbers:
                        await host.call("desk", "leave", {"value": number})
                except PluginDied as error:
                    ended.append(error)

            await asyncio.gather(*(go_on() for _ in range(64)))
            assert len(ended) == 64
            for error in ended:
                assert isinstance(error, PluginDied)
                assert error.report is not None
                assert "exited with status 3" in str(error)

    run(body())


def test_polite_stop_loses_no_call(
    run: Run, host: PluginHost, wait_until: WaitUntil, tmp_path: Path
) -> None:
    """Each has its outcome, and that is so: what was refused or cancelled did not run."""

    async def body() -> int:
        async with host:
            await crowd(host, "nap", 250)
            ended: list[Any] = []

            async def go_on() -> None:
                for number in range(290, 330):
                    try:
                        ended.append(await host.call("desk", "nap", {"value": number}) == number)
                    except Exception as error:
                        ended.append(error)
                        return

            callers = [asyncio.create_task(go_on()) for _ in range(16)]
            await wait_until.aio(lambda: len(ended) >= 100)
            await host.stop("desk")
            await asyncio.wait(callers)
            errors = [one for one in ended if one is not True]
            assert errors  # it came to an end before they did
            assert {type(one) for one in errors} <= {PluginNotReady, CallCancelled}, errors
            return len(ended) - len(errors)

    succeeded = run(body())
    (ran,) = tmp_path.rglob("*.ran")
    assert len(ran.read_text()) == succeeded
