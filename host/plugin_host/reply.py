"""What goes back for a request of the peer, as bytes.

Invariant: there is always something that can travel; what cannot becomes an error that says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plugin_host_sdk.errors import CallError, CallFailed, LocalProtocolError
from plugin_host_sdk.excerpt import said

from .unsent import refusal

if TYPE_CHECKING:
    from plugin_host_sdk.connection import Connection

__all__ = ["error_reply", "result_reply"]

_MESSAGE_CHARACTERS = 1000  # of an error that is too large as it is


def result_reply(connection: Connection, msgid: int, result: Any) -> bytes:
    """The result of the request `msgid`, which is open."""
    try:
        connection.survey(result)
        return connection.send_response(msgid, result)
    except LocalProtocolError as error:
        told = type(error)(f"the result of {connection.incoming[msgid]}: {error}")
        return connection.send_error(msgid, _sent(connection, refusal(told)))


def error_reply(connection: Connection, msgid: int, error: CallError) -> bytes:
    """An error in the place of a result."""
    text = said(error)[:_MESSAGE_CHARACTERS]
    for one in (error, CallFailed(text, name=error.name, code=error.code)):
        try:
            return connection.send_error(msgid, _sent(connection, one))
        except Exception:  # a service may raise one that holds anything, in any of its parts
            continue
    return connection.send_error(msgid, _sent(connection, CallFailed(text)))


def _sent(connection: Connection, error: CallError) -> Any:
    """An error as it travels: a map, and to a raw peer, which knows nothing of ours, its text."""
    return error.message if connection.raw else error.to_map()
