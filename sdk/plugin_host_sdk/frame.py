"""The frames of `stream.data`, written and recognised by hand: bulk bytes pass msgpack by.

An unpacker copies a payload into its buffer and out of it, moves what is left there, and starts over
when a frame comes in two parts; by hand a payload is copied once, or twice where it was cut. Knows how
these frames look and nothing of what they mean.

Invariant: what is taken here is what msgpack makes of the same bytes, as a tuple (stream, offset, payload).
Whatever does not begin as these frames do, or is larger than one may be, is left to it. Our own headers
have one length, on which `protocol.FULL_PAYLOAD_BYTES` relies.
"""

from __future__ import annotations

from struct import Struct, error

from .protocol import FRAME_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Buffer = bytes | bytearray | memoryview

__all__ = ["DATA_HEADER_BYTES", "FrameReader", "data_header"]

# The longest that `data_header` returns.
DATA_HEADER_BYTES = 38

_BEGINNING = b"\x93\x02\xabstream.data\x93"
# A header as we write it: numbers in their longest forms, uint 32, uint 64 and bin 32.
_HEADER = Struct(f">{len(_BEGINNING)}sBIBQBI")
_HEADER_BYTES = _HEADER.size
_SIZES_OF_UINT = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_SIZES_OF_BIN = {0xC4: 1, 0xC5: 2, 0xC6: 4}


def data_header(stream: int, offset: int, size: int) -> bytes:
    """All of a `stream.data` notification but its payload, so that the payload need not be copied."""
    try:
        return _HEADER.pack(_BEGINNING, 0xCE, stream, 0xCF, offset, 0xC6, size)
    except error:  # a number beyond 32 bits
        return b"".join(
            (_BEGINNING, b"\xcf", stream.to_bytes(8, "big"), b"\xcf", offset.to_bytes(8, "big"),
             b"\xc6", size.to_bytes(4, "big"))
        )  # fmt: skip


class FrameReader:
    """Takes frames off the front of what arrives. `pending` bytes have come of one that is not complete.

    `limit` is the largest message in bytes.
    """

    __slots__ = ("_limit", "_missing", "_offset", "_parts", "_stream", "pending")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.pending = 0
        self._missing = 0
        self._stream = self._offset = 0
        self._parts: list[bytes] = []  # of the payload

    def read(self, data: Buffer, messages: list[Any]) -> Buffer:
        """Append the frames that `data` begins with, and completes, to `messages`; what is behind them.

        To be called where a message begins, or a frame goes on.
        """
        at, end = 0, len(data)
        if self.pending:
            if end < self._missing:
                self._keep(data)
                return b""
            at = self._missing
            messages.append(self._complete(data[:at]))
        while at < end and (header := _read_header(data, at)) is not None:
            stream, offset, size, length = header
            if size > FRAME_BYTES or length + size > self._limit:
                break
            start = at + length
            at = start + size
            if at > end:
                self._stream, self._offset, self._missing, self.pending = stream, offset, size, length
                self._keep(data[start:])
                return b""
            messages.append((stream, offset, bytes(data[start:at])))
        return data[at:] if at else data

    def begins(self, data: Buffer) -> bool:
        """Whether these bytes, which hold no whole message, are a frame's first; they are taken then."""
        return not self.read(data, [])

    def _keep(self, data: Buffer) -> None:
        self._parts.append(bytes(data))
        self._missing -= len(data)
        self.pending += len(data)

    def _complete(self, last: Buffer) -> tuple[int, int, bytes]:
        payload = b"".join((*self._parts, last))
        self._parts.clear()
        self.pending = self._missing = 0
        return self._stream, self._offset, payload


def _read_header(data: Buffer, at: int) -> tuple[int, int, int, int] | None:
    """Stream, offset and size of the payload that follow, and how long they are; None for other bytes."""
    if len(data) - at >= _HEADER_BYTES:
        beginning, a, stream, b, offset, c, size = _HEADER.unpack_from(data, at)
        if beginning != _BEGINNING:
            return None
        if a == 0xCE and b == 0xCF and c == 0xC6:
            return stream, offset, size, _HEADER_BYTES
    return _read_any_header(bytes(data[at : at + DATA_HEADER_BYTES]))


def _read_any_header(head: bytes) -> tuple[int, int, int, int] | None:
    """The same for numbers in whatever form, and for what is cut."""
    if not head.startswith(_BEGINNING):
        return None
    try:
        stream, at = _read_uint(head, len(_BEGINNING))
        offset, at = _read_uint(head, at)
        width = _SIZES_OF_BIN[head[at]]
    except LookupError:  # another type, or cut
        return None
    length = at + 1 + width
    if length > len(head):
        return None
    return stream, offset, int.from_bytes(head[at + 1 : length], "big"), length


def _read_uint(head: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends. Raises LookupError for anything else."""
    first = head[at]
    if first < 0x80:
        return first, at + 1
    end = at + 1 + _SIZES_OF_UINT[first]
    return int.from_bytes(head[at + 1 : end], "big"), end
