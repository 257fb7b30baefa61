"""The tasks that a plugin has taken and its host may still ask about.

Invariant: a task stays until the host closes it; without that word the oldest that are over make room.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import UnknownActionId, excerpt

if TYPE_CHECKING:
    from .task import Task

__all__ = ["KEPT_TASKS", "TaskBook"]

KEPT_TASKS = 4096


class TaskBook:
    """Tasks by id, the oldest first. Used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, Task] = {}

    def __repr__(self) -> str:
        return f"<TaskBook {len(self._tasks)} tasks>"

    def add(self, task: Task) -> None:
        with self._lock:
            self._tasks[task.id] = task
            if len(self._tasks) > KEPT_TASKS:
                over = [one.id for one in self._tasks.values() if one.is_over]
                for id in over[: len(self._tasks) - KEPT_TASKS]:
                    del self._tasks[id]

    def find(self, id: str) -> Task:
        """Raises UnknownActionId."""
        task = self._tasks.get(id)
        if task is None:
            raise UnknownActionId(f"there is no task {excerpt(id)} here, or no longer")
        return task

    def forget(self, id: str) -> Task | None:
        """The task, if there was one."""
        with self._lock:
            return self._tasks.pop(id, None)

    def open(self) -> list[Task]:
        """Those without a result."""
        with self._lock:
            return [task for task in self._tasks.values() if not task.is_over]
