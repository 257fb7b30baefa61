"""The socket for tokens: whoever comes without a good one is dropped alone, with a reason."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from plugin_host import PluginHost
from plugin_host.control import ControlServer
from plugin_host.control import iosocket as module
from plugin_host.control.grant import Grant
from plugin_host.control.iosocket import IoSocket, io_place
from plugin_host.errors import CallFailed, SocketError, SocketInUse
from plugin_host.localsocket import LocalSocket
from tests.run import Run
from tests.stage import logged
from tests.wait import WaitUntil

__all__ = ["logged"]  # a fixture


@asynccontextmanager
async def listening(path: str, told: list[str] | None = None) -> AsyncIterator[IoSocket]:
    """A socket that has given out no token; `told` gets its notes."""
    notes: list[str] = [] if told is None else told
    one = IoSocket(io_place(LocalSocket(path=path), path), notes.append)
    await one.start()
    try:
        yield one
    finally:
        await one.close()


def speak(path: str, parts: Sequence[bytes], ends: bool) -> bytes:
    answer = b""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(path)
        try:
            for part in parts:
                sock.sendall(part)
            if ends:
                sock.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass  # it had enough, and says why
        try:
            while more := sock.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
    return answer


async def say(path: str, *parts: bytes, ends: bool = False) -> bytes:
    """All that is answered."""
    return await asyncio.to_thread(speak, path, parts, ends)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([b"\n"], b"no such token"),
        ([b"unknown", b"-token", b"\n"], b"no such token"),
        ([b"\xff\xfe\0\n"], b"no such token"),
        ([b"one\ntwo\n"], b"expected a token and a newline"),
        ([b"one\nmore"], b"expected a token and a newline"),
        ([b"x" * 128 + b"\n"], b"expected a token"),
        ([b"x" * 1_000_000], b"expected a token"),
        ([b"GET / HTTP/1.1\r\n\r\n"], b"expected a token"),
    ],
    ids=lambda value: str(value[:1])[:30],
)
def test_garbage_is_refused_with_a_reason(
    own_socket: str, run: Run, parts: list[bytes], reason: bytes
) -> None:
    told: list[str] = []

    async def body() -> None:
        async with listening(own_socket, told) as one:
            answer = await say(one.path, *parts)
            assert answer[:1] == b"E"
            assert reason in answer
            assert reason.decode() in told[-1]

    run(body())


def test_half_a_token_is_refused_at_its_end(own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with listening(own_socket) as one:
            assert b"expected a token" in await say(one.path, b"half", ends=True)
            assert b"expected a token" in await say(one.path, ends=True)

    run(body())


def test_who_shows_no_token_in_time_is_dropped_alone(
    own_socket: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TOKEN_S", 0.05)

    async def body() -> None:
        async with listening(own_socket) as one:
            said = say(one.path), say(one.path, b"half"), say(one.path, b"unknown\n")
            idle, half, other = await asyncio.gather(*said)
            assert b"no token came within" in idle
            assert b"no token came within" in half
            assert b"no such token" in other

    run(body())


def test_a_crowd_of_idle_clients_is_bounded(
    own_socket: str, run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAITING", 20)

    async def body() -> None:
        async with listening(own_socket) as one:
            crowd = [await asyncio.open_unix_connection(one.path) for _ in range(20)]
            assert await say(one.path, b"unknown\n") == b""
            crowd.pop()[1].close()

            async def is_served() -> bool:
                return b"no such token" in await say(one.path, b"unknown\n")

            await wait_until.aio(is_served)
            for _, writer in crowd:
                writer.close()

    run(body())


def test_it_has_the_mode_of_the_control_socket_and_its_name_goes_with_it(own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with listening(own_socket) as one:
            assert one.path == f"{own_socket}.io"
            assert stat.S_IMODE(os.stat(one.path).st_mode) == 0o600
            assert stat.S_IMODE(os.stat(os.path.dirname(one.path)).st_mode) == 0o700
            with pytest.raises(SocketInUse):
                async with listening(own_socket):
                    pass

    run(body())
    assert not os.path.exists(f"{own_socket}.io")


def test_a_path_that_is_too_long_is_explained(sockets: str, run: Run) -> None:
    async def body() -> None:
        path = f"{sockets}/{'x' * (107 - len(sockets) - 1)}"
        with pytest.raises(SocketError, match=r"x\.io: this path has 110 bytes"):
            async with listening(path):
                pass

    run(body())


def test_an_inherited_socket_lends_its_mode(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as inherited:
        inherited.bind(path)
        os.chmod(path, 0o620)
        place = io_place(inherited, path)
        assert place is not None
        assert (place.path, place.mode, place.group) == (f"{path}.io", 0o620, os.stat(path).st_gid)
        os.unlink(path)
        assert io_place(inherited, path) is None


@pytest.mark.parametrize("name", ["", "\0ph-abstract-of-a-test", "unwritable"])
def test_an_inherited_socket_without_room_beside_it_serves_without_descriptors(
    tmp_path: Path, run: Run, name: str, logged: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "s") if name == "unwritable" else name
    if name == "unwritable":
        Path(f"{path}.io").write_text("in the way")
    inherited = socket.socket(socket.AF_UNIX)
    inherited.bind(path)
    inherited.listen()

    async def body() -> None:
        async with ControlServer(PluginHost(only=[]), inherited) as server:
            with pytest.raises(CallFailed, match="hands out no descriptors"):
                server.io.issue(Grant(session=None, streams=("stdin",), uid=0))  # type: ignore[arg-type]

    run(body())
    assert ("there will be no descriptors" in logged.text) == (name == "unwritable")


def test_a_host_that_cannot_listen_beside_its_control_socket_leaves_neither(sockets: str, run: Run) -> None:
    path = f"{sockets}/{'y' * (107 - len(sockets) - 1)}"

    async def body() -> None:
        with pytest.raises(SocketError, match=r"y\.io: this path has 110 bytes"):
            async with ControlServer(PluginHost(only=[]), LocalSocket(path=path)):
                pass

    run(body())
    assert not os.path.exists(path)
