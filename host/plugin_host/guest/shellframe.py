"""The messages of a guest's shell, as bytes: one websocket message is one frame.

Pure. The first byte is the kind, the rest depends on it; integers are big-endian. Invariant: what cannot be
a frame is an error, but for kinds that are not known: those are no frames, and are passed over.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from plugin_host.errors import RemoteProtocolError

__all__ = [
    "BLOCK_BYTES",
    "MESSAGE_BYTES",
    "STDERR",
    "STDIN",
    "STDOUT",
    "WINDOW_BYTES",
    "Abort",
    "Ack",
    "Data",
    "Exit",
    "Frame",
    "Size",
    "decode",
    "encode",
]

STDIN, STDOUT, STDERR = 0, 1, 2

BLOCK_BYTES = 16 * 1024
"""The most data in one frame."""

MESSAGE_BYTES = BLOCK_BYTES + 4 * 1024
"""The longest message that is read."""

WINDOW_BYTES = 4 * BLOCK_BYTES
"""The credit of each stream at first, and the buffer of whoever reads it."""

_DATA, _ACK, _SIZE, _ABORT, _EXIT = 0, 1, 3, 4, 5
_ACK_BODY = struct.Struct("!BI")
_SIZE_BODY = struct.Struct("!HH")
_EXIT_BODY = struct.Struct("!B")


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of `stream`; none at all are its end."""

    stream: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Ack:
    """So many bytes of `stream` have been consumed."""

    stream: int
    size: int


@dataclass(frozen=True, slots=True)
class Size:
    """The size of the terminal, in characters."""

    cols: int
    rows: int


@dataclass(frozen=True, slots=True)
class Abort:
    """The shell is to end."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The shell has ended: 0 is success, and 1, or a code of the program, is failure."""

    code: int


Frame = Data | Ack | Size | Abort | Exit


def encode(frame: Frame) -> bytes:
    """The message of a frame."""
    match frame:
        case Data(stream, data):
            return bytes((_DATA, stream)) + data
        case Ack(stream, size):
            return bytes((_ACK,)) + _ACK_BODY.pack(stream, size)
        case Size(cols, rows):
            return bytes((_SIZE,)) + _SIZE_BODY.pack(cols, rows)
        case Exit(code):
            return bytes((_EXIT, code))
        case Abort():
            return bytes((_ABORT,))


def decode(message: bytes) -> Frame | None:
    """The frame in a message; None for one of a kind that is not known. Raises RemoteProtocolError."""
    if not message:
        raise RemoteProtocolError("an empty message is no frame of a shell")
    kind, body = message[0], message[1:]
    try:
        if kind == _DATA:
            return Data(body[0], body[1:])
        if kind == _ACK:
            return Ack(*_ACK_BODY.unpack(body))
        if kind == _SIZE:
            return Size(*_SIZE_BODY.unpack(body))
        if kind == _EXIT:
            return Exit(*_EXIT_BODY.unpack(body))
    except (IndexError, struct.error):
        raise RemoteProtocolError(
            f"a frame of kind {kind} has {len(body)} bytes behind its kind, which is not how it is built"
        ) from None
    return Abort() if kind == _ABORT else None
