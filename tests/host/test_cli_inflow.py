"""Reading from pipes, terminals, files and what is neither."""

from __future__ import annotations

import asyncio
import os
import pty
import termios
import tty
from contextlib import aclosing
from pathlib import Path

import pytest

from plugin_host.cli.failure import ReadFailed
from plugin_host.cli.inflow import pieces
from tests.run import Run

pytestmark = pytest.mark.edges

MIB = 1024 * 1024


async def everything(fd: int) -> bytes:
    return b"".join([piece async for piece in pieces(fd)])


async def settled(fd: int) -> int:
    """The bytes that wait in a pipe once nothing is read from it any more."""
    before = -1
    while (waiting := _waiting(fd)) != before:
        before = waiting
        await asyncio.sleep(0.05)
    return waiting


def _waiting(fd: int) -> int:
    import fcntl

    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), "little")


def test_pipe_is_read_to_its_end(run: Run) -> None:
    async def body() -> None:
        data = os.urandom(4 * MIB)
        read_end, write_end = os.pipe()

        def fill() -> None:
            with open(write_end, "wb") as file:
                file.write(data)

        filling = asyncio.create_task(asyncio.to_thread(fill))
        assert await everything(read_end) == data
        await filling
        os.close(read_end)

    run(body())


def test_file_is_read_to_its_end(run: Run, tmp_path: Path) -> None:
    data = os.urandom(MIB + 1)
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file:
        assert run(everything(file.fileno())) == data


def test_null_device_is_empty(run: Run) -> None:
    with open("/dev/null", "rb") as file:
        assert run(everything(file.fileno())) == b""


def test_folder_cannot_be_read(run: Run, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(ReadFailed, match="cannot read stdin: Is a directory"):
        run(everything(fd))
    os.close(fd)


def test_terminal_gives_what_is_typed_and_ends_when_it_is_gone(run: Run) -> None:
    async def body() -> None:
        keyboard, terminal = pty.openpty()
        tty.setraw(terminal)
        async with aclosing(pieces(terminal)) as typed:
            os.write(keyboard, b"a\x03")
            assert await anext(typed) == b"a\x03"
            os.close(keyboard)
            with pytest.raises(StopAsyncIteration):
                await anext(typed)
        os.close(terminal)

    run(body())


def test_end_of_file_key_ends_the_reading(run: Run) -> None:
    async def body() -> None:
        keyboard, terminal = pty.openpty()
        os.write(keyboard, b"line\n\x04")
        assert await everything(terminal) == b"line\n"
        os.close(keyboard)
        os.close(terminal)

    run(body())


def test_no_more_is_read_than_is_taken(run: Run) -> None:
    async def body() -> None:
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        poured = 0

        def pour() -> None:
            nonlocal poured
            try:
                poured += os.write(write_end, bytes(65536))
            except BlockingIOError:
                pass

        async with aclosing(pieces(read_end)) as reading:
            for _ in range(100):
                pour()
                await asyncio.sleep(0.001)
            asyncio.get_running_loop().call_soon(pour)
            await anext(reading)
            for _ in range(100):
                pour()
                await asyncio.sleep(0.001)
            assert poured <= 10 * 65536
        os.close(read_end)
        os.close(write_end)

    run(body())


def test_nothing_is_read_once_the_iteration_is_left(run: Run) -> None:
    async def body() -> None:
        read_end, write_end = os.pipe()
        os.write(write_end, b"mine")
        async with aclosing(pieces(read_end)) as reading:
            assert await anext(reading) == b"mine"
        os.write(write_end, b"for the next")
        assert await settled(read_end) == len(b"for the next")
        os.close(read_end)
        os.close(write_end)

    run(body())


def test_shared_descriptor_stays_blocking(run: Run) -> None:
    async def body() -> None:
        read_end, write_end = os.pipe()
        os.write(write_end, b"x")
        async with aclosing(pieces(read_end)) as reading:
            await anext(reading)
            assert os.get_blocking(read_end)
        os.close(read_end)
        os.close(write_end)

    run(body())


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_two_can_read_the_same(run: Run, kind: str) -> None:
    async def read(fd: int) -> bytes:
        async with aclosing(pieces(fd)) as reading:
            return await anext(reading)

    async def body() -> None:
        read_end, write_end = os.pipe() if kind == "pipe" else pty.openpty()[::-1]
        waiting = {asyncio.create_task(read(read_end)) for _ in range(2)}
        while waiting:
            await asyncio.sleep(0)
            os.write(write_end, b"line\n")
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert [reader.result() for reader in done] == [b"line\n"]
        os.close(read_end)
        os.close(write_end)

    run(body())
