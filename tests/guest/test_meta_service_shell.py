"""A shell, byte by byte, with a websocket client that is not ours; and what its session makes of it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from plugin_host import Session
from plugin_host.errors import (
    CallFailed,
    InternalError,
    InvalidPayload,
    NoSuchEndPoint,
    SessionClosed,
    SessionExists,
    SessionNotFound,
    TerminalError,
)
from plugin_host.exec.viewer import Output
from plugin_host.guest import GuestTimes
from tests.guest.place import TIMES, Place, serving
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges


@asynccontextmanager
async def shell(
    place: Place, *command: str, **given: Any
) -> AsyncIterator[tuple[Session, ClientConnection]]:
    """A shell on both sides. A session that the test leaves open is closed by the server's end."""
    opening = asyncio.create_task(place.task.open_shell(list(command) or None, **given))
    action = await place.poll()
    assert action["type"] == "exec-shell"
    assert action["command"] == (list(command) or None)
    assert action["tty"] == given.get("tty", True)
    async with place.websocket(f"reply?id={action['id']}") as guest:
        yield await opening, guest


async def read(session: Session, **given: Any) -> dict[str, bytes]:
    """Everything that the session puts out, by stream."""
    found = {"stdout": b"", "stderr": b""}
    async with await session.attach(**given) as viewer:
        async for piece in viewer:
            assert isinstance(piece, Output)
            found[piece.stream] += piece.data
    return found


async def flood(guest: ClientConnection, size: int) -> None:
    """Send without credit, and take what comes, to the end of the connection."""
    for _ in range(0, size, 16 * 1024):
        await guest.send(b"\x00\x01" + bytes(16 * 1024))
    while True:
        await guest.recv()


def test_meta_service_shell(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, "cat", tty=False) as (session, guest):
            await session.write(b"hi")
            assert await guest.recv() == b"\x00\x00hi"
            await guest.send(b"\x01\x00\x00\x00\x00\x02")
            await guest.send(b"\x00\x01hello")
            assert await guest.recv() == b"\x01\x01\x00\x00\x00\x05"
            await guest.send(b"\x00\x01")
            await session.close_stdin()
            assert await guest.recv() == b"\x00\x00"
            await guest.send(b"\x05\x00")
            exit = await session.wait()
            assert (exit.code, exit.reason) == (0, "the guest reports success")
            await guest.close()
            assert await read(session) == {"stdout": b"hello", "stderr": b""}
            assert session.plugin == ""

    run(body())


def test_failure_is_an_exit_and_no_error(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, tty=False) as (session, guest):
            await guest.send(b"\x00\x02no\x00")
            await guest.send(b"\x00\x01")
            await guest.send(b"\x00\x02")
            await guest.send(b"\x05\x01")
            assert (await session.wait()).code == 1
            assert await read(session) == {"stdout": b"", "stderr": b"no\x00"}
            assert await session.totals() == {"stdout": 0, "stderr": 3}
            info = await session.get()
            assert (info.state, info.output["stderr"].end, info.viewers) == ("ended", 3, 0)

    run(body())


def test_terminal_has_a_size_and_ctrl_d(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, "bash", rows=50, cols=132) as (session, guest):
            assert await guest.recv() == b"\x03\x00\x84\x00\x32"
            await session.resize(rows=24, cols=80)
            assert await guest.recv() == b"\x03\x00\x50\x00\x18"
            await session.close_stdin()
            assert await guest.recv() == b"\x00\x00\x04"
            for rows, cols in ((0, 80), (24, 65536)):
                with pytest.raises(CallFailed):
                    await session.resize(rows=rows, cols=cols)
            with pytest.raises(TerminalError, match="no signals"):
                await session.signal("SIGINT")
            # It ends although nobody has closed its input.
            await guest.send(b"\x05\x00")
            assert (await session.wait()).code == 0
            with pytest.raises(SessionClosed):
                await session.write(b"x")
            with pytest.raises(SessionClosed):
                await session.resize(rows=1, cols=1)

    run(body())


def test_pipes_have_no_size(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, tty=False) as (session, _):
            with pytest.raises(TerminalError):
                await session.resize(rows=24, cols=80)

    run(body())


def test_input_waits_for_the_guest_to_consume_it(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, tty=False) as (session, guest):
            writing = asyncio.create_task(session.write(bytes(100_000)))
            messages = [await guest.recv() for _ in range(4)]
            assert [len(message) for message in messages] == [2 + 16 * 1024] * 4
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await guest.recv()
            assert not writing.done()
            await guest.send(b"\x01\x00\x00\x01\x00\x00")
            rest = b""
            while len(rest) < 100_000 - 64 * 1024:
                message = await guest.recv()
                assert isinstance(message, bytes)
                rest += message[2:]
            await writing

    run(body())


def test_output_beyond_the_window_is_fatal(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, tty=False) as (session, guest):
            # Nobody looks, so after a ring full nothing is acknowledged any more.
            with pytest.raises(ConnectionClosed):
                await flood(guest, 1_200_000)
            with pytest.raises(InternalError, match="ahead of its reader, and its window has 65536"):
                await session.wait()

    run(body())


