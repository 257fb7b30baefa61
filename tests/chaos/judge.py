"""What a failed call may look like: of a documented kind, with a reason that names the plugin, in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from plugin_host import CallCancelled, CallFailed, CallTimeout, PluginDied, PluginHostError, PluginNotReady

if TYPE_CHECKING:
    from .pulse import Pulse

__all__ = ["LATE_S", "kind_of", "lateness", "objection"]

LATE_S = 0.5
"""So much later than its deadline a call may fail, beside what the loop was late itself."""

_DOCUMENTED = (CallCancelled, CallFailed, CallTimeout, PluginDied, PluginNotReady)


def objection(error: PluginHostError, *names: str) -> str | None:
    """What is wrong with an error of a call; `names` are those of which it must say one."""
    text = str(error)
    if not isinstance(error, _DOCUMENTED):
        return f"it failed with {type(error).__name__}, which calls are not documented to raise: {text}"
    if not text.strip():
        return f"{type(error).__name__} gives no reason"
    if not any(name in text for name in names):
        return f"{type(error).__name__} does not say of whom it is: {text}"
    if isinstance(error, PluginDied):
        if error.report is None or not error.report.how:
            return f"PluginDied has no report: {text}"
        if error.report.plugin not in names:
            return f"PluginDied has the report of {error.report.plugin}"
    return None


def kind_of(error: PluginHostError) -> str:
    """A failure's kind, for counting."""
    name = getattr(error, "name", None)
    state = getattr(error, "state", None)
    detail = name if isinstance(error, CallFailed) else state if isinstance(error, PluginNotReady) else None
    return type(error).__name__ + (f" ({detail})" if detail else "")


def lateness(deadline: float, pulse: Pulse) -> float:
    """How many seconds it is too late now, all allowances made; 0 when it is not."""
    late = asyncio.get_running_loop().time() - deadline
    return max(0.0, late - LATE_S - pulse.late_since(deadline - LATE_S)) if late > LATE_S else 0.0
