"""A plugin as the worker of its tasks: what is asked of it goes over its link.

Invariant: what a task opened here, files that are read and shells, ends with the task's `close`, or with
the plugin.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, TypeVar

from plugin_host.errors import CallError, CallFailed, ResourceConflict, TaskLost
from plugin_host.exec.opening import open_session
from plugin_host.inquiry import ask
from plugin_host.trace import current_trace
from plugin_host_sdk.protocol import WINDOW_BYTES
from plugin_host_sdk.types.task import ArtifactInfo, ArtifactSent, FolderEntry, FolderPart, KillAnswer

from .artifact import Artifact
from .download import Download

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from plugin_host.exec.proxy import ExecProxy
    from plugin_host.exec.session import Session
    from plugin_host.link import Link
    from plugin_host_sdk.types.session import Created, SessionOptions

    from .worker import FilePath

__all__ = ["MOST_ENTRIES", "PluginWorker"]

MOST_ENTRIES = 1_000_000
"""Of a folder, with all below it, in one listing."""

# What a plugin may take to end what a task has left open.
_CLOSE_S = 10.0

_T = TypeVar("_T")


class PluginWorker:
    """`on_close(task)` is called when nothing more is asked about a task."""

    def __init__(self, plugin: str, link: Link, exec: ExecProxy, on_close: Callable[[str], None]) -> None:
        self._plugin = plugin
        self._link = link
        self._exec = exec
        self._on_close = on_close
        self._downloads: dict[int, tuple[str, Download]] = {}
        self._shells: dict[str, list[Session]] = {}

    def __repr__(self) -> str:
        return f"<PluginWorker {self._plugin}>"

    def begin(self, task: str) -> None:
        """The plugin is given a task."""
        self._shells[task] = []

    async def list_folder(self, task: str, path: FilePath, recursive: bool) -> list[FolderEntry]:
        found: list[FolderEntry] = []
        params = {"task": task, "recursive": recursive, **_named(path)}
        after: bytes | None = None
        while True:
            part = await self._ask("metadata.list_folder", params | {"after": after}, FolderPart)
            found += part.entries
            if not part.more:
                return found
            if not part.entries or len(found) > MOST_ENTRIES:
                why = "in empty parts" if not part.entries else f"with more than {MOST_ENTRIES} entries"
                raise CallFailed(f"{self._plugin} lists {_shown(path)} {why}", name="rpc.foreign")
            after = part.entries[-1].key

    async def get_artifact(self, task: str, path: FilePath) -> Artifact:
        streams = self._link.streams
        download = Download(streams, _shown(path), self._forget)
        number = download.number = streams.open_receive(WINDOW_BYTES, download)
        self._downloads[number] = task, download
        params = {"task": task, "stream": number, "window": WINDOW_BYTES, **_named(path)}
        try:
            info = await self._ask("metadata.get_artifact", params, ArtifactInfo)
        except CallError as error:
            self._forget(download)
            (streams.stop if error.name == "rpc.foreign" else streams.forget)(number)
            raise
        except BaseException:
            self._forget(download)
            streams.stop(number)  # it may be opened yet
            raise
        return Artifact(download, path=_shown(path), size=info.size, mode=info.mode, mtime=info.mtime)

    async def open_shell(self, task: str, command: Sequence[str] | None, **given: Any) -> Session:
        async def create(options: SessionOptions, stdin: int) -> Created:
            return await self._exec.create_by("metadata.exec_shell", options, stdin, {"task": task})

        if given.get("cwd") is not None:
            given["cwd"] = os.fspath(given["cwd"])
        session = await open_session(self._exec, command=command, create=create, **given)
        shells = self._shells.get(task)
        if shells is None:  # closed meanwhile, and the plugin ends what is left of it
            raise ResourceConflict(f"the task {task} was closed while its shell was opened")
        shells.append(session)
        return session

    async def kill(self, task: str, grace: float) -> str:
        params = {"task": task, "grace_ms": grace * 1000}
        return (await self._ask("metadata.kill_process", params, KillAnswer)).state

    async def close(self, task: str) -> None:
        lost = f"the task {task} was closed while this was read"
        for owner, download in list(self._downloads.values()):
            if owner == task:
                download.fail(lambda: TaskLost(lost, task=task))
                download.close()
        closings = [session.close() for session in self._shells.pop(task, ())]
        try:
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.gather(*closings, return_exceptions=True)
                await self._ask("metadata.close", {"task": task}, dict)
        except (CallError, TimeoutError):
            pass  # it is gone, or knows nothing of the task any more, or does not answer
        finally:
            self._on_close(task)

    # What the plugin says.

    def artifact_sent(self, told: ArtifactSent) -> None:
        """It has sent a file whole."""
        entry = self._downloads.get(told.stream)
        if entry is not None and entry[0] == told.task:
            entry[1].told(told)

    def fail(self, make_error: Callable[[], Exception]) -> None:
        """It is gone."""
        for _, download in list(self._downloads.values()):
            download.lose(make_error)
        self._downloads.clear()
        self._shells.clear()

    def _forget(self, download: Download) -> None:
        self._downloads.pop(download.number, None)

    async def _ask(self, method: str, params: dict[str, Any], kind: type[_T]) -> _T:
        trace = current_trace.get()
        meta = None if trace is None else trace.to_meta()
        return await ask(self._link, self._plugin, method, params, kind, meta)


def _named(path: FilePath) -> dict[str, Any]:
    """A path as it travels: what is no UTF-8 goes as bytes, beside the text that shows it."""
    raw = os.fsencode(path)
    try:
        return {"path": raw.decode()}
    except UnicodeDecodeError:
        return {"path": raw.decode(errors="backslashreplace"), "raw": raw}


def _shown(path: FilePath) -> str:
    return os.fsencode(path).decode(errors="backslashreplace")
