"""A sealed connection as a state machine: bytes in, events out; it knows no socket and no clock.

`_TABLE` is the protocol. Invariants: no message is told before the keys are confirmed in both directions;
until then at most one short record is kept; after `Failed` nothing is told, whatever comes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING

from plugin_host.errors import KeyMismatch, RecordMalformed, SealError, SealTruncated
from plugin_host_sdk.errors import LocalProtocolError

from .codec import Opener, Sealer, encode_message
from .event import Confirmed, Ended, Event, Failed, KeyNeeded, MessageReceived
from .key import is_proof, proof
from .record import (
    HEADER_BYTES,
    MESSAGE_BYTES,
    NONCE_BYTES,
    PROOF_BYTES,
    Header,
    Kind,
    header,
    parse_header,
)
from .refusal import Refusal, refusal_error

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from .key import Keys

__all__ = ["Role", "SealedConnection", "State"]


class Role(enum.Enum):
    """The client speaks first and proves first."""

    CLIENT = "client"
    SERVER = "server"


class State(enum.Enum):
    """What is waited for: the peer's hello, the keys, the peer's proof, messages, nothing."""

    HELLO = "hello"
    KEY = "key"
    PROOF = "proof"
    OPEN = "open"
    ENDED = "ended"
    FAILED = "failed"


_OTHER = {Role.CLIENT: Role.SERVER, Role.SERVER: Role.CLIENT}
_HELLO = {Role.CLIENT: Kind.CLIENT_HELLO, Role.SERVER: Kind.SERVER_HELLO}
_PROOF = {Role.CLIENT: Kind.CLIENT_PROOF, Role.SERVER: Kind.SERVER_PROOF}
_SILENT = "the connection ended before {}"
_CUT = {
    State.HELLO: _SILENT.format("the peer had said hello: does it speak the sealed transport?"),
    State.KEY: _SILENT.format("the keys were confirmed"),
    State.PROOF: _SILENT.format("the peer had proved its key: is it the same on both sides?"),
    State.OPEN: _SILENT.format("the peer had said that it would: bytes are missing"),
}


class SealedConnection:
    """One side. `nonce` is 16 random bytes of this connection alone; messages have up to `limit`."""

    def __init__(self, role: Role, nonce: bytes, *, limit: int = MESSAGE_BYTES) -> None:
        if len(nonce) != NONCE_BYTES:
            raise LocalProtocolError(f"the nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
        self.role = role
        self.state = State.HELLO
        self.limit = limit
        self.has_ended = False  # whether this side has said that it sends nothing more
        self._hello = header(_HELLO[role], NONCE_BYTES) + nonce
        self._peer_hello = b""
        self._transcript = b""
        self._out = bytearray(self._hello if role is Role.CLIENT else b"")
        self._in = bytearray()
        self._keys: Keys | None = None
        self._has_other_keys = False
        self._salt = b""
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None

    def __repr__(self) -> str:
        return f"<SealedConnection {self.role.value} {self.state.value}>"

    # What this side says.

    def data_to_send(self) -> bytes:
        """What is to be sent for the handshake now; also after `Failed`, when it tells the peer why."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def send_message(self, data: bytes | bytearray | memoryview) -> bytes:
        """The bytes to send for a message. Raises LocalProtocolError when too long or out of time."""
        return encode_message(self._ready(), data)

    def send_end(self) -> bytes:
        """The bytes that say that nothing more comes from this side. Raises LocalProtocolError."""
        record = self._ready().seal(Kind.END, b"")
        self.has_ended = True
        return record

    def _ready(self) -> Sealer:
        sealer = self._sealer
        if sealer is None or self.state not in (State.OPEN, State.ENDED):
            raise LocalProtocolError(f"nothing can be sealed on a connection that is {self.state.value}")
        if self.has_ended:
            raise LocalProtocolError("this side has said that it sends nothing more")
        return sealer

    def refuse(self, reason: Refusal) -> bytes:
        """The bytes that tell the peer why there will be no agreement; the connection is over."""
        self.state = State.FAILED
        return header(Kind.REFUSAL, 1) + bytes((reason,))

    # What the peer says.

    def receive_data(self, data: ReadableBuffer) -> list[Event]:
        """What has come; nothing (b"") is the end of the bytes."""
        if self.state is State.FAILED:
            return []
        if not memoryview(data).nbytes:
            return self._cut()
        self._in += data
        return self._advance()

    def keyed(self, keys: Keys, *, is_last: bool = True) -> list[Event]:
        """The keys that `KeyNeeded` asked for, and what was waiting for them.

        A server that has more than one pre-shared key is asked again, unless `is_last`, when the client
        proves another.
        """
        if self.state is not State.KEY:
            raise LocalProtocolError(f"no keys are awaited on a connection that is {self.state.value}")
        self._keys = keys
        self._has_other_keys = not is_last
        self.state = State.PROOF
        if self.role is Role.CLIENT:
            self._prove()
        return self._advance()

    def _cut(self) -> list[Event]:
        if self.state is State.ENDED:
            return []
        return [self._fail(SealTruncated(_CUT[self.state]))]

    def _advance(self) -> list[Event]:
        events: list[Event] = []
        try:
            while self._step(events):
                pass
        except SealError as error:
            events.append(self._fail(error))
        return events

    def _step(self, events: list[Event]) -> bool:
        """Take one record, if it is there."""
        arrived = self._in
        if self.state is State.KEY:
            if len(arrived) > HEADER_BYTES + PROOF_BYTES:
                raise RecordMalformed(f"{len(arrived)} bytes came before the keys were confirmed")
            return False
        if len(arrived) < HEADER_BYTES:
            return False
        found = parse_header(bytes(arrived[:HEADER_BYTES]), self.limit)
        take = _TABLE.get((self.role, self.state, found.kind))
        if take is None:
            kind = found.kind.name.lower().replace("_", " ")
            raise RecordMalformed(f"a {kind} came where this {self.role.value} was {_WAITING[self.state]}")
        end = HEADER_BYTES + found.length
        if len(arrived) < end:
            return False
        body = bytes(memoryview(arrived)[HEADER_BYTES:end])
        del arrived[:end]
        events.append(take(self, found, body))
        return True

    def _fail(self, error: SealError) -> Failed:
        if self.state in (State.HELLO, State.KEY, State.PROOF) and self.role is Role.SERVER:
            reason = Refusal.KEY if isinstance(error, KeyMismatch) else Refusal.RECORD
            self._out += self.refuse(reason)
        self.state = State.FAILED
        self._in.clear()
        self._sealer = self._opener = self._keys = None
        return Failed(error)

    # One for each line of the table.

    def _take_hello(self, found: Header, body: bytes) -> Event:
        self._peer_hello = header(found.kind, found.length) + body
        nonce = self._hello[HEADER_BYTES:]
        if self.role is Role.CLIENT:
            self._salt, self._transcript = nonce + body, self._hello + self._peer_hello
        else:
            self._salt, self._transcript = body + nonce, self._peer_hello + self._hello
            self._out += self._hello
        self.state = State.KEY
        return KeyNeeded(self._salt)

    def _take_proof(self, found: Header, body: bytes) -> Event:
        keys, transcript = self._keys, self._transcript
        assert keys is not None
        is_client = self.role is Role.CLIENT
        if not is_proof(keys.server_proof if is_client else keys.client_proof, transcript, body):
            if self._has_other_keys:
                return self._ask_again(found, body)
            raise KeyMismatch(f"the {_OTHER[self.role].value} has another pre-shared key than this side")
        if not is_client:
            self._prove()
        mine, theirs = keys.client_seal, keys.server_seal
        if not is_client:
            mine, theirs = theirs, mine
        self._sealer, self._opener = Sealer(mine, self.limit), Opener(theirs, self.limit)
        self._keys = None
        self.state = State.OPEN
        return Confirmed()

    def _ask_again(self, found: Header, body: bytes) -> Event:
        """The client may have another of this server's keys: its proof is kept for that one."""
        self._in[:0] = header(found.kind, found.length) + body
        self._keys = None
        self.state = State.KEY
        return KeyNeeded(self._salt)

    def _prove(self) -> None:
        keys = self._keys
        assert keys is not None
        key = keys.client_proof if self.role is Role.CLIENT else keys.server_proof
        self._out += header(_PROOF[self.role], PROOF_BYTES) + proof(key, self._transcript)

    def _take_message(self, found: Header, body: bytes) -> Event:
        assert self._opener is not None
        return MessageReceived(self._opener.open(found, body))

    def _take_end(self, found: Header, body: bytes) -> Event:
        assert self._opener is not None
        self._opener.open(found, body)
        self.state = State.ENDED
        return Ended()

    def _take_refusal(self, found: Header, body: bytes) -> Event:
        raise refusal_error(body[0])


_WAITING = {
    State.HELLO: "waiting for a hello",
    State.KEY: "deriving its keys",
    State.PROOF: "waiting for a proof",
    State.OPEN: "waiting for messages",
    State.ENDED: "told that nothing more would come",
    State.FAILED: "done",
}
_Take = Callable[[SealedConnection, Header, bytes], Event]
_TABLE: dict[tuple[Role, State, Kind], _Take] = {
    (Role.CLIENT, State.HELLO, Kind.SERVER_HELLO): SealedConnection._take_hello,
    (Role.CLIENT, State.HELLO, Kind.REFUSAL): SealedConnection._take_refusal,
    (Role.CLIENT, State.PROOF, Kind.SERVER_PROOF): SealedConnection._take_proof,
    (Role.CLIENT, State.PROOF, Kind.REFUSAL): SealedConnection._take_refusal,
    (Role.SERVER, State.HELLO, Kind.CLIENT_HELLO): SealedConnection._take_hello,
    (Role.SERVER, State.PROOF, Kind.CLIENT_PROOF): SealedConnection._take_proof,
    **{(role, State.OPEN, Kind.MESSAGE): SealedConnection._take_message for role in Role},
    **{(role, State.OPEN, Kind.END): SealedConnection._take_end for role in Role},
}
