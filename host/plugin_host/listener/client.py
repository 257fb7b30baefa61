"""Sends one request to a command listener and reads its reply; for programs without a loop.

Invariant: a status that is in a reply was sent by the listener. What happens on the way is an exception.
"""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

from plugin_host.errors import CallTimeout, ListenerUnreachable
from plugin_host.localsocket import check_path
from plugin_host.notation import BadNotation, from_json, to_json
from plugin_host.wording import shown

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

__all__ = ["MOST_REPLY_BYTES", "send_command", "send_text"]

MOST_REPLY_BYTES = 64 * 1024 * 1024
_READ_BYTES = 256 * 1024
_SHORTER = "a symbolic link to its folder"


def send_command(
    path: str | os.PathLike[str], request: Mapping[str, Any], timeout: float | None = 60.0
) -> dict[str, Any]:
    """The reply to `request`, whose `Command` names the command, from the listener at `path`.

    `timeout` is in seconds, for all of it. A reply is returned whatever its `Status`. Blocks.

    Raises ListenerUnreachable, whose `code` is 103, CallTimeout, SocketError for a path that no socket can
    have, and TypeError for a request that JSON cannot carry.
    """
    return send_text(path, to_json(dict(request)).encode(), timeout)


def send_text(path: str | os.PathLike[str], text: bytes, timeout: float | None = 60.0) -> dict[str, Any]:
    """The same for a request that is written already, whatever the listener will think of it."""
    place = check_path(str(path), _SHORTER)
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            _allow(connection, deadline)
            connection.connect(place)
            data = _exchanged(connection, text, deadline)
    except (TimeoutError, BlockingIOError):
        problem = f"{shown(place)}: no reply within {timeout:g} s"
        raise CallTimeout(problem, name="command.timeout") from None
    except OSError as error:
        raise _unreachable(place, f"{error.strerror or error}{_hint(error)}") from None
    return _reply(place, data)


def _exchanged(connection: socket.socket, text: bytes, deadline: float | None) -> bytes:
    """Send the request and read until the listener has said all. Raises OSError and TimeoutError."""
    broken: OSError | None = None
    try:
        _allow(connection, deadline)
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError) as error:
        broken = error  # a request that was refused half-way has been replied to all the same
    data = bytearray()
    while len(data) <= MOST_REPLY_BYTES:
        _allow(connection, deadline)
        try:
            part = connection.recv(_READ_BYTES)
        except ConnectionResetError:
            part = b""
        if not part:
            break
        data += part
    if not data and broken is not None:
        raise broken
    return bytes(data)


def _allow(connection: socket.socket, deadline: float | None) -> None:
    """What is left until the deadline, for the next step."""
    if deadline is None:
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _reply(place: str, data: bytes) -> dict[str, Any]:
    if not data:
        raise _unreachable(place, "the connection was closed without a reply")
    if len(data) > MOST_REPLY_BYTES:
        raise _unreachable(place, f"the reply is larger than {MOST_REPLY_BYTES} bytes")
    try:
        reply = from_json(data.decode())
    except (UnicodeDecodeError, BadNotation) as error:
        raise _unreachable(place, f"what came is no reply: {error}") from None
    if not isinstance(reply, dict) or type(reply.get("Status")) is not int:
        shown_reply = json.dumps(reply, default=str)[:60]
        raise _unreachable(place, f"what came is no reply, as it has no Status: {shown_reply}")
    return reply


def _hint(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "; no listener is there"
    if isinstance(error, ConnectionRefusedError):
        return "; nobody listens there any more"
    return ""


def _unreachable(place: str, problem: str) -> ListenerUnreachable:
    return ListenerUnreachable(f"{shown(place)}: {problem}", path=place)
