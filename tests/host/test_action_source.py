"""Where the data of an action comes from, piece by piece."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from plugin_host.action.source import Source, open_source
from plugin_host.errors import CallFailed
from tests.wait import WaitUntil

WHOLE = bytes(range(256)) * 4096


async def read(source: Source) -> bytes:
    try:
        return b"".join([piece async for piece in source])
    finally:
        await source.close()


async def later() -> AsyncIterator[bytes]:
    for start in range(0, len(WHOLE), 100_000):
        await asyncio.sleep(0)
        yield WHOLE[start : start + 100_000]


def at_once() -> Iterator[bytes]:
    yield WHOLE[:10]
    yield WHOLE[10:]


@pytest.mark.parametrize("kind", ["bytes", "view", "path", "text", "file", "buffer", "async", "iterator"])
def test_whatever_holds_data_gives_it_whole(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(WHOLE)

    async def body() -> None:
        with path.open("rb") as file:
            data: Any = {
                "bytes": WHOLE,
                "view": memoryview(WHOLE),
                "path": path,
                "text": str(path),
                "file": file,
                "buffer": io.BytesIO(WHOLE),
                "async": later(),
                "iterator": at_once(),
            }[kind]
            source = await open_source(data)
            known = kind not in ("buffer", "async", "iterator")
            assert source.size == (len(WHOLE) if known else None)
            assert await read(source) == WHOLE
            assert source.sha256 == hashlib.sha256(WHOLE).hexdigest()

    asyncio.run(body())


def test_open_file_is_read_from_where_it_stands_and_left_open(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.seek(4)
        source = asyncio.run(open_source(file))
        assert source.size == 6
        assert asyncio.run(read(source)) == b"456789"
        assert not file.closed


@pytest.mark.parametrize("size", [len(WHOLE) - 1, len(WHOLE) + 1])
def test_data_of_another_size_than_was_said_is_an_error(size: int) -> None:
    source = asyncio.run(open_source(later(), size))
    with pytest.raises(CallFailed, match=f"not of {size} bytes"):
        asyncio.run(read(source))


def test_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(WHOLE)

    async def body() -> None:
        source = await open_source(path)
        path.write_bytes(b"less")
        with pytest.raises(CallFailed, match="any more"):
            await read(source)

    asyncio.run(body())


def test_file_is_never_whole_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with path.open("wb") as file:
        file.truncate(64 << 20)

    async def body() -> int:
        source = await open_source(path)
        size = 0
        async for piece in source:
            size += len(piece)
        await source.close()
        return size

    tracemalloc.start()
    try:
        assert asyncio.run(body()) == 64 << 20
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_what_is_no_data_is_said() -> None:
    with pytest.raises(TypeError, match="not int"):
        asyncio.run(open_source(5))  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        asyncio.run(open_source("/nowhere/at/all"))


class Silent(io.RawIOBase):
    """A file that has nothing to read until it is told, and then its end."""

    def __init__(self) -> None:
        self.is_asked, self.has_ended = threading.Event(), threading.Event()

    def read(self, size: int = -1) -> bytes:
        self.is_asked.set()
        self.has_ended.wait()
        return b""


def test_sources_that_are_silent_take_no_thread_of_others() -> None:
    async def body() -> None:
        with ThreadPoolExecutor(1) as threads:
            asyncio.get_running_loop().set_default_executor(threads)
            silent = Silent()
            sources = [await open_source(silent), await open_source(iter(silent.read, None))]
            reads = [asyncio.create_task(read(source)) for source in sources]
            assert await asyncio.to_thread(silent.is_asked.wait, 10)
            assert await read(await open_source(io.BytesIO(WHOLE))) == WHOLE
            for one in reads:
                one.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await one
            silent.has_ended.set()

    asyncio.run(body())


def test_file_is_closed_when_its_last_read_is_over(wait_until: WaitUntil, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def readers() -> int:
        try:
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return 0
        return 1

    async def body() -> int:
        opening = asyncio.create_task(open_source(fifo))
        writer = await asyncio.to_thread(os.open, fifo, os.O_WRONLY)
        reading = asyncio.create_task(read(await opening))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return writer

    writer = asyncio.run(body())
    assert readers() == 1
    os.close(writer)
    wait_until(lambda: not readers())
    wait_until(lambda: not any(one.name == "plugin-host-source" for one in threading.enumerate()))


def test_file_that_cannot_wait_is_no_end(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading, "rb", buffering=0) as file, pytest.raises(BlockingIOError):
        asyncio.run(read(asyncio.run(open_source(file))))
    os.close(writing)
