"""The log of a task on its way from a plugin: one stream, from the request for a task to the task's end.

Invariants: what arrives goes into the log of the task that the request was answered with; the plugin has
credit for what that log takes, and no more; a log that is not whole is a fault and never silence; who
writes a log that nobody takes any more is told so, and waits for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from plugin_host.errors import CallError
from plugin_host_sdk.errors import excerpt

from .state import LOST, OFFERED

if TYPE_CHECKING:
    from plugin_host.stream import Streams

    from .task import Task

    class Held(Protocol):
        """Who holds the request that named the stream."""

        def withdraw(self, intake: LogIntake) -> None:
            """The plugin wants no task after all."""

        def decline(self, task: Task) -> None:
            """The plugin gives the task back."""


__all__ = ["LogIntake"]


class LogIntake:
    """Hears of stream `number`, which the plugin named."""

    def __init__(self, streams: Streams, number: int, holder: Held) -> None:
        self.number = number
        self.total: int | None = None  # once it has ended
        self._streams = streams
        self._holder = holder
        self._task: Task | None = None
        self._taken = 0

    def __repr__(self) -> str:
        return f"<LogIntake stream={self.number} of {self._task!r}>"

    def bind(self, task: Task) -> None:
        """The request is answered with this task."""
        self._task = task
        self._taken = task.log_limit

    def grant(self) -> None:
        """Give credit for what the log has taken meanwhile."""
        assert self._task is not None
        if self._task.state == LOST:  # whatever comes is ignored, and nobody has to wait with it
            self._streams.stop(self.number)
            return
        taken = self._task.log_limit
        if taken > self._taken:
            size, self._taken = taken - self._taken, taken
            self._streams.consume(self.number, size)

    # The stream's calls.

    def received(self, stream: int, offset: int, data: bytes) -> None:
        if self._task is None:  # there was no credit
            self._streams.stop(stream)
            self._holder.withdraw(self)
            return
        try:
            self._task.take(data)
        except CallError as error:
            self._fault(error.message)
        else:
            self.grant()

    def skipped(self, stream: int, offset: int, size: int) -> None:
        self._fault(f"its plugin left {size} bytes out of the log")

    def ended(self, stream: int, total: int, error: Any) -> None:
        task = self._task
        self.total = total
        if task is None:
            self._holder.withdraw(self)
        elif error is not None and task.state == OFFERED and not total:
            self._holder.decline(task)
        elif error is not None:
            self._fault(f"its log ended early: {excerpt(error)}")
        elif task.missing_log:
            self._fault(f"its log ended with {task.missing_log} bytes less than its plugin reported")

    def _fault(self, reason: str) -> None:
        self._streams.stop(self.number)
        if self._task is not None and not self._task.is_over:
            self._task.spoil(reason)
