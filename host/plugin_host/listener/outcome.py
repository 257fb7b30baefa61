"""Which reply an exception becomes.

Invariant: every exception has exactly one status, decided here; the traceback of a handler stays beside
the fields, as it may hold secrets.
"""

from __future__ import annotations

import logging
from traceback import format_exception
from typing import Any

from plugin_host.errors import (
    CallCancelled,
    CallError,
    CallFailed,
    CallTimeout,
    CrashLoop,
    LaunchError,
    LocalProtocolError,
    PluginDied,
    PluginNotFound,
    PluginNotReady,
)
from plugin_host_sdk.errors import CommandError

from .framing import BadRequest, RequestCut
from .reply import Reply, Status

__all__ = ["reply_to"]

# Of a plugin's, which may be of any size.
_TRACEBACK_CHARS = 32 * 1024

_log = logging.getLogger("plugin_host")

_STATUSES: tuple[tuple[type[Exception], Status], ...] = (
    (PluginDied, Status.PLUGIN_DIED),
    (CallCancelled, Status.PLUGIN_DIED),
    (CallTimeout, Status.TIMEOUT),
    (PluginNotFound, Status.PLUGIN_UNAVAILABLE),
    (PluginNotReady, Status.PLUGIN_UNAVAILABLE),
    (LaunchError, Status.PLUGIN_UNAVAILABLE),
    (CrashLoop, Status.PLUGIN_UNAVAILABLE),
    (LocalProtocolError, Status.BAD_REQUEST),
)
_NAMES = {
    "command.not_found": Status.NOT_FOUND,
    "command.bad_request": Status.BAD_REQUEST,
    "command.not_encodable": Status.NOT_ENCODABLE,
    "rpc.not_encodable": Status.BAD_REQUEST,  # of a parameter: what JSON takes and the wire does not
    "rpc.too_large": Status.NOT_ENCODABLE,
    "rpc.method_not_found": Status.NOT_FOUND,
}


def reply_to(error: Exception, what: str = "") -> Reply:
    """The reply to a request that ended with `error`; `what` is the command, and may begin its message."""
    if isinstance(error, CommandError):
        return Reply(error.status, error.message, error.fields)
    if isinstance(error, BadRequest):
        status = Status.CONNECTION if isinstance(error, RequestCut) else Status.BAD_REQUEST
        return Reply(status, str(error), _place(error))
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return Reply(status, str(error))
    if isinstance(error, CallFailed):
        return _of_call(error, what)
    fields = {"ErrorType": type(error).__name__}
    if isinstance(error, CallError):
        return Reply(Status.HANDLER_FAILED, _said(error), fields)
    _log.warning("command %r: its handler failed", what, exc_info=error)
    return Reply(Status.HANDLER_FAILED, _said(error), fields, _tail("".join(format_exception(error))))


def _of_call(error: CallFailed, what: str) -> Reply:
    if error.name == "command.failed" and 1 <= error.code <= 99:
        return Reply(error.code, error.message.removeprefix(f"{what}: "), _map(error.data))
    data = _map(error.data)
    if error.name == "command.handler_failed":
        message = data.get("message")
        text = message if isinstance(message, str) else error.message
        fields = {"ErrorType": kind} if (kind := data.get("type")) else {}
        return Reply(Status.HANDLER_FAILED, text, fields, _tail(data.get("traceback")))
    path = data.get("path")
    fields = {"Path": path} if isinstance(path, str) else {}
    return Reply(_NAMES.get(error.name, Status.HANDLER_FAILED), error.message, fields)


def _tail(traceback: Any) -> str:
    """The end of it, where the fault is."""
    return traceback[-_TRACEBACK_CHARS:] if isinstance(traceback, str) else ""


def _place(error: BadRequest) -> dict[str, Any]:
    if error.path is not None:
        return {"Path": error.path}
    if error.position is None:
        return {}
    return dict(zip(("Line", "Column", "Offset"), error.position, strict=True))


def _map(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def _said(error: Exception) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:  # an author's own type
        return type(error).__name__
