"""The proof that a request comes from the guest: a token that it sends along.

Pure. Where every program of a machine can reach the server, an address tells nothing of who asks.
Invariant: how long a refusal takes tells nothing of the token.
"""

from __future__ import annotations

import re
from hmac import compare_digest
from typing import TYPE_CHECKING

from plugin_host.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CHALLENGE", "Unauthorized", "check", "check_token"]

CHALLENGE = {"www-authenticate": "Bearer"}
"""The header that goes with status 401."""

_SCHEME = "bearer"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class Unauthorized(MetadataError):
    """The request has no token, or another."""


def check_token(token: str | None) -> str | None:
    """The token as it is. Raises ValueError for one that no header can carry."""
    if token is not None and not _TOKEN.fullmatch(token):
        raise ValueError("a guest's token is one or more letters, digits or -._~+/ with = at its end only")
    return token


def check(headers: Mapping[str, str], token: str | None) -> None:
    """Raises Unauthorized for a request without `Authorization: Bearer TOKEN`; None asks for nothing."""
    if token is None:
        return
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != _SCHEME:
        raise Unauthorized("this server wants the guest's token: send `Authorization: Bearer TOKEN`")
    if not compare_digest(given.strip().encode(), token.encode()):
        raise Unauthorized("that is not the guest's token")
