"""Which frames of a stack run a call, and which call that is."""

from __future__ import annotations

from plugin_host_sdk.context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

__all__ = ["call_of"]

# The functions that run calls, by the names their frames have, and where they are.
_RUNS_CALLS = ("Server._run_inline", "Server._run_pooled", "Server._run_async.<locals>.work", "serve_alone")
_MODULES = ("plugin_host_sdk.runtime.server", "plugin_host_sdk.runtime.lonecall")


def call_of(frame: FrameType) -> str | None:
    """The name of the call that this frame runs; None when it runs none."""
    if frame.f_code.co_qualname not in _RUNS_CALLS or frame.f_globals.get("__name__") not in _MODULES:
        return None
    ctx = frame.f_locals.get("ctx")
    return ctx.name if isinstance(ctx, Context) else None
