"""The three ways in which a fuzzer's bytes try the core, and the choice between them.

Each is a pure function of the bytes; `AssertionError`, or anything else that is raised, is a finding.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from plugin_host_sdk.connection import HOST, PLUGIN, Connection
from plugin_host_sdk.errors import LocalProtocolError
from plugin_host_sdk.events import Failed
from plugin_host_sdk.handshake import Limits
from plugin_host_sdk.protocol import PEER_OF
from plugin_host_sdk.wire import decoder, encoder
from tests.fuzz import promise
from tests.fuzz.cursor import Cursor
from tests.fuzz.intention import WINDOWS, carry_out
from tests.fuzz.start import ROLES, STARTS
from tests.pair import ConnectionPair

_ONE_BY_ONE = 600
"""Longer inputs are not given byte by byte: it would cost most of the time and find little more."""

_SMALL = Limits(message_bytes=1024, window_bytes=4096, frame_bytes=1024)
_TIGHT = {
    (decoder, "_SLICE_BYTES"): 128,
    (decoder, "MESSAGE_CONTAINERS"): 400,
    (decoder, "CONTAINER_ITEMS"): 300,
    (decoder, "_PLAIN_BYTES"): 400 - 128 - 1,
    (decoder, "_KEPT_ROOM"): 600,
    (decoder, "_CALM_MESSAGES"): 3,
    (encoder, "FRAME_BYTES"): 128,
    (encoder, "MESSAGE_CONTAINERS"): 400,
    (encoder, "CONTAINER_ITEMS"): 300,
    (encoder, "_PACKER_BYTES"): 700,
}
"""The decoder's and encoder's sizes, so small that a short input goes beyond each."""


def check(data: bytes) -> None:
    """Try the core with `data`."""
    plan = Cursor(data)
    case = plan.choice(CASES)
    usual = {(module, name): getattr(module, name) for module, name in _TIGHT}
    try:
        for (module, name), size in (_TIGHT if plan.number(2) else usual).items():
            setattr(module, name, size)
        case(plan)
    finally:
        for (module, name), size in usual.items():
            setattr(module, name, size)


def cut(plan: Cursor) -> None:
    """Any bytes give the same events in the same states, however they are cut."""
    start, role = plan.choice(tuple(STARTS.values())), plan.choice(ROLES)
    limits = plan.choice((Limits(), _SMALL))
    edges = sorted(plan.number(4096) for _ in range(plan.number(4)))
    data = plan.rest()
    whole = _with(limits, start(role))
    events = promise.events_of(whole, [data])
    promise.check_end(whole, events)
    pieces = [data[a:b] for a, b in pairwise([0, *edges, len(data)])]
    single = [data[at : at + 1] for at in range(min(len(data), _ONE_BY_ONE))] + [data[_ONE_BY_ONE:]]
    for parts in (pieces, single):
        other = _with(limits, start(role))
        assert promise.shown(promise.events_of(other, parts)) == promise.shown(events), parts
        assert (other.state, repr(other)) == (whole.state, repr(whole)), parts


def alone(plan: Cursor) -> None:
    """Between the bytes of a peer that may be no friend, this side does what it likes."""
    connection = plan.choice(tuple(STARTS.values()))(plan.choice(ROLES))
    _with(plan.choice((Limits(), _SMALL)), connection)
    while not plan.is_over:
        if plan.number(2):
            carry_out(connection, plan)
        elif data := plan.take(plan.number()):
            promise.check_order(connection, connection.receive_data(data))
            promise.check_room(connection)
    promise.check_order(connection, connection.receive_data(b""))


def together(plan: Cursor) -> None:
    """What one side may send, the other takes: whatever both do, neither finds a fault with the other."""
    limits = (Limits(), _SMALL)
    pair = ConnectionPair(host_limits=plan.choice(limits), plugin_limits=plan.choice(limits)).initialize()
    under_way = {HOST: bytearray(), PLUGIN: bytearray()}
    while not plan.is_over:
        role = plan.choice(ROLES)
        step = plan.number(8)
        if step < 5:
            under_way[role] += carry_out(pair.end(role), plan)
        elif step == 5:
            _open(pair, role, plan)
        else:
            _deliver(pair, role, under_way[role], plan.number(2048))
    for role in ROLES:
        _deliver(pair, role, under_way[role], len(under_way[role]))
        assert pair.end(PEER_OF[role]).decoder.pending == 0


def _open(pair: ConnectionPair, sender: str, plan: Cursor) -> None:
    """A stream as a request of the sender opens it, with a window that the receiver can give."""
    receiver, window = pair.end(PEER_OF[sender]), plan.choice(WINDOWS)
    stream = pair.end(sender).streams.reserve()
    try:
        receiver.streams.open_receive(stream, window)
    except LocalProtocolError:
        receiver.streams.forget(stream)
        pair.end(sender).streams.forget(stream)
    else:
        pair.end(sender).streams.open_send(stream, window)


def _deliver(pair: ConnectionPair, sender: str, under_way: bytearray, size: int) -> None:
    data = bytes(under_way[:size])
    del under_way[:size]
    if data:
        receiver = pair.end(PEER_OF[sender])
        events = receiver.receive_data(data)
        failures = [event.error for event in events if isinstance(event, Failed)]
        assert not failures, f"the {receiver.role} refused what the {sender} may send: {failures[0]}"


def _with(limits: Limits, connection: Connection) -> Connection:
    """The same connection, which receives no more than `limits` from now on."""
    connection.limits = connection.streams._limits = limits
    connection.decoder.limit = limits.message_bytes
    return connection


CASES: tuple[Callable[[Cursor], None], ...] = (cut, alone, together)
