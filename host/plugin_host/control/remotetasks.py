"""The tasks of a host that runs elsewhere, as its clients give and find them: the face of `host.tasks`."""

from __future__ import annotations

import asyncio
import builtins
import os
import uuid
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.errors import CallFailed, HostLost, PluginHostError
from plugin_host.task.info import TaskInfo
from plugin_host_sdk.types.task import ArtifactSent

from .remotetask import RemoteTask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from plugin_host.task.download import Download

    from .remote import Remote
    from .remotelog import LogDrain
    from .remotesession import RemoteSessions

__all__ = ["RemoteTasks"]


class RemoteTasks:
    """`ControlClient.tasks`."""

    def __init__(self, host: Remote, sessions: RemoteSessions) -> None:
        self.host = host
        self.sessions = sessions
        self._drains: set[LogDrain] = set()
        self._downloads: dict[int, Download] = {}
        self._undoing: set[asyncio.Task[None]] = set()

    async def run(
        self,
        plugin: str,
        command: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        tty: bool = True,
        timeout: float | None = None,
        labels: Mapping[str, str] | None = None,
        rows: int | None = None,
        cols: int | None = None,
        id: str | None = None,
        keep: bool | None = None,
    ) -> RemoteTask:
        """See `Tasks.run`. `keep` says whether it lives on without this client; as the connection unless
        given. One whose call is cancelled is closed again."""
        if isinstance(command, (str, bytes)):
            raise TypeError(f"command is a list of words, not the text {command!r}")
        asked = {
            "plugin": plugin,
            "command": list(command),
            "env": dict(env or {}),
            "cwd": None if cwd is None else os.fspath(cwd),
            "tty": tty,
            "timeout_ms": None if timeout is None else timeout * 1000,
            "labels": dict(labels or {}),
            "rows": rows,
            "cols": cols,
            "id": uuid.uuid4().hex if id is None else id,
            "keep": keep,
        }
        giving = asyncio.ensure_future(self.host.ask("task.run", asked))
        try:
            told = await asyncio.shield(giving)
        except asyncio.CancelledError:
            self._undo(giving)
            raise
        return RemoteTask(self, told)

    async def list(self, plugin: str | None = None) -> builtins.list[RemoteTask]:
        """Those that this client may use, the oldest first.

        Of a command that is longer than 1,000 characters or 100 words `info` has the beginning, and "…"
        behind it; `RemoteTask.get` says all of it.
        """
        found = (await self.host.ask("task.list", {"plugin": plugin}))["tasks"]
        return [RemoteTask(self, told) for told in found]

    async def get(self, id: str, *, token: str | None = None) -> RemoteTask:
        """One task. This client becomes its owner if it has none and the token is the right one.

        Raises TaskNotFound, and CallFailed when it is another's.
        """
        return RemoteTask(self, await self.host.ask("task.get", {"task": id, "token": token}))

    def _undo(self, giving: asyncio.Future[Any]) -> None:
        """Close what may be given yet, without anybody who waits for it."""

        async def undo() -> None:
            try:
                await RemoteTask(self, await giving).close()
            except PluginHostError:
                pass  # it was never given, or the connection has ended and the host closes it

        task = asyncio.get_running_loop().create_task(undo(), name="undo task.run")
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)

    # What is open; see `Desk`.

    def reads(self, drain: LogDrain) -> None:
        self._drains.add(drain)

    def read(self, drain: LogDrain) -> None:
        self._drains.discard(drain)

    def loads(self, download: Download) -> None:
        self._downloads[download.number] = download

    def loaded(self, download: Download) -> None:
        self._downloads.pop(download.number, None)

    def describe(self, told: Any) -> TaskInfo:
        try:
            return msgspec.convert(told, TaskInfo)
        except msgspec.ValidationError as error:
            raise CallFailed(f"the host described a task oddly: {error}", name="rpc.foreign") from None

    # The client's.

    def told(self, method: str, params: Any) -> None:
        """The host tells something."""
        if method != "task.artifact_sent":
            return
        try:
            sent = msgspec.convert(params, ArtifactSent)
        except msgspec.ValidationError:
            return  # whoever reads it will find that nothing was said
        if (download := self._downloads.get(sent.stream)) is not None:
            download.told(sent)

    def fail(self, make_error: Callable[[], HostLost]) -> None:
        """The connection is over."""
        for drain in builtins.list(self._drains):
            drain.fail(make_error)
        for download in builtins.list(self._downloads.values()):
            download.lose(make_error)
        self._downloads.clear()
