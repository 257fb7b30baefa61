"""A short way for a message that comes alone, as most do between two that take turns.

It is a third of the way by `Connection.receive_data` and leads to the same place. Invariant: what is not
taken here has left no trace, so that the same bytes can go the long way.
"""

from __future__ import annotations

from .events import RequestReceived
from .protocol import MAX_MSGID, PENDING_REQUESTS, READY, REQUEST, RESPONSE, STOPPING
from .wire import unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .connection import Connection

__all__ = ["NO_ANSWER", "take_answer", "take_request"]

NO_ANSWER: Any = object()
"""What `take_answer` gives when it has taken nothing."""

_ANSWERED = frozenset({READY, STOPPING})  # the states in which a result may come
_FOUR = 0x94  # begins a list of four


def take_answer(connection: Connection, data: bytes | bytearray | memoryview, msgid: int) -> Any:
    """The result of request `msgid` of this side, if `data` is that and nothing else; else NO_ANSWER."""
    if len(data) <= connection.decoder.alone:
        try:
            if data[0] == _FOUR:
                kind, answered, error, result = unpack(data)
                if (
                    kind == RESPONSE
                    and answered == msgid
                    and error is None
                    and connection.state in _ANSWERED
                ):
                    del connection.pending[msgid]
                    return result
        except Exception:  # whatever it is, it is not that
            pass
    return NO_ANSWER


def take_request(connection: Connection, data: bytes | bytearray | memoryview) -> RequestReceived | None:
    """The request that `data` is, of a method that was asked for before; else None."""
    if len(data) <= connection.decoder.alone:
        try:
            if data[0] == _FOUR:
                kind, msgid, method, params = unpack(data)
                arguments, incoming = params[0], connection.incoming
                meta = params[1] if len(params) > 1 else None
                if (
                    kind == REQUEST
                    and method in connection.calling
                    and connection.state is READY
                    and type(msgid) is int
                    and -1 < msgid <= MAX_MSGID
                    and msgid not in incoming
                    and type(params) is list
                    and type(arguments) is dict
                    and (meta is None or type(meta) is dict)
                    and len(incoming) < PENDING_REQUESTS
                ):
                    incoming[msgid] = method
                    return RequestReceived(msgid, method, arguments, meta)
        except Exception:  # whatever it is, it is not that
            pass
    return None