def test_viewer_that_does_not_read_stops_the_guest_within_its_window(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, tty=False, replay_bytes=65536) as (session, guest):
            viewer = await session.attach(read_only=False)
            credit, sent = 65536, 0
            digest = hashlib.sha256()

            async def produce() -> None:
                nonlocal credit, sent
                for number in range(256):
                    block = bytes([number]) * (16 * 1024)
                    while credit < len(block):
                        message = await guest.recv()
                        assert message[:2] == b"\x01\x01"
                        credit += int.from_bytes(message[2:], "big")  # type: ignore[arg-type]
                    credit -= len(block)
                    await guest.send(b"\x00\x01" + block)
                    digest.update(block)
                    sent += len(block)
                await guest.send(b"\x00\x01")
                await guest.send(b"\x05\x00")

            producing = asyncio.create_task(produce())
            # The viewer's window, the ring behind it and the window of the wire.
            await wait_until.aio(lambda: sent >= 1024 * 1024)
            assert sent <= 1024 * 1024 + 65536 + 65536
            assert not producing.done()
            seen = hashlib.sha256()
            async for piece in viewer:
                assert isinstance(piece, Output)
                seen.update(piece.data)
            await producing
            assert seen.digest() == digest.digest()
            assert (await session.wait()).code == 0

    run(body())


def test_unknown_messages_and_texts_are_passed_over(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, tty=False) as (session, guest):
            for message in (b"\x02anything", b"\x99", "a text", b"\x00\x01x", b"\x05\x00"):
                await guest.send(message)
            assert (await session.wait()).code == 0
            assert (await read(session))["stdout"] == b"x"

    run(body())


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "empty message"),
        (b"\x00", "not how it is built"),
        (b"\x01\x00\x00", "not how it is built"),
        (b"\x05", "not how it is built"),
        (b"\x00\x00x", "not stream 0"),
        (b"\x01\x00\x00\x00\x00\x01", "were not sent"),
    ],
)
def test_broken_messages_end_the_shell_and_nothing_else(run: Run, message: bytes, words: str) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, tty=False) as (session, guest):
            await guest.send(message)
            with pytest.raises(ConnectionClosed):
                await guest.recv()
            with pytest.raises(InternalError, match=words):
                await session.wait()
            assert (await place.ask("GET", "ping")).status == 200
            assert place.task.state == "offered"

    run(body())


def test_message_beyond_the_read_limit_ends_the_shell(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, tty=False) as (session, guest):
            await guest.send(b"\x00\x01" + bytes(20 * 1024))
            with pytest.raises(ConnectionClosed):
                await guest.recv()
            with pytest.raises(InternalError):
                await session.wait()

    run(body())


def test_connection_that_ends_before_the_exit_is_no_failure_of_the_shell(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, tty=False) as (session, guest):
            await guest.send(b"\x00\x01partly")
            async with await session.attach() as viewer:
                assert (await anext(viewer)).offset == 0
                guest.transport.abort()
                with pytest.raises(InternalError, match="closed the connection before the exit"):
                    await anext(viewer)
            with pytest.raises(InternalError):
                await session.wait()
            assert session.exit is None

    run(body())


def test_close_aborts_and_a_second_says_so(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, tty=False) as (session, guest):
            viewer = await session.attach()
            closing = asyncio.create_task(session.close())
            assert await guest.recv() == b"\x04"
            await guest.send(b"\x00\x01last")
            await guest.close()
            await closing
            assert [piece.data async for piece in viewer if isinstance(piece, Output)] == [b"last"]
            assert (await session.wait()).reason == "it was closed"
            with pytest.raises(SessionNotFound):
                await session.close()

    run(body())


def test_guest_that_ignores_the_abort_is_cut_off(run: Run) -> None:
    async def body() -> None:
        times = GuestTimes(close=0.05)
        async with serving(times=times) as place, shell(place, tty=False) as (session, guest):
            await session.close()
            assert await guest.recv() == b"\x04"
            with pytest.raises(ConnectionClosed):
                await guest.recv()

    run(body())


def test_shell_that_sends_no_signs_of_life_is_lost(run: Run) -> None:
    async def body() -> None:
        times = GuestTimes(ping=0.05, pong=0.15, close=0.1)
        async with serving(times=times) as place:
            opening = asyncio.create_task(place.task.open_shell(tty=False))
            action = await place.poll()
            line = await place.line()
            line.begin(
                "GET",
                f"reply?id={action['id']}",
                Connection="Upgrade",
                Upgrade="websocket",
                Sec_WebSocket_Version="13",
                Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
            )
            assert (await line.answer()).status == 101
            session = await opening
            with pytest.raises(InternalError):  # it answers no ping
                await session.wait()

    run(body())


