"""The client's end of descriptors takes what was promised, and closes whatever else comes."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from plugin_host.control import open_descriptors
from plugin_host.errors import CallFailed, HostUnreachable, RemoteProtocolError

Answer = Callable[[socket.socket], object]


@contextmanager
def answering(path: str, answer: Answer) -> Iterator[list[bytes]]:
    """A host that answers one token in its own way; what it was sent."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                asked.append(connection.recv(1000))
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            thread.join()
            os.unlink(path)


def sends(tags: bytes, count: int) -> Answer:
    """The answer of so many tags and descriptors."""

    def answer(connection: socket.socket) -> None:
        fds = [os.open("/dev/null", os.O_RDWR) for _ in range(count)]
        socket.send_fds(connection, [tags], fds)
        for fd in fds:
            os.close(fd)

    return answer


def test_tag_length_is_one_byte_for_each_descriptor(own_socket: str) -> None:
    for count in (1, 2, 3):
        with answering(own_socket, sends(b"F" * count, count)) as asked:
            fds = open_descriptors(own_socket, "token", count=count)
        assert asked == [b"token\n"]
        assert len(fds) == count
        for fd in fds:
            assert not os.get_inheritable(fd)
            os.close(fd)


def test_a_descriptor_survives_the_trip(own_socket: str) -> None:
    reading, writing = os.pipe()

    def answer(connection: socket.socket) -> None:
        socket.send_fds(connection, [b"F"], [writing])
        os.close(writing)

    with answering(own_socket, answer):
        (fd,) = open_descriptors(own_socket, "token")
    os.write(fd, b"through")
    os.close(fd)
    assert (os.read(reading, 100), os.read(reading, 100)) == (b"through", b"")
    os.close(reading)


@pytest.mark.parametrize(
    ("tags", "count", "reason"),
    [
        (b"X", 1, "b'X' came in the place of"),
        (b"FX", 2, "b'FX' came"),
        (b"F", 2, "2 descriptors came with 1 tags"),
        (b"FF", 1, "1 descriptors came with 2 tags"),
        (b"F", 0, "0 descriptors came with 1 tags"),
        (b"FFF", 3, "3 came instead of 2"),
        (b"F" * 9, 9, "9 came instead of 2"),
        (b"F" * 16, 40, "more came than there was room for"),
    ],
)
def test_a_wrong_answer_is_an_error_and_nothing_of_it_stays_open(
    own_socket: str, tags: bytes, count: int, reason: str
) -> None:
    before = os.listdir("/proc/self/fd")
    with answering(own_socket, sends(tags, count)), pytest.raises(RemoteProtocolError, match=reason):
        open_descriptors(own_socket, "token", count=2)
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_refusal_with_descriptors_leaves_none(own_socket: str) -> None:
    with answering(own_socket, sends(b"Eno", 2)), pytest.raises(CallFailed, match="no"):
        open_descriptors(own_socket, "token")


def test_the_reason_of_a_refusal_is_told_whole(own_socket: str) -> None:
    reason = "because " * 100

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"E" + reason[:50].encode())
        connection.sendall(reason[50:].encode())

    with answering(own_socket, answer), pytest.raises(CallFailed) as caught:
        open_descriptors(own_socket, "token")
    assert caught.value.message == reason


def test_a_host_that_says_nothing_is_an_error(own_socket: str) -> None:
    with (
        answering(own_socket, lambda _: None),
        pytest.raises(RemoteProtocolError, match="without a word"),
    ):
        open_descriptors(own_socket, "token")


def test_a_host_that_is_late_is_an_error(own_socket: str) -> None:
    go = threading.Event()
    with answering(own_socket, lambda _: go.wait(10)):
        with pytest.raises(HostUnreachable, match="does not answer"):
            open_descriptors(own_socket, "token", timeout=0.05)
        go.set()


def test_no_host_is_an_error(own_socket: str) -> None:
    with pytest.raises(HostUnreachable, match="No such file"):
        open_descriptors(own_socket, "token")
