"""Records, the units of a sealed connection: their header, their kinds, and how long each may be.

    record = magic:2 = F5 53 | version:1 = 1 | kind:1 | length:u32be | body:length

Invariant: a header is judged before one byte of its body is kept.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from plugin_host.errors import RecordMalformed, SealRefused

__all__ = [
    "HEADER_BYTES",
    "HELLO_BYTES",
    "MESSAGE_BYTES",
    "NONCE_BYTES",
    "PROOF_BYTES",
    "TAG_BYTES",
    "VERSION",
    "Header",
    "Kind",
    "header",
    "parse_header",
]

VERSION = 1
MESSAGE_BYTES = 1024 * 1024
"""The longest message, unless both sides have agreed on another limit."""
NONCE_BYTES = 16
HELLO_BYTES = 16
PROOF_BYTES = 32
TAG_BYTES = 16

_MAGIC = b"\xf5S"
_HEADER = struct.Struct(">2sBBI")
HEADER_BYTES = _HEADER.size


class Kind(enum.IntEnum):
    """What a record is. The hellos, proofs and refusals are plain, the other two sealed."""

    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    CLIENT_PROOF = 3
    SERVER_PROOF = 4
    MESSAGE = 5
    END = 6
    REFUSAL = 7


class Header(NamedTuple):
    """`length` is that of the body, in bytes."""

    kind: Kind
    length: int


_EXACT = {
    Kind.CLIENT_HELLO: HELLO_BYTES,
    Kind.SERVER_HELLO: HELLO_BYTES,
    Kind.CLIENT_PROOF: PROOF_BYTES,
    Kind.SERVER_PROOF: PROOF_BYTES,
    Kind.END: TAG_BYTES,
    Kind.REFUSAL: 1,
}
_KINDS = {int(kind): kind for kind in Kind}


def header(kind: Kind, length: int) -> bytes:
    """The 8 bytes before a body of `length` bytes."""
    return _HEADER.pack(_MAGIC, VERSION, kind, length)


def parse_header(data: bytes, limit: int = MESSAGE_BYTES) -> Header:
    """What the 8 bytes say; messages have at most `limit` bytes.

    Raises SealRefused for what is not of this protocol or of another version of it, RecordMalformed for
    kinds that do not exist and lengths that their kind cannot have.
    """
    magic, version, number, length = _HEADER.unpack(data)
    if magic != _MAGIC:
        raise SealRefused(f"this is not the sealed transport: what came begins with {data!r}")
    if version != VERSION:
        raise SealRefused(
            f"the peer speaks version {version} of the sealed transport and this side version {VERSION}"
        )
    kind = _KINDS.get(number)
    if kind is None:
        raise RecordMalformed(f"there is no kind {number} of records")
    _check_length(kind, length, limit)
    return Header(kind, length)


def _check_length(kind: Kind, length: int, limit: int) -> None:
    name = kind.name.lower().replace("_", " ")
    exact = _EXACT.get(kind)
    if length == 0:
        raise RecordMalformed(
            f"a record without a body (length 0): a {name} has at least {exact or TAG_BYTES}"
        )
    if exact is not None and length != exact:
        raise RecordMalformed(f"a {name} record of {length} bytes; it has exactly {exact}")
    if exact is None and length < TAG_BYTES:
        raise RecordMalformed(f"a {name} record of {length} bytes; its tag alone has {TAG_BYTES}")
    if exact is None and length > limit + TAG_BYTES:
        raise RecordMalformed(
            f"a {name} record of {length} bytes; at most {limit + TAG_BYTES} are taken here"
        )
