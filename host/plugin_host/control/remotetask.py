"""A task of a host that runs elsewhere, as its clients hold it: the face of `Task`.

Knows what the host last said of it and asks for everything else. Invariant: what was opened here, logs and
files, ends with the connection.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from plugin_host.errors import CallError, CallFailed
from plugin_host.exec.opening import open_session
from plugin_host.task.artifact import Artifact
from plugin_host.task.download import Download
from plugin_host.task.result import TaskResult
from plugin_host.task.task import GRACE_S
from plugin_host_sdk.protocol import WINDOW_BYTES
from plugin_host_sdk.types.task import ArtifactInfo, FolderEntry

from .errormap import from_map
from .remotelog import RemoteLog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from plugin_host.exec.session import Session
    from plugin_host.task.info import TaskInfo
    from plugin_host.task.worker import FilePath

    from .remote import Remote
    from .remotelog import LogDrain
    from .remotesession import RemoteSessions

__all__ = ["Desk", "RemoteTask"]

_T = TypeVar("_T")


class Desk(Protocol):
    """Who keeps what is open of all tasks of one client."""

    host: Remote
    sessions: RemoteSessions

    def reads(self, drain: LogDrain) -> None:
        """A log is being read."""

    def read(self, drain: LogDrain) -> None:
        """It is not, any more."""

    def loads(self, download: Download) -> None:
        """A file is being read."""

    def loaded(self, download: Download) -> None:
        """It is not, any more."""

    def describe(self, told: Any) -> TaskInfo:
        """What the host says of a task. Raises CallFailed."""


class _Incoming(Download):
    """A file that the host sends."""

    def ended(self, stream: int, total: int, error: Any) -> None:
        if error is not None:
            self.fail(lambda: from_map(error))
        super().ended(stream, total, None)


class RemoteTask:
    """One task; made by `RemoteTasks.run`, `get` and `list`.

    `info` is the task as it was when the host last spoke of it: see `get`. `mine` says that it is this
    client's, and is killed with it unless `keep`. Every method raises TaskNotFound when it is closed, and
    HostLost when the connection has ended. As an async context manager it is closed at the end.
    """

    def __init__(self, desk: Desk, told: dict[str, Any]) -> None:
        self._desk = desk
        self._host = desk.host
        self.info = desk.describe(told["task"])
        self.id = self.info.id
        self.plugin = self.info.plugin
        self.owner: int | None = told.get("owner")
        self.mine = bool(told.get("mine"))
        self.keep = bool(told.get("keep"))

    def __repr__(self) -> str:
        return f"<RemoteTask {self.id} of {self.plugin or 'no plugin'} {self.state}>"

    @property
    def state(self) -> str:
        """See `Task.state`; as it was when the host last spoke of it."""
        return self.info.state

    @property
    def labels(self) -> Mapping[str, str]:
        """See `Task.labels`."""
        return self.info.labels

    async def get(self) -> TaskInfo:
        """The task at this moment."""
        told = await self._ask("task.get", {})
        self.info = self._desk.describe(told["task"])
        return self.info

    async def _ask(self, method: str, params: dict[str, Any]) -> Any:
        return await self._host.ask(method, {"task": self.id, **params})

    # Looking.

    def log(self, offset: int | None = None, *, follow: bool = True, lossless: bool = False) -> RemoteLog:
        """See `Task.log`. Without `follow` it ends with what there is now.

        Who reads too slowly misses what the host keeps no longer, which `RemoteLog.missed` counts. With
        `lossless`, which is for the owner alone, the task waits instead.
        """
        asked = {"task": self.id, "offset": offset, "follow": follow, "lossless": lossless}
        return RemoteLog(self._host, asked, self._desk.reads, self._desk.read)

    async def result(self) -> TaskResult:
        """See `Task.result`."""
        answer = await self._ask("task.result", {})
        return _converted(answer.get("result"), TaskResult)

    # Asking its worker.

    async def list_folder(self, path: FilePath, recursive: bool = True) -> list[FolderEntry]:
        """See `Task.list_folder`."""
        asked = {"task": self.id, "recursive": recursive, **_named(path)}
        async with await self._host.follow("task.list_folder", asked, _entry) as entries:
            return [entry async for entry in entries]

    async def get_artifact(self, path: FilePath) -> Artifact:
        """See `Task.get_artifact`."""
        shown = _named(path)["path"]
        streams = self._host.link.streams
        download = _Incoming(streams, shown, self._desk.loaded)
        number = download.number = streams.open_receive(WINDOW_BYTES, download)
        self._desk.loads(download)
        try:
            told = await self._ask(
                "task.artifact", {"stream": number, "window": WINDOW_BYTES, **_named(path)}
            )
            info = _converted(told, ArtifactInfo)
        except BaseException as error:
            self._desk.loaded(download)
            is_refused = isinstance(error, CallError) and error.name != "rpc.foreign"
            (streams.forget if is_refused else streams.stop)(number)
            raise
        return Artifact(download, path=shown, size=info.size, mode=info.mode, mtime=info.mtime)

    async def open_shell(
        self,
        command: Sequence[str] | None = None,
        *,
        tty: bool = True,
        rows: int | None = None,
        cols: int | None = None,
        id: str | None = None,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        replay_bytes: int | None = None,
        detached: bool = False,
        keep: bool | None = None,
    ) -> Session:
        """See `Task.open_shell`. `keep` is as of `ControlClient.exec`; the session ends with the task."""
        proxy = self._desk.sessions.proxy(self.plugin)
        create = proxy.creator(method="task.shell", task=self.id, keep=keep)
        return await open_session(
            proxy,
            command=command,
            create=create,
            tty=tty,
            rows=rows,
            cols=cols,
            id=id,
            cwd=None if cwd is None else os.fspath(cwd),
            env=env,
            labels=labels,
            replay_bytes=replay_bytes,
            detached=detached,
        )

    # Ending.

    async def kill(self, grace: float = GRACE_S) -> str:
        """See `Task.kill`."""
        state: str = (await self._ask("task.kill", {"grace_ms": grace * 1000}))["state"]
        return state

    async def close(self) -> None:
        """See `Task.close`."""
        await self._ask("task.close", {"missing_ok": True})

    async def __aenter__(self) -> RemoteTask:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _named(path: FilePath) -> dict[str, Any]:
    """A path as it travels: what is no UTF-8 goes as bytes, beside the text that shows it."""
    raw = os.fsencode(path)
    try:
        return {"path": raw.decode()}
    except UnicodeDecodeError:
        return {"path": raw.decode(errors="backslashreplace"), "raw": raw}


def _entry(told: Any) -> FolderEntry:
    return _converted(told, FolderEntry)


def _converted(told: Any, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise CallFailed(f"the host answered oddly about a task: {error}", name="rpc.foreign") from None
