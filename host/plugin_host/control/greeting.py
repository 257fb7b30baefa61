"""What a client says of itself in `initialize`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

__all__ = ["ClientName", "Greeting"]


class ClientName(Struct, frozen=True):
    """Who it is, for people who look at the log."""

    name: str = ""
    version: str = ""


class Greeting(Struct, frozen=True, kw_only=True):
    """`release` is what becomes of its sessions when it goes; `token` that of an earlier connection."""

    protocols: list[Any]
    client: ClientName = ClientName()
    release: Literal["kill", "keep"] = "kill"
    token: Annotated[str, Meta(min_length=16, max_length=128, pattern=r"\A[A-Za-z0-9_-]+\Z")] | None = None
