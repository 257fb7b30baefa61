"""Credit for one direction of one stream: how many bytes may still travel.

A sender spends credit and may not go below zero; a receiver grants a window once and replenishes it
when half of it has been consumed, so that grants are few and the sender rarely waits.
"""

from __future__ import annotations

from .errors import LocalProtocolError, RemoteProtocolError

__all__ = ["ReceiveWindow", "SendWindow"]


class SendWindow:
    """The credit that the peer has given to this side."""

    __slots__ = ("credit",)

    def __init__(self, credit: int = 0) -> None:
        self.credit = credit

    def spend(self, size: int) -> None:
        """Use credit for `size` bytes. Raises LocalProtocolError when there is not that much."""
        if size > self.credit:
            raise LocalProtocolError(f"{size} bytes to send and credit for {self.credit}")
        self.credit -= size

    def add(self, size: int) -> None:
        """The peer grants `size` more bytes."""
        self.credit += size

    def __repr__(self) -> str:
        return f"SendWindow(credit={self.credit})"


class ReceiveWindow:
    """The credit that this side has given to the peer."""

    __slots__ = ("_consumed", "credit", "size")

    def __init__(self, size: int) -> None:
        if size < 1:
            raise LocalProtocolError(f"a window of {size} bytes would never let anything through")
        self.size = size
        self.credit = size  # what the peer may still send
        self._consumed = 0  # taken by the reader and not granted again

    def receive(self, size: int) -> None:
        """`size` bytes arrived. Raises RemoteProtocolError when the peer had no credit for them."""
        if size > self.credit:
            raise RemoteProtocolError(f"the peer sent {size} bytes with credit for {self.credit}")
        self.credit -= size

    def consume(self, size: int) -> int:
        """The reader took `size` bytes. Returns what to grant now: 0 until half a window is due."""
        self._consumed += size
        if self._consumed > self.size - self.credit:
            raise LocalProtocolError(f"{size} bytes consumed that never arrived")
        if self._consumed * 2 < self.size:
            return 0
        grant, self._consumed = self._consumed, 0
        self.credit += grant
        return grant

    def __repr__(self) -> str:
        return f"ReceiveWindow(size={self.size}, credit={self.credit})"
