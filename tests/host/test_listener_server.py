"""A command listener and its clients: none harms another, and handlers may do as they like."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import stat
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from plugin_host.errors import CommandError, SocketError, SocketInUse
from plugin_host.listener.monitor import Monitor
from plugin_host.listener.request import Request
from plugin_host.localsocket import LocalSocket, listen
from tests.host.talk import ECHO, SLOW, Held, Talk, echo, exchanged, monitor, room, said, serving
from tests.otheruser import NOBODY, answer_to_nobody, needs_root, open_folder
from tests.run import Run
from tests.stage import logged
from tests.wait import WaitUntil

__all__ = ["logged", "open_folder", "room"]


# Handlers.


def test_failing_handler_is_105_with_the_text_of_its_error_and_named_in_the_log(
    room: Path, run: Run, logged: pytest.LogCaptureFixture
) -> None:
    def fail(request: Request) -> None:
        raise ValueError("no luck")

    async def body() -> None:
        async with serving(room, fail=fail):
            reply = await said(room / "s", "fail")
            assert reply == {"Status": 105, "StatusMessage": "no luck", "ErrorType": "ValueError"}
            assert (await said(room / "s", "echo"))["Status"] == 0
            assert "command 'fail': its handler failed" in logged.text

    run(body())


def test_result_that_json_cannot_carry_is_106(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room, odd=lambda request: {"a": object()}):
            reply = await said(room / "s", "odd")
            assert reply["Status"] == 106
            assert "object" in reply["StatusMessage"]

    run(body())


def test_handlers_own_status_and_fields_are_kept(room: Path, run: Run) -> None:
    def own(request: Request) -> None:
        raise CommandError(42, "too hot", Degrees=99)

    async def body() -> None:
        async with serving(room, own=own):
            reply = await said(room / "s", "own")
            assert reply == {"Status": 42, "StatusMessage": "too hot", "Degrees": 99}

    run(body())


@pytest.mark.parametrize(
    ("result", "fields"), [(None, {}), (5, {"Result": 5}), ([1], {"Result": [1]}), ({"a": 1}, {"a": 1})]
)
def test_map_stands_beside_the_status_and_any_other_result_in_a_field(
    room: Path, run: Run, result: Any, fields: dict[str, Any]
) -> None:
    async def body() -> None:
        async with serving(room, give=lambda request: result):
            assert await said(room / "s", "give") == {"Status": 0, "StatusMessage": "", **fields}

    run(body())


def test_plain_handler_runs_beside_the_loop(room: Path, run: Run) -> None:
    go = threading.Event()

    def plain(request: Request) -> dict[str, Any]:
        return {"thread": threading.current_thread() is not threading.main_thread(), "went": go.wait(10)}

    async def body() -> None:
        async with serving(room, plain=plain):
            asking = asyncio.create_task(said(room / "s", "plain"))
            assert (await said(room / "s", "echo"))["Status"] == 0
            go.set()
            reply = await asking
            assert (reply["thread"], reply["went"]) == (True, True)

    run(body())


def test_handler_knows_who_asks_by_the_kernels_word(room: Path, run: Run) -> None:
    async def body() -> None:
        def who(request: Request) -> dict[str, Any]:
            assert request.peer is not None
            return {"pid": request.peer.pid, "uid": request.peer.uid}

        async with serving(room, who=who):
            reply = await said(room / "s", "who")
            assert (reply["pid"], reply["uid"]) == (os.getpid(), os.geteuid())

    run(body())


# Clients that go away, and many of them.


def test_client_that_goes_away_cancels_its_call(room: Path, run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        held = Held()
        async with serving(room, held=held):
            talk = await Talk.to(room / "s")
            talk.say(b'{"Command":"held"}')
            await held.began.wait()
            await talk.close()
            await wait_until.aio(lambda: held.cancelled)

    run(body())


def test_client_that_only_ended_its_writing_has_not_gone(room: Path, run: Run) -> None:
    async def body() -> None:
        held = Held()
        async with serving(room, held=held):
            talk = await Talk.to(room / "s")
            talk.say(b'{"Command":"held"}\n')
            talk.end()
            await held.began.wait()
            for _ in range(20):
                await asyncio.sleep(0)
            held.go.set()
            assert (await talk.line())["Status"] == 0
            await talk.close()
        assert held.finished

    run(body())


@pytest.mark.edges
def test_silent_clients_take_their_places_only_for_their_time(room: Path, run: Run) -> None:
    async def body() -> None:
        limits = dataclasses.replace(SLOW, read_s=0.3, linger_s=0.05, connections=3)
        async with serving(room, limits):
            silent = [await Talk.to(room / "s") for _ in range(6)]
            assert (await said(room / "s", "echo"))["Status"] == 0
            for talk in silent:
                assert json.loads(await talk.rest())["Status"] == 104
                await talk.close()

    run(body())


@pytest.mark.edges
def test_two_hundred_clients_at_once_are_all_answered(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room):
            replies = await asyncio.gather(*(said(room / "s", "echo", n=n) for n in range(200)))
            assert [reply["n"] for reply in replies] == list(range(200))

    run(body())


@pytest.mark.parametrize("junk", [b"\x00" * 1000, b"\xff\xfe", b"GET / HTTP/1.1\r\n\r\n", b"{" * 5000])
def test_garbage_hurts_nobody_else_and_is_logged(
    room: Path, run: Run, junk: bytes, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        held = Held()
        async with serving(room, held=held):
            other = asyncio.create_task(said(room / "s", "held"))
            await held.began.wait()
            (reply,) = await exchanged(room / "s", junk)
            assert reply["Status"] == 102
            assert f"process {os.getpid()} is given up: line 1, column" in logged.text
            held.go.set()
            assert (await other)["Status"] == 0

    run(body())


def test_loop_has_its_turns_while_a_large_request_is_scanned(room: Path, run: Run) -> None:
    """The costliest of requests, nothing but tiny tokens, is looked at in small parts."""

    async def body() -> None:
        longest, last = 0.0, time.thread_time()

        async def beat() -> None:
            nonlocal longest, last
            while True:
                last = time.thread_time()
                await asyncio.sleep(0)
                longest = max(longest, time.thread_time() - last)

        async with serving(room):
            talk = await Talk.to(room / "s")
            beating = asyncio.create_task(beat())
            talk.say(b'{"Command":"nothing","a":[' + b"[1]," * 20_000)
            await asyncio.to_thread(time.sleep, 0)
            talk.say(b"x")
            assert (await talk.line())["Status"] == 102
            beating.cancel()
            await talk.close()
        assert longest < 0.25

    run(body())


# Starting and stopping.


def test_socket_and_folder_have_their_modes(room: Path, run: Run) -> None:
    async def body() -> None:
        made = Monitor(LocalSocket(path=str(room / "new" / "s")))
        made.register("echo", echo)
        assert stat.S_IMODE((room / "new" / "s").stat().st_mode) == 0o600
        assert stat.S_IMODE((room / "new").stat().st_mode) == 0o700
        await made.aclose()

    run(body())


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o700])
def test_listener_answers_with_every_mode(room: Path, run: Run, mode: int) -> None:
    async def body() -> None:
        made = Monitor(LocalSocket(path=str(room / "s"), mode=mode, group=os.getegid()))
        made.register("echo", echo)
        async with made:
            assert (await said(room / "s", "echo"))["Status"] == 0

    run(body())


@pytest.mark.edges
@needs_root
def test_another_user_is_admitted_only_by_the_mode_it_was_made_with(
    open_folder: Path, run: Run, logged: pytest.LogCaptureFixture
) -> None:
    """Also over a descriptor that got around the socket's own permissions."""
    place = open_folder / "s"

    async def ask(*groups: int) -> str:
        return (await asyncio.to_thread(answer_to_nobody, place, b"{}", *groups)).decode()

    async def body() -> None:
        async with serving_at(LocalSocket(path=str(place))):
            with pytest.raises(PermissionError):
                await ask()
            place.chmod(0o666)  # as if it had been passed on
            assert '"Status": 107' in await ask()
            assert f"of uid {NOBODY.pw_uid} is not admitted" in logged.text
        async with serving_at(LocalSocket(path=str(place), mode=0o660, group=4242)):
            place.chmod(0o666)
            assert '"Status": 107' in await ask()
            assert '"Status": 101' in await ask(4242)
        async with serving_at(LocalSocket(path=str(place), mode=0o666)):
            assert '"Status": 101' in await ask()

    run(body())


