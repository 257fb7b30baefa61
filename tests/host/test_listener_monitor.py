"""The registry of a listener's commands: when it listens, and what handlers may do to it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from plugin_host.listener.limit import Limits
from plugin_host.listener.monitor import Monitor, current_monitor
from plugin_host.listener.request import Request
from plugin_host.localsocket import LocalSocket
from plugin_host_sdk.errors import RegistrationError
from tests.host.talk import Talk, monitor, room, said
from tests.run import Run

__all__ = ["room"]


def listens(made: Monitor) -> bool:
    """A fresh look, also for a type checker."""
    return made.is_listening


def nothing(request: Request) -> None:
    pass


def test_listener_starts_with_the_first_handler_and_stops_with_the_last(room: Path, run: Run) -> None:
    async def body() -> None:
        made = monitor(room)
        assert not (room / "s").exists()
        for name in ("a", "b"):
            made.register(name, nothing)
            assert listens(made)
            assert (room / "s").is_socket()
        made.unregister("a")
        assert listens(made)
        made.unregister("b")
        assert not listens(made)
        assert not (room / "s").exists()
        made.register("a", nothing)
        assert (await said(room / "s", "a"))["Status"] == 0
        await made.aclose()

    run(body())


def test_handlers_registered_before_there_is_a_loop_are_served_from_the_start(room: Path, run: Run) -> None:
    made = monitor(room)
    made.register("a", nothing)
    assert not listens(made)

    async def body() -> None:
        async with made:
            assert listens(made)
            made.start()  # once more is nothing
            assert (await said(room / "s", "a"))["Status"] == 0
        assert not listens(made)
        assert made.names == ["a"]
        await made.aclose()

    run(body())


def test_closed_monitor_only_notes_handlers_until_it_is_started(room: Path, run: Run) -> None:
    async def body() -> None:
        made = monitor(room)
        await made.aclose()
        made.register("a", nothing)
        assert not listens(made)
        made.start()
        assert listens(made)
        await made.aclose()

    run(body())


def test_without_a_place_nothing_listens_and_handlers_come_and_go(run: Run) -> None:
    async def body() -> None:
        made = Monitor(None)
        made.register("a", nothing)
        assert (made.names, listens(made), made.path) == (["a"], False, None)
        made.start()
        made.unregister("a")
        await made.aclose()

    run(body())


def test_name_that_is_taken_and_name_that_is_unknown_are_errors(room: Path, run: Run) -> None:
    async def body() -> None:
        made = monitor(room)
        made.register("alpha", nothing)
        with pytest.raises(RegistrationError, match="'alpha' is registered already"):
            made.register("alpha", nothing)
        with pytest.raises(RegistrationError, match=r"'alfa' is not registered .did you mean `alpha`"):
            made.unregister("alfa")
        await made.aclose()

    run(body())


@pytest.mark.parametrize(("name", "handler"), [("", nothing), (5, nothing), ("a", "b")])
def test_what_is_no_command_is_refused(name: Any, handler: Any) -> None:
    with pytest.raises(RegistrationError, match="a name and a function"):
        Monitor(None).register(name, handler)


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_handler_may_register_and_unregister_itself_and_others(room: Path, run: Run, kind: str) -> None:
    async def body() -> None:
        made = monitor(room, Limits())

        def change(request: Request) -> dict[str, Any]:
            made.register("new", nothing)
            made.unregister("change")
            made.unregister("new")  # the last one: the listener stops under the running call
            return {"listening": listens(made), "names": made.names}

        async def change_async(request: Request) -> dict[str, Any]:
            return change(request)

        made.register("change", change if kind == "plain" else change_async)
        reply = await said(room / "s", "change")
        assert (reply["Status"], reply["listening"], reply["names"]) == (0, False, [])
        assert not (room / "s").exists()
        await made.aclose()

    run(body())


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_handler_finds_its_own_monitor_and_nobody_else_finds_one(room: Path, run: Run, kind: str) -> None:
    found: list[Monitor] = []

    async def find(request: Request) -> None:
        found.append(current_monitor())

    def find_in_thread(request: Request) -> None:
        found.append(current_monitor())

    async def body() -> None:
        one, other = monitor(room), Monitor(LocalSocket(path=str(room / "o")), Limits())
        for made in (one, other):
            made.register("find", find if kind == "async" else find_in_thread)
        for name in ("s", "o", "s"):
            assert (await said(room / name, "find"))["Status"] == 0
        assert found == [one, other, one]
        with pytest.raises(LookupError):
            current_monitor()
        await asyncio.gather(one.aclose(), other.aclose())

    run(body())


def test_handler_may_close_its_own_listener(room: Path, run: Run) -> None:
    async def body() -> None:
        made = monitor(room, Limits())

        async def close(request: Request) -> dict[str, Any]:
            await made.aclose()
            return {"closed": True}

        made.register("close", close)
        assert (await said(room / "s", "close"))["closed"]

    run(body())


def test_call_that_runs_finishes_though_its_command_is_gone(room: Path, run: Run) -> None:
    async def body() -> None:
        made = monitor(room, Limits())
        began, go = asyncio.Event(), asyncio.Event()

        async def held(request: Request) -> dict[str, Any]:
            began.set()
            await go.wait()
            return {"done": True}

        made.register("held", held)
        asking = asyncio.create_task(said(room / "s", "held"))
        await began.wait()
        made.unregister("held")
        go.set()
        assert (await asking)["done"]
        await made.aclose()

    run(body())


def test_slow_handler_keeps_nobody_from_registering_and_calling(room: Path, run: Run) -> None:
    async def body() -> None:
        made = monitor(room, Limits())
        go = threading.Event()
        made.register("slow", lambda request: {"went": go.wait(10)})
        asking = asyncio.create_task(said(room / "s", "slow"))
        made.register("new", nothing)
        assert (await said(room / "s", "new"))["Status"] == 0
        go.set()
        assert (await asking)["went"]
        await made.aclose()

    run(body())


def test_another_thread_registers_and_hears_of_errors(room: Path, run: Run) -> None:
    async def body() -> None:
        made = monitor(room)
        made.start()
        await asyncio.to_thread(made.register, "a", nothing)
        assert listens(made)
        with pytest.raises(RegistrationError):
            await asyncio.to_thread(made.register, "a", nothing)
        await asyncio.to_thread(made.unregister, "a")
        assert not listens(made)
        await made.aclose()

    run(body())


def test_loop_that_does_not_run_at_the_moment_keeps_nobody_waiting(room: Path) -> None:
    made = monitor(room)

    async def start() -> None:
        made.start()

    with asyncio.Runner() as runner:
        runner.run(start())
        made.register("a", nothing)
        assert listens(made)
        made.unregister("a")
        assert not listens(made)
        thread = threading.Thread(target=made.register, args=("a", nothing))
        thread.start()
        thread.join()
        assert listens(made)
        assert runner.run(said(room / "s", "a"))["Status"] == 0
        runner.run(made.aclose())


def test_loop_that_stops_before_its_turn_keeps_nobody_waiting(room: Path) -> None:
    made = monitor(room)
    is_busy, may_go_on = threading.Event(), threading.Event()

    async def occupied() -> None:
        made.start()
        is_busy.set()
        may_go_on.wait()  # in the last turn of the loop: what is asked meanwhile has none

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(occupied(),))
    thread.start()
    is_busy.wait()
    asking = threading.Thread(target=made.register, args=("a", nothing))
    asking.start()
    may_go_on.set()
    thread.join()
    asking.join()
    assert made.names == ["a"]
    loop.run_until_complete(made.aclose())
    loop.close()


def test_many_threads_register_at_once(room: Path, run: Run) -> None:
    async def body() -> None:
        made = monitor(room)
        made.start()
        await asyncio.gather(*(asyncio.to_thread(made.register, f"c{n}", nothing) for n in range(20)))
        assert len(made.names) == 20
        await asyncio.gather(*(asyncio.to_thread(made.unregister, name) for name in made.names))
        assert not listens(made)
        await made.aclose()

    run(body())


def test_object_whose_call_is_async_is_awaited(room: Path, run: Run) -> None:
    class Handler:
        async def __call__(self, request: Request) -> dict[str, Any]:
            return {"n": request["N"]}

    async def body() -> None:
        async with monitor(room) as made:
            made.register("a", Handler())
            assert (await said(room / "s", "a", n=3))["n"] == 3

    run(body())


def test_ambiguous_field_that_a_handler_asks_for_is_a_bad_request(room: Path, run: Run) -> None:
    async def body() -> None:
        async with monitor(room) as made:
            made.register("a", lambda request: {"n": request["n"]})
            talk = await Talk.to(room / "s")
            talk.say(b'{"Command":"a","n":1,"N":2}')
            assert (await talk.line())["Status"] == 102
            await talk.close()

    run(body())


def test_deferred_monitor_waits_for_its_start(room: Path, run: Run) -> None:
    async def body() -> None:
        made = Monitor(LocalSocket(path=str(room / "s")), deferred=True)
        made.register("a", nothing)
        assert not listens(made)
        async with made:
            assert listens(made)

    run(body())
