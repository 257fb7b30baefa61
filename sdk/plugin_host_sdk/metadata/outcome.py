"""What a task's function returned or raised, as the result that the host is told."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from plugin_host_sdk.errors import CallError, CallFailed, excerpt
from plugin_host_sdk.exec.process import Status

if TYPE_CHECKING:
    from typing import Any

    from .task import Task

__all__ = ["Outcome", "outcome_of"]

# How a shell tells of a program that did not start.
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


class Outcome(NamedTuple):
    """Success when there is no `reason`."""

    code: int | None
    signal: str | None
    reason: str | None

    def report(self, task: Task) -> Any:
        """Tell the host; awaited for an async task."""
        if self.reason is None:
            return task.success(self.code)
        return task.failed(self.reason, self.code, self.signal)

    @classmethod
    def of_error(cls, error: BaseException, killed: str | None) -> Outcome:
        """The failure of a function that raised. `killed` is why it was to end, if it was."""
        if isinstance(error, CallError):
            text = error.message
        else:
            text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return cls(_code_of(error), None, killed or text)


def outcome_of(result: Any) -> Outcome:
    """The result of a function that returned. Raises CallFailed for what is none."""
    if result is None or result is True:
        return Outcome(0, None, None)
    if result is False:
        return Outcome(None, None, "the plugin's function says that it failed")
    if type(result) is int:
        result = Status(result, None, f"exited with status {result}")
    if isinstance(result, Status):
        return Outcome(result.code, result.signal, None if result.code == 0 else result.reason)
    raise CallFailed(
        f"a task's function returns nothing, a bool, an exit code or a Status, not {excerpt(result)}",
        name="rpc.internal",
    )


def _code_of(error: BaseException) -> int | None:
    """The exit code of a program that could not be started, as shells have it."""
    data = error.data if isinstance(error, CallError) else None
    if not isinstance(data, dict) or "reason" not in data:
        return None
    return _NOT_FOUND if data.get("errno") == errno.ENOENT else _NOT_EXECUTABLE
