"""A task as threads hold it: everything is done by the loop, and waited for."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

from plugin_host.errors import CallTimeout
from plugin_host.task.task import GRACE_S

from .artifact import Artifact
from .tasklog import LogReader

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from plugin_host.exec import session
    from plugin_host.task import logreader, task
    from plugin_host.task.info import TaskInfo
    from plugin_host.task.result import TaskResult
    from plugin_host.task.worker import FilePath
    from plugin_host_sdk.types.task import FolderEntry, TaskOrder

    from .loopthread import LoopThread
    from .session import Session

__all__ = ["Task"]


class Task:
    """One task; made by `Tasks.run`. See `plugin_host.Task`.

    As a context manager it is closed at the end: what still runs is killed.
    """

    def __init__(
        self, thread: LoopThread, task: task.Task, make_session: Callable[[session.Session], Session]
    ) -> None:
        self._thread = thread
        self._task = task
        self._make_session = make_session
        self._readers: WeakSet[LogReader] = WeakSet()

    def __repr__(self) -> str:
        return repr(self._task)

    @property
    def id(self) -> str:
        """Its id."""
        return self._task.id

    @property
    def plugin(self) -> str:
        """The id of the plugin that it was given to; empty when its worker is none."""
        return self._task.plugin

    @property
    def order(self) -> TaskOrder:
        """What is to be run."""
        return self._task.order

    @property
    def state(self) -> str:
        """pending, offered (a worker has it), running, reported (the rest of its log is on the way), ended
        or lost."""
        return self._task.state

    @property
    def is_over(self) -> bool:
        """Whether it has ended or is lost."""
        return self._task.is_over

    @property
    def labels(self) -> Mapping[str, str]:
        """What the embedder gave it to be told by."""
        return self._task.labels

    @property
    def info(self) -> TaskInfo:
        """The task at this moment."""
        return self._task.info

    def log(self, offset: int | None = None) -> LogReader:
        """Its log, from `offset` on: None is the oldest byte that is kept, -1 only what comes.

        Iterate over it. Raises InvalidPayload for an offset beyond the end; the iteration raises TaskLost
        behind the last byte of a task that was lost.
        """
        reader = LogReader(self._thread, self._thread.run(self._log(offset)))
        self._readers.add(reader)
        return reader

    async def _log(self, offset: int | None) -> logreader.LogReader:
        return self._task.log(offset)

    def result(self, timeout: float | None = None) -> TaskResult:
        """How it ended, once its whole log has arrived, which needs no reader.

        A reader that this thread has left behind is not waited for; others have to read on.

        Raises TaskLost, and CallTimeout when it has not ended within `timeout` seconds; it runs on then.
        """
        me = threading.get_ident()
        for reader in list(self._readers):
            if reader.thread == me and not self._task.is_over:  # it cannot read while it waits here
                reader.release()
        return self._thread.run(self._result(timeout))

    async def _result(self, timeout: float | None) -> TaskResult:
        if timeout is None or self._task.is_over:  # the latter can be asked for behind the host's end, too
            return await self._task.result()
        try:
            async with asyncio.timeout(timeout):
                return await self._task.result()
        except TimeoutError:
            text = f"task {self.id} has not ended within {timeout:g} s"
            raise CallTimeout(text, name="command.timeout") from None

    def list_folder(self, path: FilePath | os.PathLike[str], recursive: bool = True) -> list[FolderEntry]:
        """What is in the folder at an absolute path; links are shown and not followed."""
        return self._thread.run(self._task.list_folder(path, recursive))

    def get_artifact(self, path: FilePath | os.PathLike[str]) -> Artifact:
        """The file at an absolute path, opened to be read once."""
        return Artifact(self._thread, self._thread.run(self._task.get_artifact(path)))

    def open_shell(
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
    ) -> Session:
        """A session beside the task, with the worker's shell unless there is a command."""
        opening = self._task.open_shell(
            command,
            tty=tty,
            rows=rows,
            cols=cols,
            id=id,
            cwd=cwd,
            env=env,
            labels=labels,
            replay_bytes=replay_bytes,
            detached=detached,
        )
        return self._make_session(self._thread.run(opening))

    def kill(self, grace: float = GRACE_S) -> str:
        """End all that the task runs: gently, and for certain after `grace` seconds.

        Returns "killed", "remembered" when nothing runs yet, or "ended" when nothing runs any more.
        """
        return self._thread.run(self._task.kill(grace))

    def close(self) -> None:
        """End it, if it has not, and everything beside it, and forget it. A second call does nothing."""
        self._thread.run(self._task.close())

    def __enter__(self) -> Task:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