def test_shell_with_signs_of_life_stays(run: Run) -> None:
    async def body() -> None:
        times = GuestTimes(ping=0.02, pong=5.0)
        async with serving(times=times) as place, shell(place, tty=False) as (session, guest):
            for _ in range(3):
                pong = await guest.ping()
                await pong
                await asyncio.sleep(0.03)
            await guest.send(b"\x05\x00")
            assert (await session.wait()).code == 0

    run(body())


def test_ended_shell_leaves_no_timer_behind(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        loop: Any = asyncio.get_running_loop()
        before = set(loop._scheduled)  # of whoever runs this
        async with serving(times=GuestTimes(ping=30, pong=90)) as place:
            async with shell(place, tty=False) as (session, guest):
                await guest.send(b"\x05\x00")
                await session.wait()
            await wait_until.aio(lambda: all(one.cancelled() for one in set(loop._scheduled) - before))

    run(body())


def test_guest_that_cannot_open_a_shell_says_so(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            opening = asyncio.create_task(place.task.open_shell())
            action = await place.poll()
            word = {"X_Taskcluster_Worker_Error": "not-supported"}
            assert (await place.ask("POST", f"reply?id={action['id']}", b"", **word)).status == 200
            with pytest.raises(NoSuchEndPoint, match="exec-shell"):
                await opening

    run(body())


def test_shell_of_a_guest_takes_no_folder_of_its_own(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            with pytest.raises(InvalidPayload, match="cwd"):
                await place.task.open_shell(cwd="/")
            with pytest.raises(InvalidPayload, match="env"):
                await place.task.open_shell(env={"A": "1"})

    run(body())


def test_ids_of_shells_are_one_shells(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, tty=False, id="mine") as (session, guest):
            assert session.id == "mine"
            with pytest.raises(SessionExists):
                await place.task.open_shell(id="mine")
            with pytest.raises(CallFailed):
                await place.task.open_shell(id="not an id")
            closing = asyncio.create_task(session.close())
            await guest.close()
            await closing
            for ask in (session.get(), session.attach(), session.resize(rows=1, cols=1)):
                with pytest.raises(SessionNotFound):
                    await ask
            opening = asyncio.create_task(place.task.open_shell(id="mine"))
            await place.poll()
            opening.cancel()

    run(body())


def test_ctrl_d_waits_for_credit(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place) as (session, guest):
            await guest.recv()
            await session.write(bytes(64 * 1024))
            for _ in range(4):
                await guest.recv()
            await session.close_stdin()
            await guest.send(b"\x01\x00\x00\x00\x00\x05")
            assert await guest.recv() == b"\x00\x00\x04"

    run(body())


def test_terminal_has_no_stderr(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place) as (session, guest):
            await guest.send(b"\x00\x02x")
            with pytest.raises(InternalError, match="no stderr"):
                await session.wait()

    run(body())


def test_viewers_come_back_at_their_offsets(run: Run) -> None:
    async def body() -> None:
        async with serving() as place, shell(place, tty=False) as (session, guest):
            await guest.send(b"\x00\x01hello world")
            await guest.recv()
            with pytest.raises(CallFailed, match="no offset 12"):
                await session.attach(offset=12)
            viewer = await session.attach(offset={"stdout": 6, "stderr": None})
            assert (viewer.start, viewer.evicted) == (
                {"stdout": 6, "stderr": 0},
                {"stdout": 0, "stderr": 0},
            )
            piece = await anext(viewer)
            assert isinstance(piece, Output)
            assert (piece.offset, piece.data) == (6, b"world")
            assert (await session.get()).viewers == 1
            await session.detach()
            assert (await session.get()).viewers == 0
            await guest.send(b"\x05\x00")
            assert (await read(session, offset=6))["stdout"] == b"world"

    run(body())


def test_closed_task_ends_its_shells(run: Run) -> None:
    async def body() -> None:
        async with serving(times=TIMES) as place, shell(place, tty=False) as (session, guest):
            await place.ask("PUT", "success")
            closing = asyncio.create_task(place.task.close())
            assert await guest.recv() == b"\x04"
            await guest.close()
            await closing
            assert (await session.wait()).reason == "it was closed"
            with pytest.raises(Exception, match="no worker"):
                await place.task.open_shell()

    run(body())


def test_closed_task_waits_for_no_shell_for_ever(run: Run) -> None:
    async def body() -> None:
        times = GuestTimes(close=0.05)
        async with serving(times=times) as place, shell(place, tty=False) as (session, _):
            await place.ask("PUT", "failed")
            await place.task.close()  # the guest does nothing about it
            assert (await session.wait()).reason == "it was closed"

    run(body())


def test_shell_that_nobody_waits_for_any_more_is_refused(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            opening = asyncio.create_task(place.task.open_shell())
            action = await place.poll()
            opening.cancel()
            await asyncio.wait([opening])
            answer = await place.ask(
                "GET",
                f"reply?id={action['id']}",
                Connection="Upgrade",
                Upgrade="websocket",
                Sec_WebSocket_Version="13",
                Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
            )
            assert (answer.status, answer.code) == (400, "UnknownActionId")

    run(body())
