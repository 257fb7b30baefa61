"""One action at one moment, as it is listed."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["ActionInfo"]


class ActionInfo(Struct, frozen=True, kw_only=True):
    """`state` is running, reported (its last output is on the way), ended or lost.

    `started_at` and `last_sign`, when something was last heard of it, are seconds since the epoch; `sent`
    of `total` bytes of its data have gone, `total` is None where it is not known or there is none.
    """

    id: str
    plugin: str
    kind: str
    state: str
    started_at: float
    last_sign: float
    sent: int = 0
    total: int | None = None
