"""One end of the wire, without I/O: bytes in, events out; intentions in, bytes out.

A `Connection` knows the protocol and nothing else. It has no clock, no lock, no descriptor and calls
nobody. Its driver reads and feeds `receive_data`, acts on the events, and writes what the `send_*`
methods return, each piece whole and in the order it was made. Both ends use this class; only `role`
differs.

State moves only in `_move`, along `protocol.TRANSITIONS`. Invariant: any bytes give events; a peer that
breaks the protocol gives the events of everything before, then one `Failed`, then nothing.
"""

from __future__ import annotations

from .errors import CallFailed, LocalProtocolError, RemoteProtocolError, excerpt
from .events import (
    CancelReceived,
    Closed,
    ErrorReceived,
    Failed,
    Initialized,
    InitializeRefused,
    NotificationReceived,
    PeerFailed,
    ProgressReceived,
    RequestReceived,
    RequestRefused,
    ResponseReceived,
    StrayOutput,
)
from .frame import DATA_HEADER_BYTES
from .handshake import Limits, check_answer
from .legality import objection
from .protocol import (
    ENDED,
    FAILED,
    HOST,
    INITIALIZE_ID,
    INITIALIZING,
    MAX_MSGID,
    NOTIFICATION,
    OPENING,
    PEER_OF,
    PENDING_REQUESTS,
    PLUGIN,
    READY,
    REQUEST,
    RESPONSE,
    STOPPING,
    TRANSITIONS,
)
from .stream import StreamTable
from .wire import ATOMS, Decoder, Encoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .events import Event
    from .stray import AnswerSearch

__all__ = ["HOST", "PLUGIN", "Connection"]

_MOVING = frozenset({"initialize", "shutdown"})
_REMEMBERED_METHODS = 1024
# Answered at once or once: a peer with its hands full is neither dead nor immortal.
_NEVER_BUSY = ("ping", "vitals", "stacks", "shutdown")
_STREAM_ARITY = {"data": (3, 3), "gap": (3, 3), "end": (2, 3), "credit": (2, 2), "stop": (1, 2)}


