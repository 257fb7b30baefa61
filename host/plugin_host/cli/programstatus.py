"""The status that stands for how a session ended, as shells count: a code, or 128 + n for signal n."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from plugin_host.errors import PluginHostError
from plugin_host_sdk.errors import ExecError

if TYPE_CHECKING:
    from plugin_host_sdk.types.session import Exit

__all__ = ["signal_number", "status_of"]

_LARGEST = 255


def status_of(ended: Exit) -> int:
    """0 to 255. Raises ExecError with the plugin's words, PluginHostError for a session without an end."""
    failure = ended.error
    if failure is not None:
        raise ExecError(
            failure.title or "Session failed",
            failure.message or ended.reason,
            failure.suggestion,
            failure.retryable,
            failure.retry_commands,
        )
    if ended.signal is not None:
        return 128 + signal_number(ended.signal)
    if ended.code is None:
        raise PluginHostError(f"the session ended without a status: {ended.reason or 'no reason given'}")
    # A handler that serves sessions itself may end with any number, which a process cannot.
    return ended.code if 0 <= ended.code <= _LARGEST else _LARGEST


def signal_number(name: str) -> int:
    """The number of a signal: `SIGTERM`, `SIGRTMIN+3`; 0 for one that this system does not know."""
    known = signal.Signals.__members__.get(name)
    if known is not None:
        return int(known)
    start, _, more = name.partition("+")
    if start == "SIGRTMIN" and more.isdecimal():
        return int(signal.SIGRTMIN) + int(more)
    return 0
