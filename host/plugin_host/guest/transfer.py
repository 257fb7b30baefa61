"""A file on its way from a guest to whoever reads it, over as many replies as that takes.

A reply that is cut off is followed by another, which begins at the start: what was read of the file already
is passed over, and must be the same bytes. Invariants: no more waits than a few pieces; the reader gets
every byte once, and at the end knows whether that was all.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from typing import TYPE_CHECKING

from plugin_host.errors import ArtifactDamaged, PluginHostError, UnknownActionId

from .reported import reported

if TYPE_CHECKING:
    from collections.abc import Callable

    from .action import Action
    from .actiontable import Reply
    from .body import Body

__all__ = ["Transfer", "TransferSent"]

_WAITING_BYTES = 256 * 1024


class TransferSent:
    """What the guest sent: its size, and its SHA-256 where the guest told that."""

    def __init__(self) -> None:
        self.size = 0
        self.sha256 = ""


class Transfer:
    """The source of one artifact. `opened` is its size once a reply has begun, 0 where that is not told."""

    def __init__(self, path: str) -> None:
        self.opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._path = path
        self._told = TransferSent()
        self._digest = hashlib.sha256()  # of what was put
        self._count = 0
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._changed = asyncio.Event()
        self.on_close: Callable[[], object] = lambda: None
        self._error: Exception | None = None
        self._is_over = False

    def __repr__(self) -> str:
        return f"<Transfer {self._path!r} put={self._count} waiting={self._waiting}>"

    # The guest's replies.

    async def receive(self, action: Action, reply: Reply, body: Body) -> PluginHostError | None:
        """One reply with the file. Raises BodyCut, and UnknownActionId when nobody wants it any more."""
        if reply.error is not None:
            return reported(action, reply.error)
        told = TransferSent()
        told.sha256 = body.sha256
        if not self.opened.done():
            self.opened.set_result(body.length or 0)
        before, passed = self._count, hashlib.sha256()
        async for data in body:
            repeated = data[: max(before - told.size, 0)]
            told.size += len(data)
            if repeated:
                passed.update(repeated)
                if told.size >= before and passed.digest() != self._digest.digest():
                    return self._damage("it has changed since a first try to send it")
                data = data[len(repeated) :]
            if data:
                await self._put(data)
        if told.size < before:
            return self._damage("it has become shorter since a first try to send it")
        self._told = told
        return None

    def _damage(self, reason: str) -> ArtifactDamaged:
        return ArtifactDamaged(f"artifact {self._path!r}: {reason}", path=self._path)

    async def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._count += len(data)
        self._pieces.append(data)
        self._waiting += len(data)
        self._changed.set()
        while self._waiting > _WAITING_BYTES and not self._is_over:
            await self._wait()
        if self._is_over:
            raise UnknownActionId(f"nobody reads {self._path!r} any more")

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def conclude(self, error: Exception | None) -> None:
        """No reply follows: it was sent whole, or `error` says why not."""
        self._error = error
        self._is_over = True
        if not self.opened.done():
            self.opened.set_exception(error or asyncio.CancelledError())
        self._changed.set()

    # Its reader.

    async def read(self) -> bytes:
        """The next piece, b"" at the end."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._is_over:
                return b""
            await self._wait()
        data = self._pieces.popleft()
        self._waiting -= len(data)
        self._changed.set()
        return data

    async def sent(self) -> TransferSent:
        """What was sent, after the end."""
        return self._told

    def close(self) -> None:
        """Nobody wants the rest."""
        self._pieces.clear()
        self._waiting = 0
        self._is_over = True
        self._changed.set()
        self.on_close()
