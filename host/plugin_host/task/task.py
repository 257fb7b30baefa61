"""One task: what is to be run, its log, its one result, and what can be asked of whoever works on it.

Owns everything that outlives the worker. Invariants: nobody waits for a task that is over; a task that
loses its worker says so and makes no result up; a worker's word about a task that is over changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING
from weakref import WeakSet

from plugin_host.errors import CallFailed, InvalidPayload, MetadataError, ResourceConflict, TaskLost
from plugin_host.event import TaskChanged

from .info import TaskInfo
from .log import TaskLog
from .logreader import LogReader
from .result import TaskResult
from .state import PENDING, REPORTED, TaskState
from .timelimit import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from plugin_host.death import DeathReport
    from plugin_host.event import HostEvent
    from plugin_host.exec.session import Session
    from plugin_host_sdk.types.task import FolderEntry, TaskOrder

    from .artifact import Artifact
    from .state import Outcome
    from .worker import FilePath, TaskWorker

__all__ = ["GRACE_S", "Task"]

GRACE_S = 5.0
"""What a kill leaves a program to end by itself."""

# Beyond the grace of the kill, until a worker that says nothing has lost its task.
_CLOSE_S = 5.0


class Task:
    """A task as embedders hold it; made by `Tasks.run` and `Tasks.offer`.

    `id`, `plugin` (empty when its worker is none) and `order`, what is to be run, never change. As an async
    context manager it is closed at the end: what still runs is killed.
    """

    def __init__(
        self,
        order: TaskOrder,
        plugin: str = "",
        *,
        emit: Callable[[HostEvent], None] = lambda event: None,
        forget: Callable[[Task], None] = lambda task: None,
    ) -> None:
        self.id = order.task
        self.plugin = plugin
        self.order = order
        self._emit = emit
        self._forget = forget
        self._state = TaskState()
        self._told = ""
        self._log = TaskLog()
        self._readers: WeakSet[LogReader] = WeakSet()
        self._worker: TaskWorker | None = None
        self._limit = TimeLimit(self, None if order.timeout_ms is None else order.timeout_ms / 1000)
        self._grace = GRACE_S
        self._created = time.time()
        self._started: float | None = None
        self._ended: float | None = None
        self._loss: Callable[[], TaskLost] | None = None  # of the result
        self._absence: Callable[[], TaskLost] | None = None  # of the worker
        self._log_cut = ""  # why the log is not whole although there is a result
        self._over = asyncio.Event()
        self._settled = asyncio.Event()  # set while it has a worker, or will have none any more
        self._closing: asyncio.Task[None] | None = None
        self._is_closed = False
        self._tell()

    def __repr__(self) -> str:
        return f"<Task {self.id} of {self.plugin or 'no plugin'} {self.state}>"

    @property
    def state(self) -> str:
        """pending, offered (a worker has it), running, reported (the rest of its log is on the way), ended
        or lost."""
        return self._state.state

    @property
    def is_over(self) -> bool:
        """Whether it has ended or is lost."""
        return self._state.is_over

    @property
    def labels(self) -> Mapping[str, str]:
        """What the embedder gave it to be told by."""
        return self.order.labels

    @property
    def info(self) -> TaskInfo:
        """The task at this moment."""
        order = self.order
        return TaskInfo(
            id=self.id,
            plugin=self.plugin,
            state=self.state,
            command=order.command,
            cwd=order.cwd,
            tty=order.tty,
            labels=order.labels,
            timeout=self._limit.seconds,
            created=self._created,
            started=self._started,
            ended=self._ended,
            log_start=self._log.start,
            log_bytes=self._log.end,
            result=self._result(),
        )

    # Looking.

    def log(self, offset: int | None = None) -> LogReader:
        """Its log, from `offset` on: None is the oldest byte that is kept, -1 only what comes.

        Iterate over it. The newest 1,000,000 bytes are kept; who is attached loses nothing, and a worker
        waits for one that does not read. Raises InvalidPayload for an offset beyond the end; the iteration
        raises TaskLost behind the last byte of a task that was lost, and CallFailed, "task.log_cut", behind
        that of a log whose rest did not come in time.
        """
        reader = LogReader(self._log, offset, self._check_log_whole)
        self._readers.add(reader)
        return reader

    async def result(self) -> TaskResult:
        """How it ended, once its whole log has arrived, which needs no reader.

        A reader that the same asyncio task has left behind is not waited for; others have to read on.
        Raises TaskLost when its worker is gone before.
        """
        if not self.is_over:
            waiting = asyncio.current_task()
            for reader in self._readers:
                if reader.task is waiting:  # it cannot read while it waits here
                    reader.release()
            await self._over.wait()
        self._check_not_lost()
        result = self._result()
        assert result is not None
        return result

    def _check_not_lost(self) -> None:
        if self._loss is not None:
            raise self._loss()

    def _check_log_whole(self) -> None:
        self._check_not_lost()
        if self._log_cut:
            raise CallFailed(f"the log of task {self.id} is cut: {self._log_cut}", name="task.log_cut")

    def _result(self) -> TaskResult | None:
        outcome = self._state.outcome
        if outcome is None:
            return None
        assert self._ended is not None
        success, reason = self._limit.judged(outcome)
        times = (self._started, self._ended, self._limit.has_killed)
        return TaskResult(success, outcome.code, outcome.signal, reason, *times)

    # Asking its worker, from the moment it has one until `close`, also after the result.

    async def list_folder(
        self, path: FilePath | os.PathLike[str], recursive: bool = True
    ) -> list[FolderEntry]:
        """What is in the folder at an absolute path; links are shown and not followed.

        Raises FolderNotFound, NotFolder, FileAccessDenied, OutsideRoots, TaskLost, PluginDied,
        InvalidPayload for another path, and ResourceConflict when the task is closed.
        """
        return await (await self._asked()).list_folder(self.id, _absolute(path), recursive)

    async def get_artifact(self, path: FilePath | os.PathLike[str]) -> Artifact:
        """The file at an absolute path, opened to be read once.

        Raises ArtifactNotFound, IsFolder, NotFile, FileAccessDenied, OutsideRoots, TaskLost, PluginDied,
        InvalidPayload for another path, and ResourceConflict when the task is closed.
        """
        return await (await self._asked()).get_artifact(self.id, _absolute(path))

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
    ) -> Session:
        """A session beside the task, with the worker's shell unless there is a command.

        It is one like any other, and ends with `close` at the latest. Raises as `PluginHost.exec` does,
        and TaskLost, ResourceConflict when the task is closed.
        """
        return await (await self._asked()).open_shell(
            self.id,
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

    async def kill(self, grace: float = GRACE_S) -> str:
        """End all that the task runs: gently, and for certain after `grace` seconds.

        "killed"; "remembered" when nothing runs yet, which is then killed as it starts; "ended" when there
        is nothing to kill any more. The result comes when the worker has told it.
        """
        if self._state.state == PENDING:
            self._state.kill()
            self._changed()
            return "killed"
        worker = self._worker
        if self.is_over or self.state == REPORTED or worker is None:
            return "ended"
        self._grace = grace
        is_running = self._state.kill()
        self._log.make_room()
        try:
            return await worker.kill(self.id, grace)
        except MetadataError:
            if is_running:
                raise
            return "remembered"

    @property
    def _is_closing(self) -> bool:
        return self._closing is not None or self._is_closed

    async def _asked(self) -> TaskWorker:
        """Its worker, once it has one."""
        while not (self._settled.is_set() or self._is_closing):
            await self._settled.wait()
        if self._worker is not None:
            return self._worker
        if self._absence is not None:
            raise self._absence()
        why = "it is closed" if self._is_closing else "it ended before any had taken it"
        raise ResourceConflict(f"task {self.id} has no worker: {why}")

    async def close(self) -> None:
        """End it, if it has not, and everything beside it, and forget it. A second call does nothing.

        What runs is killed with a grace of 5 s. What was learned stays with this object.
        """
        if self._is_closed:
            return
        if self._closing is None and self.is_over and self._worker is None:
            self._leave()  # nobody is to be waited for, and there may be no loop any more
            return
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(), name=f"close {self!r}")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            if not self.is_over:
                await self._end()
            worker, self._worker = self._worker, None
            if worker is not None:
                await worker.close(self.id)
        finally:
            self._leave()

    def _leave(self) -> None:
        """It is closed, and says so."""
        self._is_closed = True
        self._settled.set()
        self._forget(self)
        self._emit(TaskChanged(plugin=self.plugin, task=self.id, state="closed"))

    async def _end(self) -> None:
        """Kill it and wait for its end, not for ever."""
        why = "it was closed, and its worker did not end it"
        try:
            async with asyncio.timeout(GRACE_S + _CLOSE_S):
                await self.kill()
                await self._over.wait()
        except TimeoutError:
            pass
        except Exception as error:
            why = f"it was closed, and could not be killed: {error}"
        self.spoil(why)

    async def __aenter__(self) -> Task:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # The worker's side. Everything raises ResourceConflict out of turn.

    @property
    def log_limit(self) -> int:
        """Up to this offset the log is taken; a worker with a window grants what lies before it."""
        return self._log.limit

    @property
    def grace(self) -> float:
        """The seconds that the last kill left."""
        return self._grace

    def claim(self, worker: TaskWorker, on_room: Callable[[], None] | None = None) -> None:
        """`worker` takes it. `on_room()` is called whenever `log_limit` may have risen."""
        self._state.offer()
        self._worker = worker
        self._settled.set()
        self._log.on_room = on_room or _nothing
        self._limit.begin()  # for workers that do not say when they start
        self._changed()

    def start(self) -> bool:
        """What it runs, runs now, which a worker need not say; whether that is to be killed at once."""
        is_to_be_killed = self._state.start()
        self._started = time.time()
        self._limit.begin()
        self._changed()
        return is_to_be_killed

    def take(self, data: bytes) -> None:
        """More of the log, without a wait: who has no window asks `feed`. Ignored when it is over.

        Raises InvalidPayload for more than the report said.
        """
        if self.state == PENDING:
            raise ResourceConflict(f"task {self.id} has no worker yet, and no log")
        if not self.is_over:
            self._state.log(len(data))
            self._log.append(data)
            self._changed()

    async def feed(self, data: bytes) -> None:
        """More of the log; waits while a reader that is attached does not read."""
        self.take(data)
        await self._log.wait_for_room()

    def cut_log(self, reason: str) -> None:
        """The rest of the log is not waited for; who reads is told so at its end, and the result counts."""
        self._log_cut = reason

    def report(self, outcome: Outcome, total: int | None = None) -> None:
        """How it ended, after a log of `total` bytes, None for those that were fed.

        The first report counts, and may be repeated; another raises ResourceConflict, and a total that does
        not fit what has arrived InvalidPayload.
        """
        self._state.report(outcome, total)
        self._changed()

    @property
    def missing_log(self) -> int:
        """The bytes of its log that a result waits for."""
        return self._state.missing

    def decline(self) -> None:
        """The worker gives it back, before anything ran."""
        self._state.decline()
        self._worker = None
        self._settled.clear()
        self._log.on_room = _nothing
        self._limit.pause()
        self._changed()

    def lose(self, reason: str, report: DeathReport | None = None) -> None:
        """The worker is gone: nothing can be asked of it any more, and the result is lost, unless that was
        there. `report` is its death."""
        self._worker = None
        self._log.on_room = _nothing
        self._absence = self._maker("has no worker any more", reason, report)
        self.spoil(reason, report)

    def spoil(self, reason: str, report: DeathReport | None = None) -> None:
        """The result is lost, unless it was there; the worker stays, and can be asked."""
        if self._state.lose():
            self._loss = self._maker("was lost", reason, report)
            self._changed()

    def _maker(self, what: str, reason: str, report: DeathReport | None) -> Callable[[], TaskLost]:
        text = f"task {self.id} {what}: {reason}"
        return lambda: TaskLost(text, task=self.id, report=report)

    def _changed(self) -> None:
        """Whatever follows from a step of the state."""
        if self.is_over and not self._over.is_set():
            self._ended = time.time()
            self._limit.end()
            self._over.set()
            self._settled.set()
            self._log.conclude()
        self._tell()

    def _tell(self) -> None:
        if self.state != self._told:
            self._told = self.state
            self._emit(TaskChanged(plugin=self.plugin, task=self.id, state=self.state))


def _absolute(path: FilePath | os.PathLike[str]) -> FilePath:
    given = os.fspath(path)
    if not os.path.isabs(given) or (b"\0" if isinstance(given, bytes) else "\0") in given:  # type: ignore[operator]
        raise InvalidPayload(f"{given!r} is no absolute path")
    return given


def _nothing() -> None:
    """Nobody has to know."""
