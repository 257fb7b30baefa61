"""What a recording sink knows of one stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from plugin_host_sdk.window import ReceiveWindow, SendWindow

if TYPE_CHECKING:
    from typing import Any

    from plugin_host_sdk.sink import InputListener, OutputListener

__all__ = ["ReceivedStream", "SentStream", "StreamEnd"]

_SHOWN_BYTES = 200


class StreamEnd(NamedTuple):
    """How a stream ended: its total, gaps included, and the error map, if any."""

    total: int
    error: dict[str, Any] | None


class SentStream:
    """A stream that the manager sends."""

    def __init__(self, credit: int, listener: OutputListener) -> None:
        self.window = SendWindow(credit)
        self.listener = listener
        self.sent = bytearray()
        self.frames: list[int] = []
        self.gaps: list[tuple[int, int]] = []
        self.offset = 0
        self.end: StreamEnd | None = None
        self.is_stopped = False

    def __repr__(self) -> str:
        shown = bytes(self.sent[-_SHOWN_BYTES:])
        return f"<{self.offset} bytes to ...{shown!r}, credit={self.window.credit}, end={self.end}>"


class ReceivedStream:
    """A stream that the manager receives."""

    def __init__(self, window: int, listener: InputListener) -> None:
        self.window = ReceiveWindow(window)
        self.listener = listener
        self.offset = 0
        self.consumed = 0
        self.has_ended = False
        self.is_stopped = False

    def takes_more(self) -> bool:
        """Whether there is room in its window, or nothing matters any more."""
        return self.is_stopped or self.window.credit > 0

    def __repr__(self) -> str:
        return f"<{self.consumed} of {self.offset} bytes used, stopped={self.is_stopped}>"
