"""Why a server comes to no agreement with a client, as one byte in the clear.

Nobody has proved anything when it is said, so it explains and is never relied on.
"""

from __future__ import annotations

import enum

from plugin_host.errors import KeyMismatch, SealRefused

__all__ = ["Refusal", "refusal_error"]


class Refusal(enum.IntEnum):
    """The reasons that exist; a client takes one that it does not know for refusal without a reason."""

    KEY = 1
    RECORD = 2
    BUSY = 3
    SLOW = 4
    NO_KEY = 5


_TEXTS = {
    Refusal.RECORD: "it could not make sense of what this side sent",
    Refusal.BUSY: "too many clients are connecting to it at this moment; try again",
    Refusal.SLOW: "this side took too long to prove its key",
    Refusal.NO_KEY: "it cannot use its own key file at this moment; its log says why",
}
_WRONG_KEY = "it has another pre-shared key than this side: compare the two key files"


def refusal_error(reason: int) -> SealRefused:
    """What a client makes of the byte."""
    if reason == Refusal.KEY:
        return KeyMismatch(f"the server refused: {_WRONG_KEY}")
    text = _TEXTS.get(Refusal(reason)) if reason in set(Refusal) else None
    return SealRefused(f"the server refused: {text or f'for reason {reason}, which is not known here'}")
