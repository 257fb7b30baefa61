"""Talks to a command listener as a program does: bytes in, bytes out."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_host.listener.limit import Limits
from plugin_host.listener.monitor import Monitor
from plugin_host.listener.request import Request
from plugin_host.localsocket import LocalSocket

QUICK = Limits(read_s=0.3, handle_s=0.1, write_s=0.1, linger_s=0.05, idle_s=0.2, close_s=0.1)
ECHO = b'{"Command":"echo","n":1}'
SLOW = dataclasses.replace(QUICK, handle_s=10, read_s=10, linger_s=5, idle_s=10)


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder with a short path, as sockets need."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


class Talk:
    """One connection to a listener."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, path: str | Path) -> Talk:
        return cls(*await asyncio.open_unix_connection(str(path), limit=2**24))

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def end(self) -> None:
        """Send nothing more, and go on listening."""
        self.writer.write_eof()

    async def line(self) -> dict[str, Any]:
        """The next reply."""
        reply = json.loads(await self.reader.readline())
        assert isinstance(reply, dict)
        return reply

    async def rest(self) -> bytes:
        """All that comes until the listener has said all."""
        return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass


async def exchanged(path: str | Path, data: bytes, *, end: bool = False) -> list[dict[str, Any]]:
    """Every reply that comes for `data` until the listener closes; `end` shuts down our writing."""
    talk = await Talk.to(path)
    try:
        talk.say(data)
        if end:
            talk.end()
        return [json.loads(line) for line in (await talk.rest()).splitlines()]
    finally:
        await talk.close()


async def said(path: str | Path, command: str, **fields: Any) -> dict[str, Any]:
    """The reply to one request."""
    (reply,) = await exchanged(path, json.dumps({"Command": command, **fields}).encode())
    return reply


def monitor(room: Path, limits: Limits = SLOW) -> Monitor:
    """One whose listener is `room/s`."""
    return Monitor(LocalSocket(path=str(room / "s")), limits)


async def echo(request: Request) -> dict[str, Any]:
    return request.to_map()


class Held:
    """A handler that waits until it is let go."""

    def __init__(self) -> None:
        self.began, self.go = asyncio.Event(), asyncio.Event()
        self.cancelled = self.finished = False

    async def __call__(self, request: Request) -> dict[str, Any]:
        self.began.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        self.finished = True
        return {}


def serving(room: Path, limits: Limits = SLOW, **handlers: Any) -> Monitor:
    made = monitor(room, limits)
    for name, handler in {"echo": echo, **handlers}.items():
        made.register(name, handler)
    return made
