"""How a request of a guest is refused: a status, and a body that says why.

Invariant: of a fault of the host itself a guest is told an incident id, under which the log has the rest.
"""

from __future__ import annotations

import logging
import secrets

import msgspec

from plugin_host.errors import (
    InternalError,
    InvalidPayload,
    MetadataError,
    MethodNotAllowed,
    NoSuchEndPoint,
    ResourceConflict,
    UnknownActionId,
)

from .credential import Unauthorized

__all__ = ["STATUS", "refusal"]

STATUS: dict[type[MetadataError], int] = {
    MethodNotAllowed: 405,
    NoSuchEndPoint: 404,
    InternalError: 500,
    ResourceConflict: 409,
    UnknownActionId: 400,
    InvalidPayload: 400,
    Unauthorized: 401,
}
"""The kinds of refusal, by the exceptions whose names they bear."""

_log = logging.getLogger("plugin_host.guest")


def refusal(error: Exception, what: str) -> tuple[int, bytes]:
    """Status and body for what was raised by the request `what`; what guests are not told is logged."""
    kind = type(error)
    if not isinstance(error, MetadataError) or kind not in STATUS or kind is InternalError:
        incident = secrets.token_hex(8)
        _log.error("incident %s: %s failed", incident, what, exc_info=error)
        return STATUS[InternalError], _body(InternalError, f"internal error, incident {incident}")
    return STATUS[kind], _body(kind, error.message)


def _body(kind: type[MetadataError], message: str) -> bytes:
    readable = message.encode("utf-8", "backslashreplace").decode()
    return msgspec.json.encode({"code": kind.__name__, "message": readable})
