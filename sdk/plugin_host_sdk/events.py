"""What a connection reports: one small class for each thing that happened.

Events are values. They compare by content, are never changed after they were made, and hold builtins
only. They are plain slotted classes because a plugin makes one for every message before it may import
anything heavier.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .errors import RemoteProtocolError

__all__ = [
    "CancelReceived",
    "Closed",
    "CreditReceived",
    "DataReceived",
    "EndReceived",
    "ErrorReceived",
    "Event",
    "Failed",
    "GapReceived",
    "InitializeRefused",
    "Initialized",
    "NotificationReceived",
    "PeerFailed",
    "ProgressReceived",
    "RequestReceived",
    "RequestRefused",
    "ResponseReceived",
    "StopReceived",
    "StrayOutput",
]


class Event:
    """Base of all events: equality and `repr` over the slots."""

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # events may hold lists and maps

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({fields})"


class RequestReceived(Event):
    """The peer asks; answer with `send_response` or `send_error`. From raw peers `params` is a list."""

    __slots__ = ("meta", "method", "msgid", "params")

    def __init__(self, msgid: int, method: str, params: Any, meta: dict[str, Any] | None = None) -> None:
        self.msgid = msgid
        self.method = method
        self.params = params
        self.meta = meta


class RequestRefused(Event):
    """A request that must be answered with this error and is not to be acted on."""

    __slots__ = ("error", "method", "msgid")

    def __init__(self, msgid: int, method: str, error: dict[str, Any]) -> None:
        self.msgid = msgid
        self.method = method
        self.error = error


class ResponseReceived(Event):
    """A request of this side has its result."""

    __slots__ = ("msgid", "result")

    def __init__(self, msgid: int, result: Any) -> None:
        self.msgid = msgid
        self.result = result


class ErrorReceived(Event):
    """A request of this side was answered with an error; a map, or of any shape from a raw peer."""

    __slots__ = ("error", "msgid")

    def __init__(self, msgid: int, error: Any) -> None:
        self.msgid = msgid
        self.error = error


class NotificationReceived(Event):
    """A notification without a type of its own here."""

    __slots__ = ("method", "params")

    def __init__(self, method: str, params: Any) -> None:
        self.method = method
        self.params = params


class CancelReceived(Event):
    """The peer no longer wants the answer to this open request. It is still to be answered."""

    __slots__ = ("msgid",)

    def __init__(self, msgid: int) -> None:
        self.msgid = msgid


class ProgressReceived(Event):
    """How far the peer is with an open request of this side."""

    __slots__ = ("done", "message", "msgid", "total")

    def __init__(self, msgid: int, done: float, total: float | None, message: str) -> None:
        self.msgid = msgid
        self.done = done
        self.total = total
        self.message = message


class Initialized(Event):
    """The plugin accepted `initialize`; `result` is its answer."""

    __slots__ = ("result",)

    def __init__(self, result: dict[str, Any]) -> None:
        self.result = result


class InitializeRefused(Event):
    """The plugin answered `initialize` with an error."""

    __slots__ = ("error",)

    def __init__(self, error: Any) -> None:
        self.error = error


class StrayOutput(Event):
    """Bytes before the answer to `initialize` that are not of the protocol."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class DataReceived(Event):
    """Bytes of a stream, at their absolute offset."""

    __slots__ = ("data", "offset", "stream")

    def __init__(self, stream: int, offset: int, data: bytes) -> None:
        self.stream = stream
        self.offset = offset
        self.data = data


class GapReceived(Event):
    """`size` bytes of a stream were left out at `offset`."""

    __slots__ = ("offset", "size", "stream")

    def __init__(self, stream: int, offset: int, size: int) -> None:
        self.stream = stream
        self.offset = offset
        self.size = size


class EndReceived(Event):
    """The last frame of a stream; `total` is the offset behind its last byte, and was checked."""

    __slots__ = ("error", "stream", "total")

    def __init__(self, stream: int, total: int, error: Any = None) -> None:
        self.stream = stream
        self.total = total
        self.error = error


class CreditReceived(Event):
    """The peer takes `size` more bytes of a stream of this side."""

    __slots__ = ("size", "stream")

    def __init__(self, stream: int, size: int) -> None:
        self.stream = stream
        self.size = size


class StopReceived(Event):
    """The peer gave a stream of this side up; only its end may still be sent."""

    __slots__ = ("code", "stream")

    def __init__(self, stream: int, code: Any = None) -> None:
        self.stream = stream
        self.code = code


class PeerFailed(Event):
    """The peer says why it is about to close."""

    __slots__ = ("error",)

    def __init__(self, error: Any) -> None:
        self.error = error


class Closed(Event):
    """End of file; every pending request is lost. The last event of a connection."""

    __slots__ = ()


class Failed(Event):
    """The peer broke the protocol; every pending request is lost. The last event of a connection."""

    __slots__ = ("error",)

    def __init__(self, error: RemoteProtocolError) -> None:
        self.error = error
