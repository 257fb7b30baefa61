"""Whose a session is: which client opened it, what becomes of it without that client, who else may use it.

Pure. A client is known by its number, and by the token it was given, which a later connection may show to
be taken for the same. Invariant: a session has at most one owner, and one whose owner has gone keeps the
token by which it is reclaimed.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Literal

__all__ = ["Claim", "ClaimTable", "Key", "Share"]

Key = tuple[str, str]  # plugin and session
Share = Literal["user", "owner", "token"]


@dataclass(slots=True)
class Claim:
    """The claim on one session: `owner` is a client's number, None once it has gone."""

    token: str
    keep: bool
    owner: int | None


class ClaimTable:
    """`share` says who may use another's session: every client, the owner alone, or who has its token."""

    def __init__(self, share: Share = "user") -> None:
        self.share = share
        self._claims: dict[Key, Claim] = {}

    def __len__(self) -> int:
        return len(self._claims)

    def forget_all_but(self, there: Set[Key]) -> None:
        """Nothing else is there any more."""
        for key in self._claims.keys() - there:
            del self._claims[key]

    def get(self, key: Key) -> Claim | None:
        """The claim on a session; None for one that no client opened."""
        return self._claims.get(key)

    def make(self, key: Key, client: int, token: str, *, keep: bool) -> None:
        """A client has opened a session."""
        self._claims[key] = Claim(token, keep, client)

    def forget(self, key: Key) -> None:
        """The session is gone."""
        self._claims.pop(key, None)

    def owns(self, key: Key, client: int) -> bool:
        """Whether it is this client's."""
        claim = self._claims.get(key)
        return claim is not None and claim.owner == client

    def may_use(self, key: Key, client: int, token: str) -> bool:
        """Whether a client may view, attach, write, resize, signal and close.

        Who could reclaim a session may use it: to the owner that comes back it is there before that.
        """
        claim = self._claims.get(key)
        if claim is None or self.share == "user":
            return self.share == "user"
        if claim.owner == client:
            return True
        return (self.share == "token" or claim.owner is None) and _same(claim.token, token)

    def user(self, client: int, token: str) -> Callable[[Key], bool]:
        """What `may_use` says of one client."""
        return lambda key: self.may_use(key, client, token)

    def reclaim(self, key: Key, client: int, token: str) -> bool:
        """Make a client the owner of a session that has none and whose token it shows."""
        claim = self._claims.get(key)
        if claim is None or claim.owner not in (None, client) or not _same(claim.token, token):
            return False
        claim.owner = client
        return True

    def keep(self, key: Key, *, keep: bool) -> None:
        """Whether a session lives on without its owner."""
        if (claim := self._claims.get(key)) is not None:
            claim.keep = keep

    def left(self, client: int) -> list[Key]:
        """A client has gone: its sessions are nobody's now. Those to be closed."""
        mine = [key for key, claim in self._claims.items() if claim.owner == client]
        for key in mine:
            self._claims[key].owner = None
        return [key for key in mine if not self._claims[key].keep]


def _same(token: str, shown: str) -> bool:
    return hmac.compare_digest(token.encode(), shown.encode("utf-8", "surrogatepass"))