class Connection:
    """The protocol state of one end.

    `raw` is for peers of plain msgpack-RPC: ready at once, positional parameters, and nothing is ever
    sent that the caller did not ask for. `default` converts a value msgpack does not know before it is
    sent. `peer` is what messages call the other end, where that is not what its role says. `pending`
    maps the ids of open requests of this side to their methods, `incoming` those of the peer; `abandoned`
    are requests that were given up and not answered yet, `late_answers` counts answers that came after
    that. `calling` are the peer's methods about which there is nothing special, found in READY; that and
    `decoder` is for `alone`.
    """

    def __init__(
        self,
        role: str,
        *,
        raw: bool = False,
        limits: Limits | None = None,
        default: Callable[[Any], Any] | None = None,
        peer: str = "",
    ) -> None:
        self.role = role
        self.peer = peer or PEER_OF[role]
        self.raw = raw
        self.limits = limits or Limits()
        self.peer_limits = Limits()
        self.state = READY if raw else OPENING
        self.pending: dict[int, str] = {}
        self.incoming: dict[int, str] = {}
        self.late_answers = 0
        self.abandoned: set[int] = set()
        self._next_id = 0
        self._encoder = Encoder(foreign=raw, default=default)
        self._encode = self._encoder.encode
        self.decoder = Decoder(self.limits.message_bytes, foreign=raw)
        self.streams = StreamTable(role, self._encode, self.limits)
        self._search: AnswerSearch | None = None  # while the answer to initialize is awaited
        # Methods that were found legal in READY; only the state can change that verdict.
        self._sendable: set[str] = set()
        self._askable: set[str] = set()
        self._tellable: set[str] = set()
        self.calling: set[str] = set()

    def __repr__(self) -> str:
        streams = len(self.streams.sending) + len(self.streams.receiving)
        return (
            f"<Connection {self.role} {self.state} pending={len(self.pending)} "
            f"incoming={len(self.incoming)} streams={streams}>"
        )

    @property
    def stray_output(self) -> bytes:
        """Bytes that came so far while the answer to initialize is awaited, and are not it."""
        return bytes(self._search.seen) if self._search else b""

    def _move(self, step: str) -> None:
        self.state = TRANSITIONS[self.state].get(step, self.state)

    # Intentions. Each returns what to write, and raises LocalProtocolError for what may not be sent.

    def send_initialize(self, params: dict[str, Any]) -> bytes:
        """The first message of a host; see `handshake.initialize_params`."""
        if self.raw:
            raise LocalProtocolError("a raw peer knows no initialize")
        self._check_sendable("initialize", REQUEST)
        data = self._encode([REQUEST, INITIALIZE_ID, "initialize", [params]])
        self._move("initialize")
        self.pending[INITIALIZE_ID] = "initialize"
        from .stray import AnswerSearch  # of a host alone

        self._search = AnswerSearch()
        return data

    def send_request(
        self, method: str, params: Any, meta: dict[str, Any] | None = None
    ) -> tuple[int, bytes]:
        """A request and its id. `params` is a map; for raw peers a list. `meta` is the call's metadata."""
        if method not in self._sendable or self.state is not READY:
            self._check_request(method)
        msgid = self._next_id
        while msgid in self.pending or msgid in self.abandoned:
            msgid = msgid + 1 if msgid < MAX_MSGID else 0
        arguments = params if self.raw else [params, meta] if meta else [params]
        encoder, message = self._encoder, [REQUEST, msgid, method, arguments]
        try:
            data: bytes = encoder.pack(message)
        except Exception:
            data = encoder.encode(message)  # says what is wrong with it
        if len(data) > encoder.unchecked:
            encoder.check(len(data), message)
        elif self.role == PLUGIN:  # a host surveys them where it is given them
            encoder.survey(params)
        self._next_id = msgid + 1 if msgid < MAX_MSGID else 0
        self.pending[msgid] = method
        return msgid, data

    def send_cancel(self, msgid: int) -> bytes:
        """Gives an open request of this side up: its answer will be dropped.

        b"" when there is none, and when the peer would not understand: before READY and for raw peers.
        """
        if self.pending.pop(msgid, None) is None:
            return b""
        self.abandoned.add(msgid)
        if self.raw or self.state not in (READY, STOPPING):
            return b""
        return self._notification("cancel", [{"msgid": msgid}])

    def send_response(self, msgid: int, result: Any) -> bytes:
        """The result of an open request of the peer."""
        encoder, message = self._encoder, [RESPONSE, msgid, None, result]
        try:
            data: bytes = encoder.pack(message)
        except Exception:
            data = encoder.encode(message)  # says what is wrong with it
        if len(data) > encoder.unchecked:
            encoder.check(len(data), message)
        elif type(result) is dict:
            if not ATOMS.issuperset(map(type, result)) or not ATOMS.issuperset(map(type, result.values())):
                for key, part in result.items():
                    encoder.survey({key: None})
                    encoder.survey(part)
        elif type(result) not in ATOMS:
            encoder.survey(result)
        if self.incoming.pop(msgid, None) is None:
            raise LocalProtocolError(f"request {msgid} is not open, so it cannot be answered")
        if self.state is INITIALIZING:
            self._move("accept")
        return data

    def survey(self, value: Any) -> None:
        """Refuse a value that could be encoded and that the peer's decoder would not take."""
        self._encoder.survey(value)

    def encoded(self, value: Any) -> bytes:
        """A value as it would travel, in a list; raises LocalProtocolError when it cannot."""
        data = self._encode([value])
        self._encoder.survey(value)
        return data

    def send_error(self, msgid: int, error: Any) -> bytes:
        """An error (see `CallError.to_map`) as the answer to an open request of the peer."""
        data = self._encode([RESPONSE, msgid, error, None])
        self._encoder.survey(error)
        if self.incoming.pop(msgid, None) is None:
            raise LocalProtocolError(f"request {msgid} is not open, so it cannot be answered")
        if self.state is INITIALIZING:
            self._move("refuse")
        return data

    def send_notification(self, method: str, params: Any) -> bytes:
        """A notification; `params` is a map, for raw peers a list."""
        self._check_sendable(method, NOTIFICATION)
        data = self._notification(method, params if self.raw else [params])
        self._encoder.survey(params)
        return data

    def send_progress(self, msgid: int, done: float, total: float | None, message: str) -> bytes:
        """How far this side is with an open request of the peer; b"" when it is closed or the peer raw."""
        if self.raw or msgid not in self.incoming:
            return b""
        params = {"msgid": msgid, "done": done, "total": total, "message": message}
        return self._notification("progress", [params])

    def send_failure(self, error: dict[str, Any]) -> bytes:
        """Best effort: says why this side is about to close."""
        return b"" if self.raw else self._notification("failure", [error])

    def _notification(self, method: str, params: list[Any]) -> bytes:
        return self._encode([NOTIFICATION, method, params])

    def _check_sendable(self, method: str, kind: int) -> None:
        if self.raw and self.state is READY:
            return
        if problem := objection(self.state, self.role, method, kind):
            raise LocalProtocolError(problem)

    def _check_request(self, method: str) -> None:
        self._check_sendable(method, REQUEST)
        if method == "shutdown" and not self.raw:
            self._move("shutdown")
        elif self.state is READY:
            self._sendable.add(method)
        elif self.state is OPENING:
            raise LocalProtocolError("initialize is sent by send_initialize")

    # What the peer sends.

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """The events that `data` makes; b"" is end of file. After `Closed` or `Failed` nothing happens."""
        events: list[Event] = []
        if not data or (self.state is not READY and self.state in ENDED):
            self._receive_eof(events)
            return events
        try:
            if self._search is not None:
                data = self._skip_stray(self._search, data, events)
            for message in self.decoder.feed(data):
                try:
                    # Bytes, a map or an extension type can be taken apart like a message, too.
                    kind = message[0] if type(message) is list else None
                    if kind == RESPONSE:
                        _, msgid, error, result = message
                        if error is None and msgid in self.pending and self.state is not INITIALIZING:
                            del self.pending[msgid]
                            events.append(ResponseReceived(msgid, result))
                        elif not self._receive_response(msgid, error, result, events):
                            return events
                    elif kind == REQUEST:
                        _, msgid, method, params = message
                        if (
                            method in self.calling
                            and self.state is READY
                            and type(msgid) is int
                            and -1 < msgid <= MAX_MSGID
                            and msgid not in self.incoming
                            and type(params) is list
                            and len(params) == 1
                            and type(arguments := params[0]) is dict
                            and len(self.incoming) < PENDING_REQUESTS
                        ):  # as by far the most are
                            self.incoming[msgid] = method
                            events.append(RequestReceived(msgid, method, arguments))
                        else:
                            self._receive_request(msgid, method, params, events)
                    else:
                        self._receive_other(kind, message, events)
                except (TypeError, ValueError, LookupError):
                    raise RemoteProtocolError(
                        f"{excerpt(message)} has not the shape of a message"
                    ) from None
            if self.decoder.error is not None:
                raise self.decoder.error
        except RemoteProtocolError as error:
            self._fail(error, events)
        return events

    def _receive_eof(self, events: list[Event]) -> None:
        if self.state in ENDED:
            return None
        self._end_search(events)
        if self.decoder.pending:
            error = RemoteProtocolError(
                f"the peer closed in the middle of a message ({self.decoder.pending} bytes of it arrived)"
            )
            return self._fail(error, events)
        self._move("eof")
        events.append(Closed())
        return None

    def _fail(self, error: RemoteProtocolError, events: list[Event]) -> None:
        # The traceback holds what was received, and these events: a cycle of up to a whole message.
        error.__traceback__ = error.__context__ = None
        self._move("fail")
        events.append(Failed(error))

    def _skip_stray(
        self, search: AnswerSearch, data: bytes | bytearray | memoryview, events: list[Event]
    ) -> bytes:
        try:
            answer = search.feed(data)
        except RemoteProtocolError:
            self._end_search(events)
            raise
        if answer is None:
            return b""
        self._end_search(events)
        return answer

    def _end_search(self, events: list[Event]) -> None:
        search, self._search = self._search, None
        if search is not None and search.seen:
            events.append(StrayOutput(bytes(search.seen)))

    def _receive_other(self, kind: Any, message: Any, events: list[Event]) -> None:
        if type(message) is tuple:
            if self.state is READY and not self.raw and "stream.data" in self._tellable:
                event = self.streams.receive_data(*message)
                if event is not None:
                    events.append(event)
                return
            kind, message = NOTIFICATION, [NOTIFICATION, "stream.data", list(message)]
        if kind != NOTIFICATION:
            raise RemoteProtocolError(f"{excerpt(message)} is no kind of message")
        _, method, params = message
        self._receive_notification(method, params, events)

    def _receive_response(self, msgid: int, error: Any, result: Any, events: list[Event]) -> bool:
        """Any answer but a result in READY; False when it is the last message to be heard."""
        method = self.pending.pop(msgid, None)
        if method is None:
            if msgid not in self.abandoned:
                raise RemoteProtocolError(f"an answer to request {excerpt(msgid)}, which is not open")
            self.abandoned.discard(msgid)
            self.late_answers += 1
        elif self.state is INITIALIZING:
            self._receive_initialize_answer(error, result, events)
        else:
            events.append(ErrorReceived(msgid, error))
        return self.state is not FAILED

    def _receive_initialize_answer(self, error: Any, result: Any, events: list[Event]) -> None:
        if error is not None:
            self._move("refuse")
            events.append(InitializeRefused(error))
            return
        check_answer(result)
        self._adopt_limits(result.get("limits", {}))
        self._move("accept")
        events.append(Initialized(result))

    def _adopt_limits(self, limits: Any) -> None:
        self.peer_limits = Limits.from_map(limits)
        self._encoder.limit = self.peer_limits.message_bytes
        largest = self.peer_limits.message_bytes - DATA_HEADER_BYTES
        self.streams.peer_frame_bytes = min(self.peer_limits.frame_bytes, largest)

    def _receive_request(self, msgid: int, method: str, params: Any, events: list[Event]) -> None:
        if type(msgid) is not int or not 0 <= msgid <= MAX_MSGID or type(params) is not list:
            raise RemoteProtocolError(f"request {excerpt(msgid)} {excerpt(method)} is malformed")
        if method not in self._askable or self.state is not READY:
            self._check_receivable(method, REQUEST, self._askable)
        if msgid in self.incoming:
            raise RemoteProtocolError(f"request {msgid} is still open and was sent again")
        self.incoming[msgid] = method
        if len(self.incoming) > PENDING_REQUESTS and method not in _NEVER_BUSY:
            text = f"{PENDING_REQUESTS} requests are pending already"
            events.append(RequestRefused(msgid, method, _error("rpc.busy", text)))
            return
        if self.raw:
            events.append(RequestReceived(msgid, method, params))
            return
        arguments = params[0] if params else {}
        meta = params[1] if len(params) > 1 else None
        if type(arguments) is not dict or not (meta is None or type(meta) is dict):
            text = "parameters are one map of named arguments, then optionally one map of call metadata"
            events.append(RequestRefused(msgid, method, _error("rpc.invalid_params", text)))
            return
        if method in _MOVING:
            if method == "initialize":
                self._adopt_limits(arguments.get("limits", {}))
            self._move(method)
        elif method in self._askable:
            self.calling.add(method)
        events.append(RequestReceived(msgid, method, arguments, meta))

    def _receive_notification(self, method: str, params: Any, events: list[Event]) -> None:
        if self.raw:
            if type(method) is not str:
                raise RemoteProtocolError(f"{excerpt(method)} is no method name")
            events.append(NotificationReceived(method, params))
            return
        if type(params) is not list:
            raise RemoteProtocolError(f"notification {excerpt(method)} is malformed")
        if method not in self._tellable or self.state is not READY:
            self._check_receivable(method, NOTIFICATION, self._tellable)
        if method.startswith("stream."):
            self._receive_frame(method[7:], params, events)
            return
        arguments = params[0] if params else {}
        if type(arguments) is not dict:
            raise RemoteProtocolError(f"the parameters of {excerpt(method)} must be a map")
        if method == "cancel":
            if arguments["msgid"] in self.incoming:
                events.append(CancelReceived(arguments["msgid"]))
        elif method == "progress":
            self._receive_progress(arguments, events)
        elif method == "failure":
            events.append(PeerFailed(arguments))
        else:
            events.append(NotificationReceived(method, arguments))

    def _receive_progress(self, arguments: dict[str, Any], events: list[Event]) -> None:
        msgid, done, total = arguments["msgid"], arguments["done"], arguments.get("total")
        if not isinstance(done, (int, float)) or not isinstance(total, (int, float, type(None))):
            raise RemoteProtocolError(f"progress of {excerpt(done)} of {excerpt(total)}")
        message = arguments.get("message") or ""
        if type(message) is not str:
            raise RemoteProtocolError(f"progress with {excerpt(message)} as its message")
        if msgid in self.pending:
            events.append(ProgressReceived(msgid, done, total, message))

    def _receive_frame(self, verb: str, params: list[Any], events: list[Event]) -> None:
        arity = _STREAM_ARITY.get(verb)
        if arity is None or not arity[0] <= len(params) <= arity[1] or type(params[0]) is not int:
            raise RemoteProtocolError(
                f"stream.{excerpt(verb)} {excerpt(params)} has not the shape of a frame"
            )
        event = getattr(self.streams, "receive_" + verb)(*params)
        if event is not None:
            events.append(event)

    def _check_receivable(self, method: str, kind: int, legal: set[str]) -> None:
        if type(method) is not str:
            raise RemoteProtocolError(f"{excerpt(method)} is no method name")
        if not self.raw and (problem := objection(self.state, PEER_OF[self.role], method, kind, self.peer)):
            raise RemoteProtocolError(problem)
        if self.state is READY and len(legal) < _REMEMBERED_METHODS and len(method) < 100:
            legal.add(method)


def _error(name: str, message: str) -> dict[str, Any]:
    return CallFailed(message, name=name).to_map()
