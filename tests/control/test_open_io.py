"""Raw descriptors of sessions: plain read, write and shutdown, whatever other clients do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from plugin_host import Session
from plugin_host.control import ControlClient, open_descriptors
from plugin_host.errors import CallFailed, PluginDied, SessionClosed, SessionNotFound
from tests.control.arena import Arena, arena
from tests.otheruser import answer_to_nobody, needs_root, open_folder
from tests.run import Run
from tests.session import sh
from tests.stage import logged
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

__all__ = ["logged", "open_folder"]  # fixtures

FLOOD = "import os\nwhile True: os.write(1, b'x' * 65536)"


@asynccontextmanager
async def opened(
    client: ControlClient, session: Session, *streams: str, **terms: Any
) -> AsyncIterator[list[int]]:
    """The descriptors; those that the body did not close are closed at its end."""
    ticket = await client.open_io(session, streams, **terms)
    fds = await asyncio.to_thread(open_descriptors, ticket.socket, ticket.token, count=len(streams))
    same = [os.fstat(fd).st_ino for fd in fds]
    try:
        yield fds
    finally:
        for fd, inode in zip(fds, same, strict=True):
            with contextlib.suppress(OSError):
                if os.fstat(fd).st_ino == inode:
                    os.close(fd)


async def read(fd: int, most: int = 1 << 30) -> bytes:
    """To the end of file, or at least so many bytes."""

    def block() -> bytes:
        data = bytearray()
        while len(data) < most and (more := os.read(fd, 65536)):
            data += more
        return bytes(data)

    async with asyncio.timeout(10):
        return await asyncio.to_thread(block)


def shut(fd: int, how: int = socket.SHUT_WR) -> None:
    with socket.socket(fileno=os.dup(fd)) as sock:
        sock.shutdown(how)


def held(scene: Arena) -> int:
    """Splices that the host holds."""
    return len(scene.server.io._splices)


async def viewers(session: Session) -> int:
    return (await session.get()).viewers


def test_bytes_go_in_and_come_out_and_each_end_is_an_end(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", sh("cat; echo done >&2; exit 3"), tty=False)
            # In the order that was asked for.
            async with opened(client, session, "stderr", "stdin", "stdout") as (errors, stdin, stdout):
                os.write(stdin, b"first ")
                assert await read(stdout, 6) == b"first "
                os.write(stdin, b"and last")
                shut(stdin)
                assert await read(stdout) == b"and last"
                assert await read(errors) == b"done\n"
                assert (await session.wait()).code == 3
                with pytest.raises(BrokenPipeError):
                    os.write(stdin, b"more")
            await wait_until.aio(lambda: not held(scene))
            # What is kept can be read again, by somebody else, who reads nothing else.
            other = await scene.client()
            async with opened(other, await other.session(session.id), "stdout", offset=0) as (stdout,):
                assert await read(stdout) == b"first and last"

    run(body())


def test_one_descriptor_serves_input_and_output(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", ["cat"], tty=False)
            async with opened(client, session, "stdio") as (both,):
                os.write(both, b"there and back")
                shut(both)
                assert await read(both) == b"there and back"
            terminal = await client.exec("desk", sh("stty -echo; echo go; read x; echo got $x"), tty=True)
            async with opened(client, terminal, "stdio") as (both,):
                assert await read(both, 4) == b"go\r\n"
                os.write(both, b"line\n")
                shut(both)  # which is not the end of a terminal
                assert await read(both) == b"got line\r\n"
            terminal = await client.exec("desk", ["cat"], tty=True)
            async with opened(client, terminal, "stdio", close_stdin=True) as (both,):
                shut(both)  # unless that was asked for
                await read(both)
                assert (await terminal.wait()).code == 0

    run(body())


def test_a_bad_count_has_no_effect(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", ["cat"], tty=False)
            ended = await client.exec("desk", ["true"], tty=False)
            await ended.wait()
            before = len(os.listdir("/proc/self/fd"))
            wrong: dict[str, Any]
            for wrong in (
                {"streams": []},
                {"streams": ["stdin", "stdout", "stderr", "stdio"]},
                {"streams": ["stdout", "stdout"]},
                {"streams": ["stdlog"]},
                {"streams": -1},
                {"streams": [1]},
                {},
                {"streams": ["stdout"], "offset": -2},
                {"streams": ["stdout"], "lossless": "perhaps"},
            ):
                with pytest.raises(CallFailed) as caught:
                    await client.ask("host.open_io", {"session": session.id} | wrong)
                assert caught.value.name == "rpc.invalid_params", wrong
            with pytest.raises(SessionClosed):
                await client.open_io(ended, ["stdin"])
            with pytest.raises(SessionNotFound):
                await client.ask("host.open_io", {"streams": ["stdout"], "session": "none"})
            with pytest.raises(CallFailed):
                await client.ask("host.open_io", {"streams": ["stdout"]})
            assert len(scene.server.io._tickets) == 0
            await wait_until.aio(lambda: len(os.listdir("/proc/self/fd")) <= before)
            assert await viewers(session) == 0
            async with opened(client, session, "stdin", "stdout") as (stdin, stdout):
                os.close(stdin)
                assert await read(stdout) == b""

    run(body())


def test_a_token_is_good_once_and_for_a_time(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", ["cat"], tty=False)
            ticket = await client.open_io(session, ["stdin"], close_stdin=False)
            assert (ticket.socket, ticket.expires_s) == (f"{own_socket}.io", 30)
            (fd,) = await asyncio.to_thread(open_descriptors, ticket.socket, ticket.token)
            os.close(fd)
            with pytest.raises(CallFailed, match="no such token"):
                await asyncio.to_thread(open_descriptors, ticket.socket, ticket.token)
            scene.server.io._tickets.life_s = 0
            late = await client.open_io(session, ["stdin"])
            with pytest.raises(CallFailed, match="no such token"):
                await asyncio.to_thread(open_descriptors, late.socket, late.token)
            # A promise is not kept for a session that is gone.
            scene.server.io._tickets.life_s = 30
            other = await client.exec("desk", ["cat"], tty=False)
            gone = await client.open_io(other, ["stdout"])
            await other.close()
            with pytest.raises(CallFailed, match="no such session"):
                await asyncio.to_thread(open_descriptors, gone.socket, gone.token)

    run(body())


@needs_root
def test_another_user_gets_nothing_and_spends_the_token(
    tmp_path: Path, open_folder: Path, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, str(open_folder / "c.sock"), mode=0o666) as scene:
            client = await scene.client()
            session = await client.exec("desk", ["cat"], tty=False)
            ticket = await client.open_io(session, ["stdin", "stdout"])
            shown = f"{ticket.token}\n".encode()
            said = await asyncio.to_thread(answer_to_nobody, ticket.socket, shown)
            assert said.startswith(b"Ethis token is that of another user")
            with pytest.raises(CallFailed, match="no such token"):
                await asyncio.to_thread(open_descriptors, ticket.socket, ticket.token)

    run(body())


@needs_root
def test_who_is_not_admitted_is_told_and_spends_no_token(
    tmp_path: Path, open_folder: Path, run: Run, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with arena(tmp_path, str(open_folder / "c.sock")) as scene:
            client = await scene.client()
            session = await client.exec("desk", ["cat"], tty=False)
            ticket = await client.open_io(session, ["stdin"])
            shown = f"{ticket.token}\n".encode()
            with pytest.raises(PermissionError):
                await asyncio.to_thread(answer_to_nobody, ticket.socket, shown)
            os.chmod(ticket.socket, 0o666)
            said = await asyncio.to_thread(answer_to_nobody, ticket.socket, shown)
            assert said.startswith(b"Eprocess ")
            assert b"of uid 65534 is not admitted: this socket is for root" in said
            assert "c.sock.io: process" in logged.text
            for fd in await asyncio.to_thread(open_descriptors, ticket.socket, ticket.token):
                os.close(fd)

    run(body())


def test_who_may_not_use_a_session_gets_no_token(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, share="owner") as scene:
            owner, other = await scene.client(), await scene.client()
            session = await owner.exec("desk", ["cat"], tty=False)
            with pytest.raises(CallFailed) as caught:
                await other.ask("host.open_io", {"session": session.id, "streams": ["stdout"]})
            assert caught.value.name == "host.permission_denied"
            async with opened(owner, session, "stdin"):
                pass

    run(body())


def test_a_slow_reader_of_one_descriptor_holds_back_no_other(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            script = "head -c 20000000 /dev/zero & while read x; do echo $x >&2; done; wait"
            session = await client.exec("desk", sh(script), tty=False)
            other = await client.exec("desk", ["cat"], tty=False)
            async with (
                opened(client, session, "stdin", "stdout", "stderr") as (stdin, stdout, errors),
                opened(client, other, "stdin", "stdout") as (there, back),
            ):
                await read(stdout, 1)  # it flows, and from here on nobody reads it
                for _ in range(20):
                    os.write(stdin, b"line\n")
                    assert await read(errors, 5) == b"line\n"
                    os.write(there, b"other")
                    assert await read(back, 5) == b"other"
                assert session.exit is None
                shut(stdin)
                assert len(await read(stdout)) > 19_000_000
                assert await read(errors) == b""

    run(body())


def test_an_output_that_nobody_asked_for_holds_back_none(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", sh("head -c 4000000 /dev/zero >&2; head -n 1"), tty=False)
            async with opened(client, session, "stdin", "stdout", lossless=True) as (stdin, stdout):
                os.write(stdin, b"done\n")
                assert await read(stdout) == b"done\n"

    run(body())


def test_a_lossy_reader_that_falls_behind_is_cut_and_never_shortened(
    tmp_path: Path, own_socket: str, run: Run, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            script = "for i in 1 2 3 4 5; do head -c 2000000 /dev/zero; done; cat >&2"
            session = await client.exec("desk", sh(script), tty=False)
            # Who asks for input is waited for; who comes to look besides is not.
            async with (
                opened(client, session, "stdin", "stdout") as (stdin, stdout),
                opened(client, session, "stdout") as (second,),
            ):
                assert len(await read(stdout, 10_000_000)) == 10_000_000
                with pytest.raises(ConnectionResetError):
                    await read(second)
                assert "fell behind and lost" in logged.text
                (told,) = [one for one in scene.host.logs.records() if one.source == "host"]
                assert "stdout is cut" in told.message
                os.close(stdin)
                assert await read(stdout) == b""
            # A beginning that is kept no longer is refused, not left out.
            ticket = await client.open_io(session, ["stdout"], offset=0)
            with pytest.raises(CallFailed, match="bytes of stdout that were asked for are kept no longer"):
                await asyncio.to_thread(open_descriptors, ticket.socket, ticket.token)

    run(body())


CLIENT = """
import sys, time
from plugin_host.control import open_descriptors
open_descriptors(sys.argv[1], sys.argv[2])
print("ready", flush=True)
time.sleep(100)
"""


@pytest.mark.deadline(60)
def test_a_dead_client_does_not_stop_others(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            quiet = await client.exec("desk", ["cat"], tty=False)
            flood = await client.exec("desk", [sys.executable, "-c", FLOOD], tty=False)
            processes = []
            for session, streams in ((quiet, ["stdout", "stderr"]), (flood, ["stdout", "stderr"])):
                ticket = await client.open_io(session, streams)
                command = [sys.executable, "-c", CLIENT, ticket.socket, ticket.token]
                process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
                assert process.stdout is not None
                assert await process.stdout.readline() == b"ready\n"
                processes.append(process)
            async with opened(client, quiet, "stdin", "stdout") as (stdin, stdout):
                assert held(scene) == 3
                for process in processes:
                    process.send_signal(signal.SIGKILL)
                    await process.wait()
                # Also that of the session that says nothing.
                await wait_until.aio(lambda: held(scene) == 1)
                await wait_until.aio(lambda: _none(flood))
                assert await viewers(quiet) == 1
                os.write(stdin, b"still here")
                assert await read(stdout, 10) == b"still here"
                # The flood runs on, for whoever comes.
                async with opened(client, flood, "stdout", offset=-1) as (output,):
                    assert len(await read(output, 3_000_000)) >= 3_000_000

    run(body())


def test_closing_an_output_ends_that_output_alone(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", sh("echo a; echo b >&2; cat"), tty=False)
            async with opened(client, session, "stdin", "stdout", "stderr") as (stdin, stdout, errors):
                assert await read(errors, 2) == b"b\n"
                os.close(errors)
                os.write(stdin, b"c")
                assert await read(stdout, 3) == b"a\nc"
                os.close(stdout)
                await wait_until.aio(lambda: _none(session))
                assert held(scene) == 1  # for the input
                assert session.exit is None
                os.close(stdin)
                assert (await session.wait()).code == 0

    run(body())


async def _none(session: Session) -> bool:
    return await viewers(session) == 0


def test_no_descriptor_leaks_when_sending_fails(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", ["cat"], tty=False)
            before = _sockets()
            # A client that goes as soon as it has shown its token.
            for _ in range(5):
                ticket = await client.open_io(session, ["stdin", "stdout", "stderr"])
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.connect(ticket.socket)
                    sock.sendall(ticket.token.encode() + b"\n")
            # And a system that does not send.
            with monkeypatch.context() as patch:
                patch.setattr("plugin_host.control.iosocket.socket.send_fds", fail)
                ticket = await client.open_io(session, ["stdio"])
                with pytest.raises(Exception, match="without a word"):
                    await asyncio.to_thread(open_descriptors, ticket.socket, ticket.token)

            # And no descriptors to make, or too few.
            for room in (0, 2):
                pairs = [socket.socketpair() for _ in range(room)]
                some = Mock(side_effect=[*pairs, OSError(24, "Too many open files")])
                ticket = await client.open_io(session, ["stdout", "stdin", "stderr"])
                with monkeypatch.context() as patch:
                    patch.setattr("plugin_host.control.splice.socket.socketpair", some)
                    with pytest.raises(CallFailed, match="Too many open files"):
                        await asyncio.to_thread(open_descriptors, ticket.socket, ticket.token)
            await wait_until.aio(lambda: not scene.server.io._waiting and not held(scene))
            await wait_until.aio(lambda: _none(session))
            await wait_until.aio(lambda: _sockets() <= before)  # something may have been under way then
            # The input of a client that never had it was not ended.
            async with opened(client, session, "stdio") as (both,):
                os.write(both, b"open")
                assert await read(both, 4) == b"open"

    run(body())


def _sockets() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_a_plugin_that_dies_resets_its_descriptors_and_no_others(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", sh("echo out; cat"), tty=False)
            async with opened(client, session, "stdin", "stdout", "stderr") as (stdin, stdout, errors):
                assert await read(stdout, 4) == b"out\n"
                with pytest.raises(PluginDied):
                    await client.call("desk", "die")
                for fd in (stdout, errors):
                    with pytest.raises(ConnectionResetError):
                        await read(fd)
                with pytest.raises((BrokenPipeError, ConnectionResetError)):
                    await wait_until.aio(lambda: not os.write(stdin, b"x"))
                await wait_until.aio(lambda: not held(scene))

    run(body())


@pytest.mark.parametrize("streams", [["stdout"], ["stdio"]], ids=str)
def test_a_host_that_stops_lets_go_of_every_descriptor(
    tmp_path: Path, own_socket: str, run: Run, streams: Sequence[str]
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", [sys.executable, "-c", FLOOD], tty=False)
            ticket = await client.open_io(session, streams)
            (fd,) = await asyncio.to_thread(open_descriptors, ticket.socket, ticket.token)
            await read(fd, 1)
            unspent = await client.open_io(session, streams)
        if streams == ["stdio"]:  # which cannot be reset
            await read(fd)
        else:
            with pytest.raises(ConnectionResetError):
                await read(fd)
        os.close(fd)
        with pytest.raises(Exception, match="No such file"):
            await asyncio.to_thread(open_descriptors, unspent.socket, unspent.token)

    run(body())


def test_descriptors_outlive_the_client_that_asked_for_them(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client(keep=True)
            session = await client.exec("desk", ["cat"], tty=False)
            async with opened(client, session, "stdin", "stdout") as (stdin, stdout):
                await client.close()
                os.write(stdin, b"on and on")
                os.close(stdin)
                assert await read(stdout) == b"on and on"

    run(body())
