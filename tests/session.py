"""Exec sessions under test: a plugin to open them in, and readers that check what viewers are given.

A `Reader` holds every piece against the rule that offsets leave no hole, so no test can overlook lost or
repeated bytes. Invariant: nothing here waits without a limit.
"""

from __future__ import annotations

import asyncio
import os
import textwrap
from pathlib import Path
from typing import Any

import psutil

from plugin_host import Gap, Output, PluginHost, Session, Viewer
from tests.stage import stage, write_plugin

__all__ = [
    "DESK",
    "PATIENCE_S",
    "Reader",
    "ids",
    "is_alive",
    "processes",
    "read",
    "runner",
    "sh",
    "waiting_bytes",
]

PATIENCE_S = 10.0

DESK = """
    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
        sdk.exec.Handler("local", default_command=["sh"]),
    ]))

    @plugin.command("echo")
    def echo(ctx, value=None):
        return value
"""


def runner(folder: Path, code: str = "", *, head: str = "", **keys: Any) -> PluginHost:
    """A host whose one plugin, `desk`, runs what it is asked to and has a command `echo`.

    `code` registers more; the handler `local` has to be named then.
    """
    code = textwrap.dedent(DESK) + textwrap.dedent(code)
    return stage("desk", dirs=[write_plugin(folder / "plugins", "desk", code, head=head, **keys)])


def sh(script: str) -> list[str]:
    """The command that runs a script of the shell."""
    return ["sh", "-c", script]


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that waits to be reaped does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def processes(place: Path) -> list[int]:
    """Those that have the path among their arguments, and so were started by the test's scripts."""
    mark = os.fsencode(place)
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            arguments = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if mark in arguments and b"plugin_host_sdk" not in arguments:
            found.append(int(name))
    return [pid for pid in found if pid != os.getpid() and is_alive(pid)]


async def ids(host: PluginHost) -> list[str]:
    """Of the sessions there are."""
    return [session.id for session in await host.sessions()]


class Reader:
    """Reads a viewer; `stdout` and `stderr` is what came, `gaps` what did not."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.items: list[Output | Gap] = []
        self.gaps: list[Gap] = []
        self._data = {"stdout": bytearray(), "stderr": bytearray()}
        self._ends: dict[str, int] = {}
        self._marks = {"stdout": 0, "stderr": 0}

    @property
    def stdout(self) -> bytes:
        return bytes(self._data["stdout"])

    @property
    def stderr(self) -> bytes:
        return bytes(self._data["stderr"])

    def end(self, stream: str = "stdout") -> int:
        """The session's offset behind the last byte that came."""
        return self._ends.get(stream, 0)

    async def next(self) -> Output | Gap:
        """One more piece. Raises StopAsyncIteration."""
        async with asyncio.timeout(PATIENCE_S):
            item = await anext(self.viewer)
        if isinstance(item, Gap):
            assert item.size > 0
            size = item.size
            self.gaps.append(item)
        else:
            assert item.data, "a piece of nothing"
            size = len(item.data)
            self._data[item.stream] += item.data
        expected = self._ends.get(item.stream, item.offset)
        assert item.offset == expected, f"{item.stream} went on at {item.offset} instead of {expected}"
        self._ends[item.stream] = item.offset + size
        self.items.append(item)
        return item

    async def until(self, wanted: bytes, stream: str = "stdout") -> bytes:
        """Read until `wanted` comes, after what was read by the last call; all up to its end."""
        data, start = self._data[stream], self._marks[stream]
        while (at := data.find(wanted, start)) < 0:
            try:
                await self.next()
            except (TimeoutError, StopAsyncIteration) as error:
                raise AssertionError(f"{wanted!r} did not come: {bytes(data[start:])!r}") from error
        self._marks[stream] = at + len(wanted)
        return bytes(data[start : at + len(wanted)])

    async def count(self, size: int, stream: str = "stdout") -> bytes:
        """Read until there are `size` bytes more than the last call gave; exactly these."""
        data, start = self._data[stream], self._marks[stream]
        while len(data) < start + size:
            await self.next()
        self._marks[stream] = start + size
        return bytes(data[start : start + size])

    async def rest(self) -> Reader:
        """Read to the end of the session."""
        while True:
            try:
                await self.next()
            except StopAsyncIteration:
                return self


async def read(session: Session, **options: Any) -> Reader:
    """Attach, with `options`, and read to the session's end."""
    async with await session.attach(**options) as viewer:
        return await Reader(viewer).rest()


def waiting_bytes(viewer: Viewer) -> int:
    """What has arrived at a viewer and was not read."""
    return sum(len(what) for _, _, _, what in viewer._waiting if isinstance(what, bytes))
