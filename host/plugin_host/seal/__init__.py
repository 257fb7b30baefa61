"""Messages over an untrusted wire, sealed with a pre-shared key; see `docs/sealed.md`."""

from .codec import Opener, Sealer, decode_message, encode_message
from .connection import Role, SealedConnection
from .keyfile import read_key, read_keys
from .stream import SealedStream, open_stream, read_message, write_message

__all__ = [
    "Opener",
    "Role",
    "SealedConnection",
    "SealedStream",
    "Sealer",
    "decode_message",
    "encode_message",
    "open_stream",
    "read_key",
    "read_keys",
    "read_message",
    "write_message",
]
