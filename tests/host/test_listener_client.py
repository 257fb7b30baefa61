"""Sending one request: what comes back, and what is raised here and sent by nobody."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugin_host.errors import CallTimeout, ListenerUnreachable, SocketError
from plugin_host.listener import client
from plugin_host.listener.client import send_command
from plugin_host.localsocket import LocalSocket, listen
from tests.host.talk import monitor, room
from tests.run import Run

__all__ = ["room"]


@contextmanager
def listening(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """A listener of the test's own making, for one client."""

    def once() -> None:
        connection, _ = server.accept()
        with connection:
            serve(connection)

    with listen(LocalSocket(path=str(path))) as server:
        server.setblocking(True)
        thread = threading.Thread(target=once)
        thread.start()
        yield
        thread.join()


def replying(*parts: bytes) -> Callable[[socket.socket], None]:
    """Reads the request, then writes these parts one by one."""

    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass
        for part in parts:
            connection.sendall(part)

    return serve


def test_reply_is_returned_whatever_its_status(room: Path, run: Run) -> None:
    import asyncio

    async def body() -> None:
        async with monitor(room) as made:
            made.register("echo", dict)
            path = room / "s"
            reply = await asyncio.to_thread(
                send_command, path, {"Command": "echo", "b": b"\xff", "n": 2**63}
            )
            assert reply == {"Status": 0, "StatusMessage": "", "b": b"\xff", "n": 2**63}
            assert (await asyncio.to_thread(send_command, path, {"Command": "x"}))["Status"] == 101

    run(body())


def test_reply_in_pieces_is_put_together(room: Path) -> None:
    with listening(room / "s", replying(b'{"Status"', b": 0", b"}")):
        assert send_command(room / "s", {}) == {"Status": 0}


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ((), "closed without a reply"),
        ((b'{"Status": 0',), "no reply: expected JSON"),
        ((b"[]",), "no Status"),
        ((b'{"Status": "0"}',), "no Status"),
        ((b"\xff",), "no reply"),
    ],
)
def test_what_is_no_reply_is_103(room: Path, parts: tuple[bytes, ...], problem: str) -> None:
    with (
        listening(room / "s", replying(*parts)),
        pytest.raises(ListenerUnreachable, match=problem) as caught,
    ):
        send_command(room / "s", {})
    assert (caught.value.code, caught.value.retryable) == (103, True)
    assert caught.value.path == str(room / "s")


def test_place_without_a_listener_is_103(room: Path) -> None:
    with pytest.raises(ListenerUnreachable, match="no listener is there"):
        send_command(room / "s", {})
    listen(LocalSocket(path=str(room / "s"))).close()
    with pytest.raises(ListenerUnreachable, match="nobody listens there any more") as caught:
        send_command(room / "s", {})
    assert caught.value.code == 103


def test_path_that_is_too_long_is_explained() -> None:
    with pytest.raises(SocketError, match="at most 107"):
        send_command("/tmp/" + "x" * 200, {})


def test_listener_that_says_nothing_is_a_timeout(room: Path) -> None:
    done = threading.Event()

    def wait(connection: socket.socket) -> None:
        done.wait(10)

    with listening(room / "s", wait):
        began = time.monotonic()
        with pytest.raises(CallTimeout, match=r"no reply within 0.1 s") as caught:
            send_command(room / "s", {}, timeout=0.1)
        done.set()
    assert caught.value.code == 104
    assert time.monotonic() - began < 5


def test_time_is_for_all_of_the_exchange(room: Path) -> None:
    """A listener that says a little now and then does not make it longer."""
    done = threading.Event()

    def trickle(connection: socket.socket) -> None:
        while not done.wait(0.02):
            connection.sendall(b" ")

    with listening(room / "s", trickle):
        with pytest.raises(CallTimeout):
            send_command(room / "s", {}, timeout=0.2)
        done.set()


def test_refusal_of_a_request_that_was_not_read_to_its_end_is_seen(room: Path) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(10)
        connection.sendall(b'{"Status": 102}')

    with listening(room / "s", refuse):
        assert send_command(room / "s", {"x": "x" * 5_000_000}) == {"Status": 102}


def test_endless_reply_is_not_kept(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_REPLY_BYTES", 1000)

    def flood(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(b"x" * 10_000)
        except OSError:
            pass

    with listening(room / "s", flood), pytest.raises(ListenerUnreachable, match="larger than 1000 bytes"):
        send_command(room / "s", {})


def test_request_that_json_cannot_carry_is_the_callers_error(room: Path) -> None:
    with pytest.raises(TypeError):
        send_command(room / "s", {"x": object()})
