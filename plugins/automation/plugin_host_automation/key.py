"""The key by which this machine is known, and the one that may take its place.

    state_dir/key        the key in force, one line; `--psk-file` of the host takes such a file
    state_dir/key.new    a key that was offered, with the nonce that is to be proved

Invariant: the key in force is replaced by one that was proved and by no other, in one step; whatever fails
before leaves it as it was.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from plugin_host_sdk.action import ActionFailed, KeyRejected, key_proof

if TYPE_CHECKING:
    from .state import State

__all__ = ["KeyStore", "Offer", "fingerprint", "new_key"]

_KEY, _OFFER = "key", "key.new"
_KEY_BYTES = 32


class Offer(Struct, frozen=True):
    """A new key. Its proof is `key_proof(key, nonce)`."""

    key: str
    nonce: str
    proved: bool = False


def new_key() -> str:
    """64 hex digits that nobody can guess."""
    return secrets.token_hex(_KEY_BYTES)


def fingerprint(key: str) -> str:
    """What tells keys apart and gives none away."""
    return hashlib.sha256(b"plugin-host key fingerprint\0" + key.encode()).hexdigest()[:16]


class KeyStore:
    """The keys in a state."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def current(self) -> str | None:
        """The key in force; None before there was one."""
        data = self._state.read(_KEY)
        return None if data is None else data.decode().rstrip("\n")

    @property
    def offer(self) -> Offer | None:
        """The key that was offered and is not in force yet."""
        data = self._state.read(_OFFER)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=Offer)
        except msgspec.DecodeError as error:
            raise ActionFailed(f"{self._state.path}/{_OFFER} is not what was written: {error}") from None

    def accepts(self, key: str) -> bool:
        """Whether `key` is valid: the one in force or, beside it, the one that was offered."""
        offer = self.offer
        known = [self.current, None if offer is None else offer.key]
        # All are looked at, so that the time it takes tells nothing.
        found = [hmac.compare_digest(key.encode(), one.encode()) for one in known if one is not None]
        return any(found)

    def propose(self, key: str) -> Offer:
        """Take a new key beside the one in force; one that was offered before is forgotten."""
        with self._state.turn:
            offer = Offer(key, secrets.token_hex(16))
            self._keep(offer)
            return offer

    def prove(self, proof: str) -> Offer:
        """The other side has the new key. Raises KeyRejected for a wrong proof, or without an offer."""
        with self._state.turn:
            offer = self._offered("prove")
            if not hmac.compare_digest(proof.encode(), key_proof(offer.key, offer.nonce).encode()):
                raise KeyRejected("the proof of the new key is wrong; the old key is still valid")
            self._keep(proved := Offer(offer.key, offer.nonce, proved=True))
            return proved

    def drop(self) -> Offer:
        """The new key takes the place of the old one. Raises KeyRejected unless it was proved."""
        with self._state.turn:
            offer = self._offered("drop the old key for")
            if not offer.proved:
                raise KeyRejected("the new key has not been proved; the old key is still valid")
            self._state.write(_KEY, f"{offer.key}\n".encode())
            self._state.remove(_OFFER)
            return offer

    def withdraw(self) -> None:
        """Forget a new key."""
        with self._state.turn:
            self._state.remove(_OFFER)

    def begin(self, key: str) -> None:
        """The first key of this machine. Raises KeyRejected when it has one."""
        with self._state.turn:
            if self.current is not None:
                raise KeyRejected("there is a key already; it can be changed, and not begun anew")
            self._state.write(_KEY, f"{key}\n".encode())

    def _offered(self, what: str) -> Offer:
        offer = self.offer
        if offer is None:
            raise KeyRejected(f"there is no new key to {what}: offer one first")
        return offer

    def _keep(self, offer: Offer) -> None:
        self._state.write(_OFFER, msgspec.json.encode(offer))
