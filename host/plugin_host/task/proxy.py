"""The tasks of one running plugin, over its link.

Deals the tasks that wait to the requests that the plugin holds open for one, each in the order in which
it came, and takes what the plugin says of them. Invariants: a task is given to one request; a request is
answered once, unless the link ends first; when the plugin is gone, nobody waits for a task of its.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from plugin_host.errors import (
    CallCancelled,
    CallFailed,
    InvalidPayload,
    LocalProtocolError,
    MethodNotAllowed,
    UnknownActionId,
)
from plugin_host.metadata.incident import told
from plugin_host.metadata.payload import converted
from plugin_host.wording import shown
from plugin_host_sdk.protocol import WINDOW_BYTES
from plugin_host_sdk.types.task import (
    ArtifactSent,
    ExecuteRequest,
    FailedRequest,
    StartRequest,
    SuccessRequest,
)

from .logintake import LogIntake
from .pluginworker import PluginWorker
from .state import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.death import DeathReport
    from plugin_host.exec.proxy import ExecProxy
    from plugin_host.link import Link
    from plugin_host_sdk.events import RequestReceived
    from plugin_host_sdk.types.task import TaskOrder

    from .task import Task

__all__ = ["MOST_EXECUTES", "MOST_WAITING", "TaskProxy"]

MOST_EXECUTES = 256
"""Requests for a task that one plugin may hold open."""

MOST_WAITING = 1_024
"""Tasks that wait for one plugin to take them."""

# What is kept of the words of a plugin.
_REASON_CHARACTERS = 4_000
_SIGNAL_CHARACTERS = 64

_NOTICES = frozenset({"metadata.artifact_sent"})
_REQUESTS_ELSEWHERE = frozenset({"metadata.get", "metadata.wait"})


class TaskProxy:
    """The tasks of plugin `plugin`."""

    def __init__(self, plugin: str, link: Link, exec: ExecProxy) -> None:
        self.plugin = plugin
        self._link = link
        self._worker = PluginWorker(plugin, link, exec, self._forget)
        self._held: dict[int, LogIntake] = {}
        self._waiting: deque[Task] = deque()
        self._given: dict[str, tuple[Task, LogIntake]] = {}  # until they are closed
        self._loss: tuple[str, DeathReport | None] | None = None
        self.is_closing = False  # what it has it may finish, and it is given no more

    def __repr__(self) -> str:
        return f"<TaskProxy {self.plugin} waiting={len(self._waiting)} given={len(self._given)}>"

    @property
    def held(self) -> int:
        """The requests of the plugin that are held open until there is a task."""
        return len(self._held)

    @property
    def is_busy(self) -> bool:
        """Whether there is a task that waits, runs, or can still be asked about."""
        return bool(self._given) or any(not task.is_over for task in self._waiting)

    @property
    def unfinished(self) -> list[str]:
        """The ids of the tasks that the plugin has and that have not ended."""
        return sorted(task.id for task, _ in self._given.values() if not task.is_over)

    # What an embedder gives.

    def check(self, order: TaskOrder) -> None:
        """Raise CallFailed for a task that the plugin cannot be given, `rpc.busy` when too many wait."""
        params = _written(order)
        self._link.survey(params)
        room = self._link.connection.peer_limits.message_bytes
        if len(msgspec.msgpack.encode(params)) + 64 > room:
            text = f"plugin `{self.plugin}` takes messages of {room} bytes, and this task is larger"
            raise CallFailed(text, name="rpc.too_large")
        self._skip_over()
        if len(self._waiting) >= MOST_WAITING:
            text = f"{MOST_WAITING} tasks wait for plugin `{self.plugin}` to take them"
            raise CallFailed(text, name="rpc.busy")

    def put(self, task: Task) -> None:
        """A task for the plugin to take."""
        if self._loss is not None:
            task.lose(*self._loss)
            return
        self._waiting.append(task)
        self._deal()

    def _deal(self) -> None:
        self._skip_over()
        while self._held and self._waiting and not self.is_closing:
            msgid = next(iter(self._held))
            intake, task = self._held.pop(msgid), self._waiting.popleft()
            intake.bind(task)
            self._given[task.id] = task, intake
            self._worker.begin(task.id)
            task.claim(self._worker, intake.grant)
            self._link.answer(msgid, _written(task.order))
            self._skip_over()

    def _skip_over(self) -> None:
        """Those that were killed while they waited, wherever they stand."""
        if any(task.is_over for task in self._waiting):
            self._waiting = deque(task for task in self._waiting if not task.is_over)

    def _forget(self, task: str) -> None:
        """It is closed."""
        self._given.pop(task, None)

    # What the plugin asks.

    def serves(self, method: str) -> bool:
        """Whether a request is answered here."""
        return method in self._methods or method in _NOTICES

    def serve(self, event: RequestReceived) -> None:
        """Answer one request, now or later."""
        method = self._methods.get(event.method)
        try:
            if method is None:
                raise MethodNotAllowed(f"{event.method} is a notification, and came as a request")
            method(self, event)
        except Exception as error:
            self._link.refuse(event.msgid, told(error, event.method, self.plugin))

    def cancel(self, msgid: int) -> None:
        """The plugin does not want the answer any more."""
        intake = self._held.pop(msgid, None)
        if intake is not None:
            self._link.streams.forget(intake.number)
            self._refuse_cancelled(msgid)

    def _execute(self, event: RequestReceived) -> None:
        wanted = converted(event.method, event.params, ExecuteRequest)
        if wanted.log % 2 == 0:
            raise InvalidPayload(f"{event.method}: the streams of a plugin have odd numbers")
        intake = LogIntake(self._link.streams, wanted.log, self)
        try:
            self._link.streams.accept(wanted.log, WINDOW_BYTES, intake)
        except LocalProtocolError as error:
            raise InvalidPayload(f"{event.method}: {error}") from None
        if len(self._held) >= MOST_EXECUTES:
            self._link.streams.forget(wanted.log)  # a plugin that has just cancelled it will end it
            raise CallFailed(f"{MOST_EXECUTES} requests of this plugin wait for tasks", name="rpc.busy")
        self._held[event.msgid] = intake
        self._deal()

    def _start(self, event: RequestReceived) -> None:
        task, _ = self._named(converted(event.method, event.params, StartRequest).task)
        is_to_be_killed = task.start()
        self._link.answer(event.msgid, {"kill": is_to_be_killed, "grace_ms": task.grace * 1000})

    def _success(self, event: RequestReceived) -> None:
        said = converted(event.method, event.params, SuccessRequest)
        self._report(event.msgid, said.task, Outcome(True, code=said.code), said.log_bytes)

    def _failed(self, event: RequestReceived) -> None:
        said = converted(event.method, event.params, FailedRequest)
        signal = said.signal and shown(said.signal[:_SIGNAL_CHARACTERS])
        outcome = Outcome(False, said.code, signal, said.reason[:_REASON_CHARACTERS])
        self._report(event.msgid, said.task, outcome, said.log_bytes)

    def _report(self, msgid: int, name: str, outcome: Outcome, total: int) -> None:
        task, intake = self._named(name)
        if intake.total is not None and total != intake.total and not task.is_over:
            raise InvalidPayload(f"the report says {total} bytes of log, and it ended at {intake.total}")
        task.report(outcome, total)
        self._link.answer(msgid, {})

    def _named(self, task: str) -> tuple[Task, LogIntake]:
        found = self._given.get(task)
        if found is None:
            raise UnknownActionId(f"plugin `{self.plugin}` has no task {task!r}, or no longer")
        return found

    _methods: ClassVar[dict[str, Callable[[TaskProxy, RequestReceived], None]]] = {
        "metadata.execute": _execute,
        "metadata.start": _start,
        "metadata.success": _success,
        "metadata.failed": _failed,
    }

    # What the plugin says.

    def hear(self, method: str, params: Any) -> None:
        """A notification. Raises MethodNotAllowed for what is a request, InvalidPayload."""
        if method in self._methods or method in _REQUESTS_ELSEWHERE:
            raise MethodNotAllowed(f"{method} is a request, and came as a notification")
        if method in _NOTICES:
            self._worker.artifact_sent(converted(method, params, ArtifactSent))

    def withdraw(self, intake: LogIntake) -> None:
        """The plugin ended the log before there was a task: it wants none."""
        for msgid, held in list(self._held.items()):
            if held is intake:
                del self._held[msgid]
                self._refuse_cancelled(msgid)

    def decline(self, task: Task) -> None:
        """The plugin gives a task back that was on its way when it had cancelled its request."""
        self._given.pop(task.id, None)
        task.decline()
        self._waiting.appendleft(task)
        self._deal()

    def _refuse_cancelled(self, msgid: int) -> None:
        error = CallCancelled("metadata.execute was cancelled", name="rpc.cancelled")
        self._link.refuse(msgid, error)

    def fail(self, reason: str, report: DeathReport | None, make_error: Callable[[], Exception]) -> None:
        """The plugin is gone; `make_error` is for who reads a file of its."""
        if self._loss is not None:
            return
        self._loss = reason, report
        self._held.clear()
        tasks = [*self._waiting, *(task for task, _ in self._given.values())]
        self._waiting.clear()
        self._given.clear()
        for task in tasks:
            task.lose(reason, report)
        self._worker.fail(make_error)


def _written(order: TaskOrder) -> dict[str, Any]:
    """An order as it travels."""
    written: dict[str, Any] = msgspec.to_builtins(order)
    return written
