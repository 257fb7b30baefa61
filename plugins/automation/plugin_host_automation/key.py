"""The key by which this machine is known, and the one that may take its place.

    state_dir/key          the key in force, one line: a file as `--psk-file` of the host takes it
    state_dir/key.new      a key that was offered; the host takes it beside the other
    state_dir/key.change   how far the change to it is

A host that listens with `state_dir/key` looks at both keys at each connection, so what is written here is
in force at once. Invariants: the key in force is replaced by one that was proved and by no other, in one
step; whatever fails before leaves it as it was; no key is taken that a host would not read.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from plugin_host_sdk.action import ActionFailed, KeyRejected, key_fingerprint, key_proof

if TYPE_CHECKING:
    from .state import State

__all__ = ["KeyStore", "Offer", "new_key"]

_KEY, _NEW, _CHANGE = "key", "key.new", "key.change"
_KEY_BYTES = 32
_SHORTEST = 16


class Change(Struct, frozen=True):
    """How far a change is: `print` is the new key's fingerprint."""

    print: str
    nonce: str
    proved: bool = False


class Offer(NamedTuple):
    """A new key. Its proof is `key_proof(key, nonce)`."""

    key: str
    nonce: str
    proved: bool = False


def new_key() -> str:
    """64 hex digits that nobody can guess."""
    return secrets.token_hex(_KEY_BYTES)


class KeyStore:
    """The keys in a state."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def current(self) -> str | None:
        """The key in force; None before there was one. One that is no UTF-8 has surrogates."""
        return self._line(_KEY)

    @property
    def offer(self) -> Offer | None:
        """The key that was offered and is not in force yet."""
        key, data = self._line(_NEW), self._state.read(_CHANGE)
        if key is None or data is None:
            return None
        try:
            change = msgspec.json.decode(data, type=Change)
        except msgspec.DecodeError as error:
            raise ActionFailed(f"{self._state.path}/{_CHANGE} is not what was written: {error}") from None
        if change.print != key_fingerprint(key):
            raise ActionFailed(f"{self._state.path}/{_NEW} is not what was written: it is another key")
        return Offer(key, change.nonce, change.proved)

    def propose(self, key: str) -> Offer:
        """Take a new key beside the one in force; one that was offered before is forgotten.

        Raises KeyRejected for a key that a host would not read as it is.
        """
        if len(key.encode()) < _SHORTEST or key[-1] in "\r\n":
            raise KeyRejected(
                f"a new key has at least {_SHORTEST} bytes and no line end behind it, or no host could "
                "read it; the old key is still valid"
            )
        with self._state.turn:
            offer = Offer(key, secrets.token_hex(16))
            self._forget()
            self._keep(offer)
            self._state.write(_NEW, f"{key}\n".encode())
            return offer

    def prove(self, proof: str) -> Offer:
        """The other side has the new key. Raises KeyRejected for a wrong proof, or without an offer."""
        with self._state.turn:
            offer = self._offered("prove")
            if not hmac.compare_digest(proof.encode(), key_proof(offer.key, offer.nonce).encode()):
                raise KeyRejected("the proof of the new key is wrong; the old key is still valid")
            self._keep(proved := offer._replace(proved=True))
            return proved

    def drop(self) -> Offer:
        """The new key takes the place of the old one. Raises KeyRejected unless it was proved."""
        with self._state.turn:
            offer = self._offered("drop the old key for")
            if not offer.proved:
                raise KeyRejected("the new key has not been proved; the old key is still valid")
            self._state.write(_KEY, f"{offer.key}\n".encode())
            self._forget()
            return offer

    def withdraw(self, fingerprint: str | None = None) -> None:
        """Forget a new key; the one of this fingerprint alone, if there is one."""
        with self._state.turn:
            if fingerprint is None or self._is_offered(fingerprint):
                self._forget()

    def _is_offered(self, fingerprint: str) -> bool:
        key = self._line(_NEW)
        return key is not None and hmac.compare_digest(key_fingerprint(key), fingerprint)

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

    def _line(self, name: str) -> str | None:
        data = self._state.read(name)
        if data is None:
            return None
        # A first key that was made by hand is whatever the host takes.
        return data.decode("utf-8", "surrogateescape").rstrip("\n")

    def _keep(self, offer: Offer) -> None:
        change = Change(key_fingerprint(offer.key), offer.nonce, offer.proved)
        self._state.write(_CHANGE, msgspec.json.encode(change))

    def _forget(self) -> None:
        """The key first: what is left of a change without it is none."""
        self._state.remove(_NEW)
        self._state.remove(_CHANGE)
