"""What a client is answered: a status, a message, and free fields.

Owns the numbers of the statuses and how a reply is written. Invariant: whatever a handler returns, what is
sent is one line of JSON with a whole number as `Status` and a text as `StatusMessage`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from plugin_host.notation import to_json

__all__ = ["Reply", "Status", "encoded", "lifted"]

_RESERVED = frozenset({"status", "statusmessage"})
_RESULT = "Result"
_TRACEBACK = "Traceback"


class Status(IntEnum):
    """Those of the system. 0 is success, and 1 to 99 belong to handlers."""

    NOT_FOUND = 101
    BAD_REQUEST = 102
    CONNECTION = 103
    """Not all of the request came. A client that gets no reply at all raises an error of this number."""
    TIMEOUT = 104
    HANDLER_FAILED = 105
    NOT_ENCODABLE = 106
    NOT_ADMITTED = 107
    PLUGIN_UNAVAILABLE = 501
    PLUGIN_DIED = 502


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; `fields` stand beside the status. `traceback` is that of a handler which failed."""

    status: int = 0
    message: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    traceback: str = field(default="", repr=False)

    def to_map(self, *, debug: bool = False) -> dict[str, Any]:
        """As it is sent; with the traceback to those who `debug` alone, as there may be secrets in it."""
        shown = {"Status": int(self.status), "StatusMessage": self.message, **lifted(self.fields)}
        return shown | {_TRACEBACK: self.traceback} if debug and self.traceback else shown


def lifted(result: Any) -> dict[str, Any]:
    """The fields that a handler's result becomes: a map's own, nothing for None, else one called `Result`.

    A map that has a field which a client could take for the status is not lifted either.
    """
    if result is None:
        return {}
    if isinstance(result, Mapping) and all(
        isinstance(name, str) and name.casefold() not in _RESERVED for name in result
    ):
        return dict(result)
    return {_RESULT: result}


def encoded(reply: Reply, *, debug: bool = False) -> bytes:
    """The line to send; status 106 in place of a reply that JSON cannot carry."""
    try:
        text = to_json(reply.to_map(debug=debug))
    except (TypeError, ValueError, RecursionError, AttributeError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        text = to_json(
            Reply(Status.NOT_ENCODABLE, f"the reply cannot be written as JSON: {problem}").to_map()
        )
    return text.encode() + b"\n"