@asynccontextmanager
async def serving_at(place: LocalSocket) -> AsyncIterator[None]:
    made = Monitor(place)
    made.register("echo", echo)
    try:
        yield
    finally:
        await made.aclose()


def test_second_listener_at_the_place_is_an_error_that_leaves_the_first_alone(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room):
            other = monitor(room)
            with pytest.raises(SocketInUse, match=f"process {os.getpid()}"):
                other.register("echo", echo)
            assert other.names == []
            assert (await said(room / "s", "echo"))["Status"] == 0

    run(body())


def test_failed_start_can_be_tried_again(room: Path, run: Run) -> None:
    async def body() -> None:
        made = monitor(room)
        with listen(LocalSocket(path=str(room / "s"))), pytest.raises(SocketError):
            made.register("echo", echo)
        made.register("echo", echo)
        assert (await said(room / "s", "echo"))["Status"] == 0
        await made.aclose()

    run(body())


def test_closing_lets_what_runs_finish_and_nobody_new_in(room: Path, run: Run) -> None:
    async def body() -> None:
        held = Held()
        made = serving(room, held=held)
        asking = asyncio.create_task(said(room / "s", "held"))
        await held.began.wait()
        closing = asyncio.create_task(made.aclose(5))
        await asyncio.sleep(0)
        assert os.listdir(room) == []
        held.go.set()
        assert (await asking)["Status"] == 0
        await closing

    run(body())


