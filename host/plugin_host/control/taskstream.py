"""What clients are sent of tasks, on streams that they name: logs, files and listings, under credit.

Invariant: a client that does not read costs its own window and one piece; it holds up no other reader of
the same task, unless it is the owner and asked for a log without loss.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from plugin_host.errors import CallFailed

from .delivery import Deliveries, Named
from .jsonline import json_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.outbound import Outbound
    from plugin_host.task.artifact import Artifact
    from plugin_host.task.logreader import LogReader
    from plugin_host.task.task import Task
    from plugin_host.task.worker import FilePath
    from plugin_host_sdk.types.task import FolderEntry

    from .ask import Ask, Method

__all__ = ["TaskStreams"]

# What one write of a listing holds, if so much is there.
_WRITE_BYTES = 32 << 10


class _Log(Named, kw_only=True):
    task: str
    offset: Annotated[int, Meta(ge=-1)] | None = None
    follow: bool = True
    lossless: bool = False


class _Place(Named, kw_only=True):
    task: str
    path: str
    raw: bytes | None = None

    @property
    def place(self) -> FilePath:
        """As a worker is asked for it."""
        return self.path if self.raw is None else self.raw


class _Folder(_Place, kw_only=True):
    recursive: bool = True


class TaskStreams:
    """`find(ask, id)` is a task that the client may use; `owns(ask, task)` says whether it is its own."""

    def __init__(self, find: Callable[[Ask, str], Task], owns: Callable[[Ask, Task], bool]) -> None:
        self._find = find
        self._owns = owns
        self._logs = Deliveries()
        self._files = Deliveries()

    def table(self) -> dict[str, Method]:
        """The methods by name."""
        return {"task.log": self.log, "task.artifact": self.artifact, "task.list_folder": self.list_folder}

    async def log(self, ask: Ask) -> Any:
        asked = ask.read(_Log)
        task = self._find(ask, asked.task)
        if asked.lossless and not self._owns(ask, task):
            text = f"task {task.id} is not this client's: only its owner may hold it up by reading its log"
            raise CallFailed(text, name="host.permission_denied")
        self._logs.check(ask)
        reader = task.log(asked.offset)
        end = None if asked.follow else task.info.log_bytes
        if asked.lossless:
            self._logs.begin(ask, asked, lambda out: _write_all(out, reader, end), reader.close)
        else:
            reader.close()
            self._logs.begin(ask, asked, lambda out: _write_some(out, task, reader.start, end))
        return {"start": reader.start, "evicted": reader.evicted}

    async def artifact(self, ask: Ask) -> Any:
        asked = ask.read(_Place)
        self._files.check(ask)
        artifact = await self._find(ask, asked.task).get_artifact(asked.place)
        named = {"task": asked.task, "stream": asked.stream}

        async def write(out: Outbound) -> None:
            async for data in artifact:
                await out.write(data)
            sent = {"size": out.total, "sha256": artifact.sha256}
            ask.client.link.notify("task.artifact_sent", named | sent)

        self._files.begin(ask, asked, write, artifact.close)
        return _described(artifact)

    async def list_folder(self, ask: Ask) -> Any:
        asked = ask.read(_Folder)
        self._files.check(ask)
        task = self._find(ask, asked.task)
        entries = await task.list_folder(asked.place, recursive=asked.recursive)
        self._files.begin(ask, asked, lambda out: _write_entries(out, entries))
        return {"count": len(entries)}


def _described(artifact: Artifact) -> dict[str, Any]:
    return {"size": artifact.size, "mode": artifact.mode, "mtime": artifact.mtime}


async def _write_all(out: Outbound, reader: LogReader, end: int | None) -> None:
    """Every byte: the reader is attached all the time, and its task waits for it."""
    while end is None or reader.offset < end:
        try:
            await out.write(await anext(reader))
        except StopAsyncIteration:
            break


async def _write_some(out: Outbound, task: Task, place: int, end: int | None) -> None:
    """What is kept when the client takes it: while it does not, nobody is attached; a gap tells of that."""
    while end is None or place < end:
        async with task.log(place) as reader:
            try:
                data = await anext(reader)
            except StopAsyncIteration:
                break
            place = reader.offset
        if reader.evicted:
            out.skip(reader.evicted)
        await out.write(data)


async def _write_entries(out: Outbound, entries: list[FolderEntry]) -> None:
    lines = bytearray()
    for entry in entries:
        lines += await json_line(msgspec.to_builtins(entry, builtin_types=(bytes,)))
        if len(lines) >= _WRITE_BYTES:
            await out.write(bytes(lines))
            lines.clear()
            await asyncio.sleep(0)  # for others: a listing may be long
    await out.write(bytes(lines))
