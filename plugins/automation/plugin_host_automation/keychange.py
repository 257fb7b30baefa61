"""Changing the key of this machine, step by step; the old one is valid until the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host_sdk.action import KeyResult, key_fingerprint

from . import setting
from .key import KeyStore
from .state import open_state

if TYPE_CHECKING:
    import plugin_host_sdk as sdk
    from plugin_host_sdk.action import UpdateKey

__all__ = ["check", "run"]


def check(ctx: sdk.Context, request: UpdateKey) -> None:
    """Refuse it where no key can be kept."""
    open_state(setting.current(ctx.settings))


def run(ctx: sdk.Context, request: UpdateKey) -> KeyResult:
    keys = KeyStore(open_state(setting.current(ctx.settings)))
    if request.phase == "offer":
        assert request.key is not None  # as the type of the request makes sure
        offer = keys.propose(request.key)
        return KeyResult(state="offered", nonce=offer.nonce, fingerprint=key_fingerprint(offer.key))
    if request.phase == "prove":
        assert request.proof is not None
        return KeyResult(state="proved", fingerprint=key_fingerprint(keys.prove(request.proof).key))
    if request.phase == "drop":
        return KeyResult(state="dropped", fingerprint=key_fingerprint(keys.drop().key))
    keys.withdraw(request.fingerprint)
    return KeyResult(state="withdrawn")
