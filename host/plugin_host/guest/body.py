"""The body of a request, as it comes: no faster than it is taken, and not for ever.

Invariant: the time between two pieces is bounded, but for who says otherwise; the time that the taker needs
does not count.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator

from starlette.requests import Request

from plugin_host.errors import InvalidPayload

__all__ = ["Body", "BodyCut"]

# What is read of a body that nobody wants, so that the guest hears why.
_DRAINED_BYTES = 1024 * 1024
_DRAINED_S = 0.2


class BodyCut(Exception):
    """The guest stopped in the middle of it, or went away."""

    def __init__(self, *, has_left: bool) -> None:
        super().__init__("the guest went away" if has_left else "the guest stopped sending")
        self.has_left = has_left


class Body:
    """Iterate over it for bytes, once. `stall` is how many seconds nothing may come, None for any."""

    def __init__(self, request: Request, stall: float | None) -> None:
        self._request = request
        self.stall = stall
        self._has_begun = False
        self.is_read = False

    @property
    def length(self) -> int | None:
        """How long it is to be, when the guest says so."""
        given = self._request.headers.get("content-length", "")
        return int(given) if given.isascii() and given.isdigit() else None

    @property
    def sha256(self) -> str:
        """The SHA-256 that the guest says it has, in hexadecimal; empty when it does not say.

        Raises InvalidPayload for a `Content-Digest` that is none.
        """
        for part in self._request.headers.get("content-digest", "").split(","):
            name, _, value = part.strip().partition("=")
            if name.lower() == "sha-256":
                try:
                    return base64.b64decode(value.strip(":"), validate=True).hex()
                except binascii.Error:
                    raise InvalidPayload(f"Content-Digest: {value!r} is no base64 between colons") from None
        return ""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        data = b""
        while not data:
            if self.is_read:
                raise StopAsyncIteration
            data = await self._next()
        return data

    async def _next(self) -> bytes:
        self._has_begun = True
        try:
            async with asyncio.timeout(self.stall):
                message = await self._request.receive()
        except TimeoutError:
            raise BodyCut(has_left=False) from None
        if message["type"] != "http.request":
            raise BodyCut(has_left=True)
        self.is_read = not message.get("more_body", False)
        data: bytes = message.get("body", b"")
        return data

    async def read(self, most: int) -> bytes:
        """All of it. Raises InvalidPayload for more than `most` bytes, and BodyCut."""
        data = bytearray()
        async for piece in self:
            data += piece
            if len(data) > most:
                raise InvalidPayload(f"the body has more than {most} bytes")
        return bytes(data)

    async def drain(self) -> None:
        """Read on a little, so that the guest has sent what it has and hears the answer."""
        if "expect" in self._request.headers and not self._has_begun:
            return  # it waits for leave, and the answer comes instead
        size = 0
        try:
            async with asyncio.timeout(_DRAINED_S):
                async for piece in self:
                    size += len(piece)
                    if size > _DRAINED_BYTES:
                        return
        except (TimeoutError, BodyCut):
            pass
