"""The status that stands for how a task ended, as shells count: a code, or 128 + n for signal n.

Pure. Invariant: only a task that succeeded has status 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host.errors import PluginHostError

from .failure import OK, REFUSED, TIMED_OUT
from .programstatus import signal_number

if TYPE_CHECKING:
    from plugin_host.task.result import TaskResult

__all__ = ["task_status"]

_LARGEST = 255


def task_status(result: TaskResult) -> int:
    """0 to 255, 124 when its time was over. Raises PluginHostError for a failure that is no program's."""
    if result.timed_out:
        return TIMED_OUT
    if result.signal is not None:
        return 128 + signal_number(result.signal)
    if result.success:
        return OK
    if result.code is None:
        raise PluginHostError(f"the task failed: {result.reason or 'its worker gives no reason'}")
    if result.code == 0:
        return REFUSED
    # A worker may report any number, which a process cannot.
    return result.code if 0 < result.code <= _LARGEST else _LARGEST
