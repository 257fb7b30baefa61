"""One message, sealed and opened: AES-256-GCM under a counter, with the record's header authenticated.

The nonce is the number of the record in its direction, and is not sent: a record that is replayed, comes
out of order or follows one that is missing does not open. Invariants: no nonce is used twice with one key;
after a record that does not open, none does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from plugin_host.errors import ConfigurationError, RecordForged, RecordMalformed
from plugin_host_sdk.errors import LocalProtocolError

from .record import HEADER_BYTES, MESSAGE_BYTES, TAG_BYTES, Header, Kind, header, parse_header

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    Bytes = bytes | bytearray | memoryview

__all__ = ["Opener", "Sealer", "decode_message", "encode_message", "require_cipher"]

# After so many records a connection has to be made anew: far below what one key of GCM may seal.
_MOST_RECORDS = 2**32


def require_cipher() -> None:
    """Raises ConfigurationError where the library with the cipher is not installed."""
    try:
        importlib.import_module("cryptography.hazmat.primitives.ciphers.aead")
    except ImportError as error:
        text = f"the sealed transport needs `pip install 'plugin-host[seal]'`: {error}"
        raise ConfigurationError(text) from None


class _Direction:
    """One direction: its cipher, and the number of its next record."""

    __slots__ = ("cipher", "limit", "number")

    def __init__(self, key: bytes, limit: int = MESSAGE_BYTES) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.cipher: AESGCM | None = AESGCM(key)
        self.number = 0
        self.limit = limit

    def next_nonce(self) -> bytes:
        number = self.number
        if number >= _MOST_RECORDS:
            raise LocalProtocolError(f"{_MOST_RECORDS} records were sealed with this key; connect anew")
        self.number = number + 1
        return number.to_bytes(12)


class Sealer(_Direction):
    """What this side sends. `key` has 32 bytes, a message at most `limit`."""

    __slots__ = ()

    def seal(self, kind: Kind, data: Bytes) -> bytes:
        """The whole record. Raises LocalProtocolError for more than the limit, or too many records."""
        size = memoryview(data).nbytes
        if size > self.limit:
            raise LocalProtocolError(f"a message of {size} bytes; at most {self.limit} can be sealed")
        assert self.cipher is not None
        head = header(kind, size + TAG_BYTES)
        return head + self.cipher.encrypt(self.next_nonce(), data, head)


class Opener(_Direction):
    """What the peer sends."""

    __slots__ = ()

    def open(self, found: Header, body: Bytes) -> bytes:
        """What is in the next record. Raises RecordForged, then and ever after."""
        from cryptography.exceptions import InvalidTag

        if self.cipher is not None:
            number = self.number
            try:
                return self.cipher.decrypt(self.next_nonce(), body, header(found.kind, found.length))
            except LocalProtocolError as error:
                raise RecordMalformed(str(error)) from None
            except InvalidTag:
                self.cipher = None
            text = f"record {number} does not open: it was changed, replayed, or is not the next one"
            raise RecordForged(text)
        raise RecordForged(f"record {self.number - 1} did not open, so nothing after it is taken")


def encode_message(sealer: Sealer, message: Bytes) -> bytes:
    """The record of one message, which may be empty. Raises LocalProtocolError for one that is too long."""
    return sealer.seal(Kind.MESSAGE, message)


def decode_message(opener: Opener, record: bytes) -> bytes:
    """The message in one whole record of MESSAGE.

    Raises RecordMalformed for anything that is not exactly that, SealRefused for what is not of this
    protocol, RecordForged for a record that is not the next that the peer sealed.
    """
    if len(record) < HEADER_BYTES:
        raise RecordMalformed(f"a record of {len(record)} bytes; its header alone has {HEADER_BYTES}")
    found = parse_header(record[:HEADER_BYTES], opener.limit)
    if found.kind is not Kind.MESSAGE:
        raise RecordMalformed(f"expected a message, found a record of kind {found.kind.name.lower()}")
    body = memoryview(record)[HEADER_BYTES:]
    if len(body) != found.length:
        raise RecordMalformed(f"a body of {len(body)} bytes, where the header says {found.length}")
    return opener.open(found, body)
