"""What a driver may ask of a connection, chosen by a fuzzer: every `send_*` and the life of streams.

An intention that the protocol does not allow is refused with `LocalProtocolError`; nothing else may be
raised. What is returned must be whole messages. Arguments have the types that drivers give; the values
in them are as odd as authors make them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack

from plugin_host_sdk.connection import Connection
from plugin_host_sdk.errors import LocalProtocolError
from plugin_host_sdk.protocol import METHODS
from tests.fuzz.cursor import Cursor

# Those that have an intention of their own are not for `send_notification`.
OWN = ("cancel", "progress", "failure", "initialize")
NAMES = (
    *(name for name in METHODS if name not in OWN and not name.startswith("stream.")),
    *("command.call", "exec.create", "metadata.get", "action.trigger", "host.echo", "demo", "x" * 2000, ""),
)
WINDOWS = (0, 1, 100, 1000, 4096, 2**20, 2**21)


def carry_out(connection: Connection, plan: Cursor) -> bytes:
    """Do what `plan` says next; what is to be written, b"" when it was refused or nothing is due."""
    try:
        data = plan.choice(INTENTIONS)(connection, plan)
    except LocalProtocolError:
        return b""
    _check_messages(data)
    return data


def _check_messages(data: bytes) -> None:
    if len(data) > 2000:
        return  # what is large is checked by its receiver
    # Maps as pairs: a raw peer may take keys that Python's maps do not.
    unpacker = msgpack.Unpacker(
        strict_map_key=False, object_pairs_hook=list, unicode_errors="surrogateescape"
    )
    unpacker.feed(data)
    for message in unpacker:
        assert type(message) is list, message
        assert len(message) == (3 if message[0] == 2 else 4), message
    assert unpacker.tell() == len(data), "half a message was sent"


def _params(connection: Connection, plan: Cursor) -> Any:
    params = [plan.value()] if connection.raw else plan.params()
    connection.survey(params)  # as the host does where they are given to it
    return params


def _initialize(connection: Connection, plan: Cursor) -> bytes:
    return connection.send_initialize({"protocols": [1]})


def _request(connection: Connection, plan: Cursor) -> bytes:
    method = plan.choice(NAMES)
    meta = {"timeout_ms": plan.number()} if plan.number(2) else None
    return connection.send_request(method, _params(connection, plan), meta)[1]


def _cancel(connection: Connection, plan: Cursor) -> bytes:
    return connection.send_cancel(_one_of(connection.pending, plan))


def _response(connection: Connection, plan: Cursor) -> bytes:
    return connection.send_response(_one_of(connection.incoming, plan), plan.value())


def _error(connection: Connection, plan: Cursor) -> bytes:
    error = plan.value()  # nil would be none
    return connection.send_error(_one_of(connection.incoming, plan), {} if error is None else error)


def _notification(connection: Connection, plan: Cursor) -> bytes:
    return connection.send_notification(plan.choice(NAMES), _params(connection, plan))


def _progress(connection: Connection, plan: Cursor) -> bytes:
    msgid = _one_of(connection.incoming, plan)
    total = plan.number() if plan.number(2) else None
    return connection.send_progress(msgid, plan.number() / 3, total, plan.choice(("", "so far")))


def _failure(connection: Connection, plan: Cursor) -> bytes:
    return connection.send_failure({"name": "rpc.protocol"})


def _frame(connection: Connection, plan: Cursor) -> bytes:
    stream = _one_of(connection.streams.sending, plan)
    return b"".join(connection.streams.send_data(stream, b"x" * plan.number(2000)))


def _gap(connection: Connection, plan: Cursor) -> bytes:
    return connection.streams.send_gap(_one_of(connection.streams.sending, plan), plan.number())


def _end(connection: Connection, plan: Cursor) -> bytes:
    return connection.streams.send_end(_one_of(connection.streams.sending, plan), plan.choice((None, {})))


def _stop(connection: Connection, plan: Cursor) -> bytes:
    return connection.streams.send_stop(_one_of(connection.streams.receiving, plan))


def _consume(connection: Connection, plan: Cursor) -> bytes:
    return connection.streams.consume(_one_of(connection.streams.receiving, plan), plan.number(2000))


INTENTIONS: tuple[Callable[[Connection, Cursor], bytes], ...] = (
    _initialize,
    _request,
    _cancel,
    _response,
    _error,
    _notification,
    _progress,
    _frame,
    _gap,
    _end,
    _stop,
    _consume,
)


def _one_of(ids: Any, plan: Cursor) -> int:
    """An id that is open, or nearly always: now and then one that may never have been."""
    number = plan.number()
    known = sorted(ids)
    return known[number % len(known)] if known and number < 240 else number % 20 + 1
