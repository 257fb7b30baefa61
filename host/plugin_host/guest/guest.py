"""One guest and the task it works on: who asks what of whom, in both directions.

Invariant: once it is over, whoever waits for the guest, or for the task's end, has been told so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .actiondesk import ActionDesk
from .report import TaskReport, outcome_of
from .worker import GuestWorker

if TYPE_CHECKING:
    from plugin_host.task.task import Task

    from .times import GuestTimes

__all__ = ["Guest"]


class Guest:
    """The guest of `task`, which shows `token`.

    Raises ResourceConflict when the task has a worker already, or has ended.
    """

    def __init__(self, task: Task, times: GuestTimes, token: str | None = None) -> None:
        self.task = task
        self.times = times
        self.token = token
        self.desk = ActionDesk(times)
        self.worker = GuestWorker(self.desk, times)
        self.report = TaskReport(task, times)
        task.claim(self.worker)

    def __repr__(self) -> str:
        return f"<Guest of {self.task!r}>"

    def order(self) -> bytes:
        """The guest fetches what it is to run: that counts as its start."""
        order = self.report.order()
        if not self.worker.has_begun:
            self.worker.begin(self.task.start())
        return order

    async def conclude(self, success: bool, data: bytes) -> None:
        """See `TaskReport.conclude`; `data` is the body of the guest's request."""
        await self.report.conclude(outcome_of(success, data))
        self.worker.has_ended = True

    async def lose(self, reason: str) -> None:
        """The guest is gone: the task is lost, unless its end is known, and nothing can be asked."""
        self.task.lose(reason)
        self.desk.close(reason)
        self.desk.stop_polls()
        self.worker.lose(reason)
        await self.worker.stop()
