"""The keys of one connection: made of the pre-shared key and of what both sides throw in.

Invariants: no key serves two directions or two purposes; neither side alone chooses the salt; a proof is
compared in constant time and covers all that was said in the clear.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

__all__ = ["Keys", "derive", "is_proof", "proof"]

_PURPOSE = b"plugin-host seal 1\0"
_KEY_BYTES = 32
# 32 MiB and some tens of milliseconds for every guess at a key.
_N, _R, _P = 32768, 8, 1
_MOST_MEMORY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Keys:
    """32 bytes each: two that seal what a side sends, two that prove that it has the pre-shared key."""

    client_seal: bytes = field(repr=False)
    server_seal: bytes = field(repr=False)
    client_proof: bytes = field(repr=False)
    server_proof: bytes = field(repr=False)


def derive(secret: bytes, salt: bytes) -> Keys:
    """The keys; `salt` is the client's nonce and then the server's. Takes some tens of milliseconds."""
    drawn = hashlib.scrypt(
        secret, salt=_PURPOSE + salt, n=_N, r=_R, p=_P, maxmem=_MOST_MEMORY, dklen=4 * _KEY_BYTES
    )
    return Keys(*(drawn[start : start + _KEY_BYTES] for start in range(0, len(drawn), _KEY_BYTES)))


def proof(key: bytes, transcript: bytes) -> bytes:
    """The 32 bytes that only who has `key` can make of what was said before, `transcript`."""
    return hmac.digest(key, transcript, "sha256")


def is_proof(key: bytes, transcript: bytes, given: bytes) -> bool:
    """Whether `given` is that proof, found out in constant time."""
    return hmac.compare_digest(proof(key, transcript), given)
