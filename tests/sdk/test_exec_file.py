"""What authors return, read and written through descriptors that can be waited for."""

from __future__ import annotations

import errno
import gzip
import io
import os
import pty
import socket
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.exec.file import (
    adapt_files,
    adapt_reader,
    adapt_writer,
)
from tests.sdk.ends import EVERY, everything, is_ready, put, read_all, read_until


class OnlyRead:
    """What an author may write: read() and nothing else."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def read(self, size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def piped(data: bytes) -> int:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


def socketed(data: bytes) -> socket.socket:
    ours, theirs = socket.socketpair()
    theirs.sendall(data)
    theirs.close()
    return ours


class Decoded(OnlyRead):
    """Has a descriptor, which holds other bytes."""

    def __init__(self, fd: int, data: bytes) -> None:
        super().__init__(data)
        self.fd = fd

    def fileno(self) -> int:
        return self.fd

    def close(self) -> None:
        os.close(self.fd)


def filed(data: bytes) -> int:
    with made_file(data) as file:
        return os.dup(file.fileno())


def made_file(data: bytes) -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by its end
    file.write(data)
    file.seek(0)
    return file


SOURCES: dict[str, Callable[[bytes], Any]] = {
    "descriptor of a pipe": piped,
    "descriptor of a file": lambda data: filed(data),
    "raw pipe": lambda data: os.fdopen(piped(data), "rb", buffering=0),
    "buffered pipe": lambda data: os.fdopen(piped(data), "rb"),
    "text pipe": lambda data: os.fdopen(piped(data), encoding="utf-8"),
    "socket": socketed,
    "socket with a timeout": lambda data: timed(socketed(data)),
    "file of a socket": lambda data: closing_socket(socketed(data), lambda sock: sock.makefile("rb")),
    "raw file of a socket": lambda data: closing_socket(
        socketed(data), lambda sock: sock.makefile("rb", buffering=0)
    ),
    "text file of a socket": lambda data: closing_socket(socketed(data), lambda sock: sock.makefile("r")),
    "both directions of a socket": lambda data: closing_socket(
        socketed(data), lambda sock: sock.makefile("rwb")
    ),
    "regular file": made_file,
    "temporary file": lambda data: rewound(tempfile.NamedTemporaryFile(), data),  # noqa: SIM115
    "spooled file": lambda data: rewound(tempfile.SpooledTemporaryFile(10**9), data),  # noqa: SIM115
    "compressed": lambda data: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(data))),
    "decoded pipe": lambda data: Decoded(piped(data[::-1]), data),
    "memory": io.BytesIO,
    "text on memory": lambda data: io.TextIOWrapper(io.BytesIO(data)),
    "object": lambda data: OnlyRead(data[:100], data[100:]),
    "views": lambda data: OnlyRead(bytearray(data[:1]), memoryview(data[1:])),  # type: ignore[arg-type]
}


def timed(sock: socket.socket) -> socket.socket:
    sock.settimeout(60)
    return sock


def closing_socket(sock: socket.socket, make: Callable[[socket.socket], Any]) -> Any:
    """A file of the socket, which lives as long as that."""
    file = make(sock)
    sock.close()
    return file


def rewound(file: Any, data: bytes) -> Any:
    file.write(data)
    file.seek(0)
    return file


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("size", [0, 256, 40_000])
def test_every_kind_of_file_gives_its_bytes(source: str, size: int) -> None:
    data = (EVERY * (size // 256 + 1))[:size]
    end = adapt_reader(SOURCES[source](data))
    assert everything(end) == data
    assert end.error is None
    end.close()


def test_none_is_an_empty_stream() -> None:
    assert everything(adapt_reader(None)) == b""


def test_only_what_is_no_pipe_has_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("no thread is needed")

    monkeypatch.setattr("threading.Thread.start", refuse)
    without = [name for name in SOURCES if any(word in name for word in ("pipe", "socket", "memory"))]
    for name in set(without) - {"decoded pipe", "both directions of a socket"}:
        assert everything(adapt_reader(SOURCES[name](b"hi"))) == b"hi"


def test_large_memory_goes_through_a_pipe() -> None:
    data = EVERY * 4096
    end = adapt_reader(io.BytesIO(data))
    assert end.buffered == b""
    assert everything(end) == data


def test_memory_begins_where_it_was_read_to() -> None:
    memory = io.BytesIO(b"skip this")
    memory.seek(5)
    assert everything(adapt_reader(memory)) == b"this"
    assert memory.closed


@pytest.mark.parametrize("source", ["buffered pipe", "text pipe", "file of a socket"])
def test_what_lies_in_the_buffer_already_comes_first(source: str) -> None:
    file = SOURCES[source](b"first\nsecond\nthird\n")
    under = getattr(file, "buffer", file)
    assert under.readline() == b"first\n"
    end = adapt_reader(file)
    assert end.buffered == b"second\nthird\n"
    assert everything(end) == b"second\nthird\n"
    assert file.closed


def test_reading_does_not_wait_for_the_first_byte() -> None:
    reading, writing = os.pipe()
    end = adapt_reader(open(reading, "rb"))  # noqa: SIM115
    assert not is_ready(end.fd)
    os.write(writing, b"late")
    assert read_until(end.fd, b"late")
    os.close(writing)
    assert everything(end) == b""


def test_socket_with_a_timeout_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    end = adapt_reader(ours.makefile("rb"))
    ours.close()
    assert not is_ready(end.fd)
    end.close()
    theirs.close()


def test_terminal_is_read_up_to_its_hang_up() -> None:
    master, slave = pty.openpty()
    end = adapt_reader(slave)
    os.write(master, b"line\n")
    assert read_until(end.fd, b"line\n")
    os.close(master)
    assert everything(end) == b""


def test_terminals_file_serves_both_ways() -> None:
    master, slave = pty.openpty()
    file = open(master, "r+b", buffering=0)  # noqa: SIM115
    stdin, stdout, stderr = adapt_files(file, file, None)
    put(stdin, b"typed\n")
    assert read_until(slave, b"typed\n")
    os.write(slave, b"shown")
    assert b"shown" in read_until(stdout.fd, b"shown")
    for end in (stdin, stdout, stderr):
        end.close()
    os.close(slave)


def test_file_is_read_only_as_fast_as_it_is_taken() -> None:
    taken = 0

    class Endless:
        def read(self, size: int) -> bytes:
            nonlocal taken
            taken += size
            return bytes(size)

    end = adapt_reader(Endless())
    assert read_until(end.fd, b"\0")
    assert taken <= 1024 * 1024, "a pipe's worth and some"
    end.close()


def test_device_is_read() -> None:
    end = adapt_reader(open("/dev/zero", "rb", buffering=0))  # noqa: SIM115
    assert read_until(end.fd, b"\0\0\0\0")
    end.close()
    assert everything(adapt_reader(os.open("/dev/null", os.O_RDONLY))) == b""


def test_error_of_the_authors_read_is_kept_after_the_bytes_before_it() -> None:
    fault = OSError(errno.EIO, "the line broke")

    class Breaking:
        def __init__(self) -> None:
            self.answers: list[bytes | Exception] = [b"some", fault]
            self.closed = False

        def read(self, size: int) -> bytes:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        def close(self) -> None:
            self.closed = True

    breaking = Breaking()
    end = adapt_reader(breaking)
    assert read_all(end.fd) == b"some"
    assert end.error is fault
    end.close()


class Answering:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def read(self, size: int) -> Any:
        return self.answer


class Coroutine:
    async def read(self, size: int) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (Answering("text"), "open it in binary mode"),
        (Answering(None), "gave None: bytes are wanted"),
        (Answering(7), "gave 7: bytes are wanted"),
        (Coroutine(), "is a coroutine function"),
    ],
)
def test_what_read_must_not_give_is_explained(obj: Any, words: str) -> None:
    end = adapt_reader(obj)
    assert read_all(end.fd) == b""
    assert isinstance(end.error, TerminalError)
    assert words in str(end.error)
    end.close()


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (io.StringIO("x"), "holds text"),
        ("text", "is no file"),
        (b"bytes", "is no file"),
        (True, "is no file"),
        (-1, "is no file"),
        (3.5, "is no file"),
        (object(), "is no file"),
        (10**6, "closed already"),
    ],
)
@pytest.mark.parametrize("adapt", [adapt_reader, adapt_writer])
def test_what_is_no_file_is_refused(adapt: Callable[[Any], Any], obj: Any, words: str) -> None:
    with pytest.raises(TerminalError, match=words) as caught:
        adapt(obj)
    assert caught.value.data["reason"] == "bad_file"


def test_closed_files_and_wrong_ends_are_refused() -> None:
    reading, writing = os.pipe()
    ours, theirs = socket.socketpair()
    ours.close()
    for adapt, wrong in ((adapt_reader, writing), (adapt_writer, reading)):
        with pytest.raises(TerminalError, match="give the other end"):
            adapt(wrong)
        for closed in (closed_file(io.BytesIO()), closed_file(open(os.devnull, "rb")), ours):  # noqa: SIM115
            with pytest.raises(TerminalError, match="closed already"):
                adapt(closed)
    theirs.close()
    os.close(reading)
    os.close(writing)


def closed_file(file: Any) -> Any:
    file.close()
    return file
