"""Telling the answer to `initialize` from what a wrapper or a start-up script printed before it.

The search is on raw bytes, for the first bytes that every such answer has. What comes before them is
stray output; there may be little of it.
"""

from __future__ import annotations

from .errors import RemoteProtocolError
from .protocol import INITIALIZE_ID, RESPONSE, STRAY_OUTPUT_BYTES

__all__ = ["AnswerSearch"]

_MARK = bytes([0x94, RESPONSE, 0xCE]) + INITIALIZE_ID.to_bytes(4, "big")


class AnswerSearch:
    """`seen` is what has arrived and is, so far, not the answer."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = bytearray()

    def feed(self, data: bytes | bytearray | memoryview) -> bytes | None:
        """The answer's first bytes and all behind them, with `seen` what came before; None so far.

        Raises RemoteProtocolError when it should have come by now.
        """
        seen = self.seen
        searched = max(0, len(seen) - len(_MARK) + 1)
        seen += data
        at = seen.find(_MARK, searched)
        if at + len(_MARK) > STRAY_OUTPUT_BYTES or (at < 0 and len(seen) >= STRAY_OUTPUT_BYTES):
            del seen[STRAY_OUTPUT_BYTES:]
            raise RemoteProtocolError(
                f"{STRAY_OUTPUT_BYTES} bytes arrived and the answer to initialize is not among them"
            )
        if at < 0:
            return None
        answer = bytes(seen[at:])
        del seen[at:]
        return answer
