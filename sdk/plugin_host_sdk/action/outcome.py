"""How an action's end travels: its result as a map, or its error as one, both always encodable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host_sdk.errors import ActionFailed, CallCancelled, CallError, CommandError, excerpt
from plugin_host_sdk.excerpt import encodable, said
from plugin_host_sdk.types.action import KINDS, ReloadResult

if TYPE_CHECKING:
    from plugin_host_sdk.cancellation import Cancellation

__all__ = ["error_map", "result_map"]


def result_map(kind: str, result: Any) -> dict[str, Any]:
    """The result of a handler for an action of `kind`, as a map.

    It is of the kind's own type, or a map of its fields; nothing stands for one whose fields all have
    defaults, and `RESTART` for a reload that takes one. Raises ActionFailed for anything else.
    """
    wanted = KINDS[kind].result
    if kind == "reload_config" and type(result).__name__ == "Restart":
        result = ReloadResult(restart=True)
    try:
        if result is None:
            result = wanted()
        elif isinstance(result, dict):
            result = msgspec.convert(result, wanted)
    except (TypeError, msgspec.ValidationError) as error:
        raise ActionFailed(f"the handler of {kind!r} returned no {wanted.__name__}: {error}") from None
    if not isinstance(result, wanted):
        raise ActionFailed(
            f"the handler of {kind!r} returned {excerpt(result)}, which is no {wanted.__name__}"
        )
    found: dict[str, Any] = msgspec.to_builtins(result, builtin_types=(bytes,))
    return found


def error_map(kind: str, error: BaseException, cancelled: Cancellation) -> dict[str, Any]:
    """What a handler raised, as the map that travels; data that cannot are words about it."""
    made = _call_error(kind, error, cancelled).to_map()
    try:
        made["data"] = msgspec.to_builtins(made["data"], builtin_types=(bytes,))
        msgspec.msgpack.encode(made["data"])  # numbers and texts have limits, too
    except (TypeError, ValueError, RecursionError, OverflowError):
        made["data"] = {"excerpt": excerpt(made["data"])}
    return made


def _call_error(kind: str, error: BaseException, cancelled: Cancellation) -> CallError:
    if isinstance(error, CallError):
        return error
    if type(error).__name__ == "CancelledError" and cancelled:
        return CallCancelled(f"cancelled: {cancelled.reason}", name="rpc.cancelled")
    text = said(error)
    if isinstance(error, CommandError):
        return ActionFailed(text, data={"status": error.status, **error.fields})
    import traceback

    trace = encodable("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    name = type(error).__name__
    return ActionFailed(f"{kind}: {name}: {text}", data={"type": name, "message": text, "traceback": trace})
