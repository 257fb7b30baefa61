"""The answer for a call that ended without its result: what an exception becomes on the wire."""

from __future__ import annotations

from plugin_host_sdk.errors import CallCancelled, CallError, CallFailed
from plugin_host_sdk.excerpt import said

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin_host_sdk.context import Context

__all__ = ["cancelled", "explained"]


def explained(ctx: Context, error: BaseException) -> CallError:
    """The answer for an exception that ended a call; a CallError is one already."""
    if isinstance(error, CallError):
        return error
    if type(error).__name__ == "CancelledError" and ctx.cancelled:
        return cancelled(ctx)
    return CallFailed(f"{ctx.name}: {type(error).__name__}: {said(error)}", name="rpc.internal")


def cancelled(ctx: Context) -> CallError:
    """The answer for a call that was cancelled."""
    return CallCancelled(f"{ctx.name!r} was cancelled: {ctx.cancelled.reason}", name="rpc.cancelled")
