"""A file of a task that is being read: in order, once, and held against what was sent.

Invariant: who has read to the end without an error has every byte that was sent, and no fewer than the file
had when it was opened. What is not read yet is bounded by the source, which is let go of once: at the end,
by `close`, or when nobody has the artifact any more.
"""

from __future__ import annotations

import asyncio
import hashlib
import weakref
from typing import TYPE_CHECKING, Protocol

from plugin_host.errors import ArtifactDamaged

from .saving import save

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

__all__ = ["Artifact", "ArtifactSource", "Sent"]


class Sent(Protocol):
    """What the sender says that it sent."""

    @property
    def size(self) -> int:
        """The bytes."""

    @property
    def sha256(self) -> str:
        """Of them, in hexadecimal; empty when the sender did not say."""


class ArtifactSource(Protocol):
    """Where the bytes of an artifact come from."""

    async def read(self) -> bytes:
        """The next piece, b"" at the end. Asking again says that the last piece was used."""

    async def sent(self) -> Sent:
        """What was sent, after the end."""

    def close(self) -> None:
        """Nobody wants the rest. Also after the end, and twice."""


class Artifact:
    """A file, as an async context manager that closes it and an async iterator of its bytes.

    `size` (bytes), `mode` (permission bits) and `mtime` (seconds since the epoch) are those of the moment
    it was opened. The end raises ArtifactDamaged when something is missing or was changed on the way. Every
    read may raise what the worker has to say, FileAccessError, or why it is gone.
    """

    def __init__(
        self, source: ArtifactSource, *, path: str, size: int, mode: int = 0, mtime: float = 0.0
    ) -> None:
        self.path = path
        self.size = size
        self.mode = mode
        self.mtime = mtime
        self._source = source
        self._digest = hashlib.sha256()
        self._count = 0
        self._rest = b""
        self._is_read = False
        self._is_closed = False
        # It may be dropped on any thread.
        self._finalizer = weakref.finalize(self, _let_go, _loop(), source)
        self._finalizer.atexit = False

    def __repr__(self) -> str:
        return f"<Artifact {self.path!r} {self._count} of {self.size} bytes>"

    @property
    def sha256(self) -> str:
        """Of what was read until now, in hexadecimal."""
        return self._digest.hexdigest()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        data = await self._next()
        if not data:
            raise StopAsyncIteration
        return data

    async def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, b"" at the end; all that is left for -1, however much that is."""
        if size < 0:
            return b"".join([data async for data in self])
        data = await self._next()
        self._rest = data[size:]
        return data[:size]

    async def save(
        self,
        dest: str | os.PathLike[str],
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Read all that is left into the file `dest`, which is there whole or, after an error, as before.

        It is written beside `dest`, readable by nobody else, and renamed at the end; it has the permission
        bits that the original has, but for those to write of others than the owner. Then it is closed.
        `on_progress(done, size)` is called now and then. Raises OSError, and what reading raises.
        """
        try:
            await save(self, dest, self.mode, on_progress)
        finally:
            self.close()

    async def _next(self) -> bytes:
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        if self._is_read:
            return b""
        if self._is_closed:
            raise ValueError(f"the artifact {self.path!r} is closed")
        data = await self._source.read()
        if not data:
            await self._check()
            self._is_read = True
            self._let_go()
        self._digest.update(data)
        self._count += len(data)
        return data

    async def _check(self) -> None:
        """Raise ArtifactDamaged unless what came is what was sent."""
        sent = await self._source.sent()
        problem = ""
        if self._count != sent.size:
            problem = f"{sent.size} bytes were sent and {self._count} arrived"
        elif sent.sha256 and self._digest.hexdigest() != sent.sha256.lower():
            problem = "what arrived has another SHA-256 than what was sent"
        elif sent.size < self.size:
            problem = f"it had {self.size} bytes when it was opened, and only {sent.size} could be read"
        if problem:
            raise ArtifactDamaged(f"artifact {self.path!r}: {problem}", path=self.path)

    def close(self) -> None:
        """Read no more. Does nothing the second time."""
        if not self._is_closed:
            self._is_closed = True
            self._let_go()

    def _let_go(self) -> None:
        """Its source has nothing more to do."""
        if self._finalizer.detach() is not None:
            self._source.close()

    async def __aenter__(self) -> Artifact:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _let_go(loop: asyncio.AbstractEventLoop | None, source: ArtifactSource) -> None:
    if loop is None:
        return
    try:
        loop.call_soon_threadsafe(source.close)
    except RuntimeError:
        pass  # the loop is closed, and with it the host
