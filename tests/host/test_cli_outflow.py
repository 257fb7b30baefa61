"""Bytes to slow, fast and broken readers, from a loop that goes on."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from plugin_host.cli.outflow import Outflow
from plugin_host.cli.output import WriteFailed
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

MIB = 1024 * 1024


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: the end to read from and the end to write to, which may be closed meanwhile."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            try:
                os.close(end)
            except OSError:
                pass


def drained(fd: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        data += os.read(fd, min(MIB, size - len(data)))
    return bytes(data)


def test_bytes_arrive_in_order_on_both_descriptors(run: Run) -> None:
    async def body() -> None:
        with pipe() as (out_read, out), pipe() as (err_read, err), closing(Outflow()) as outflow:
            for number in range(100):
                await outflow.write(out if number % 2 else err, bytes([number]))
            await outflow.flush()
            assert drained(out_read, 50) == bytes(range(1, 100, 2))
            assert drained(err_read, 50) == bytes(range(0, 100, 2))

    run(body())


def test_flush_waits_for_the_last_byte(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        data = os.urandom(4 * MIB)
        with (tmp_path / "file").open("wb") as file, closing(Outflow()) as outflow:
            for start in range(0, len(data), 65536):
                await outflow.write(file.fileno(), memoryview(data)[start : start + 65536])
            await outflow.flush()
            assert (tmp_path / "file").read_bytes() == data

    run(body())


def test_reader_that_stops_keeps_the_writer_waiting_and_not_the_loop(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        poured = 0

        async def pour() -> None:
            nonlocal poured
            while True:
                poured += 65536
                await outflow.write(write_end, bytes(65536))

        with pipe() as (read_end, write_end), closing(Outflow()) as outflow:
            pouring = asyncio.create_task(pour())
            before = -1
            while before != poured:
                before = poured
                for _ in range(20):
                    await asyncio.sleep(0.005)
            assert poured <= 2 * MIB
            assert not pouring.done()
            drained(read_end, poured - 65536)
            await wait_until.aio(lambda: poured > before)
            pouring.cancel()
            os.close(read_end)  # lets the thread go

    run(body())


def test_reader_of_a_nonblocking_pipe_gets_everything(run: Run) -> None:
    async def body() -> None:
        data = os.urandom(MIB)
        with pipe() as (read_end, write_end), closing(Outflow()) as outflow:
            os.set_blocking(write_end, False)
            await outflow.write(write_end, data)
            assert await asyncio.to_thread(drained, read_end, MIB) == data

    run(body())


@pytest.mark.parametrize("waits", [False, True])
def test_reader_that_went_away_is_told_to_the_writer(run: Run, waits: bool) -> None:
    async def body() -> None:
        with pipe() as (read_end, write_end), closing(Outflow()) as outflow:
            await outflow.write(write_end, bytes(MIB))
            waiting = asyncio.create_task(outflow.flush())
            if waits:
                await asyncio.to_thread(os.read, read_end, 1)
            os.close(read_end)
            with pytest.raises(BrokenPipeError):
                await waiting
            with pytest.raises(BrokenPipeError):
                await outflow.write(write_end, b"x")

    run(body())


def test_full_disk_is_told_to_the_writer(run: Run) -> None:
    async def body() -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        with closing(Outflow()) as outflow:
            await outflow.write(full, b"x")
            with pytest.raises(WriteFailed, match="No space left on device"):
                await outflow.flush()
        os.close(full)

    run(body())


def test_closing_does_not_wait_for_a_reader(run: Run) -> None:
    async def body() -> None:
        with pipe() as (read_end, write_end):
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
            with closing(Outflow()) as outflow:
                await outflow.write(write_end, bytes(MIB))
            os.close(read_end)

    run(body())
    # The thread has gone by itself; leaks are looked for after every test.


def test_loop_that_has_ended_is_not_called(run: Run) -> None:
    async def body(read_end: int, write_end: int) -> None:
        outflow = Outflow()
        await outflow.write(write_end, bytes(MIB))
        flushing = asyncio.create_task(outflow.flush())
        # Now the thread writes.
        await asyncio.to_thread(os.read, read_end, 1)
        flushing.cancel()
        outflow.close()

    with pipe() as (read_end, write_end):
        run(body(read_end, write_end))
        assert len(drained(read_end, MIB - 1)) == MIB - 1