def test_closing_cancels_what_takes_too_long_and_says_so(room: Path, run: Run) -> None:
    async def body() -> None:
        held = Held()
        made = serving(room, held=held)
        asking = asyncio.create_task(said(room / "s", "held"))
        await held.began.wait()
        await made.aclose(0.01)
        reply = await asking
        assert (reply["Status"], held.cancelled) == (105, True)
        assert "closing" in reply["StatusMessage"]

    run(body())


def test_closing_waits_for_a_handler_whose_time_was_over_and_that_still_cleans_up(
    room: Path, run: Run
) -> None:
    async def body() -> None:
        ended = []

        async def stubborn(request: Request) -> None:
            try:
                await asyncio.sleep(30)
            finally:
                await asyncio.sleep(0.2)
                ended.append(True)

        made = serving(room, dataclasses.replace(SLOW, handle_s=0.05, close_s=5), stubborn=stubborn)
        assert (await said(room / "s", "stubborn"))["Status"] == 104
        assert ended == []
        await made.aclose()
        assert ended == [True]

    run(body())


def test_closing_does_not_wait_for_clients_that_have_not_asked(room: Path, run: Run) -> None:
    async def body() -> None:
        made = serving(room)
        silent = await Talk.to(room / "s")
        many = await Talk.to(room / "s")
        many.say(b"\n" + ECHO + b"\n")
        await many.line()
        await made.aclose(5)
        assert await silent.rest() == await many.rest() == b""
        await silent.close()
        await many.close()

    run(body(), timeout=3)


def test_name_that_another_process_has_taken_is_not_removed(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room):
            (room / "s").unlink()
            (room / "s").write_text("not ours")
        assert (room / "s").read_text() == "not ours"

    run(body())
