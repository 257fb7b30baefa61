"""A file on its way from a plugin: one stream, no faster than it is read.

Invariants: what waits to be read is within the stream's window; once the plugin, or the host, has given the
stream up, nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from plugin_host.errors import ArtifactDamaged, CallError

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.stream import Streams
    from plugin_host_sdk.types.task import ArtifactSent

__all__ = ["Download"]

# The word of what was sent overtakes the bytes, so it is there when they are.
_WORD_S = 30.0


class Download:
    """An `ArtifactSource`. `number` is its stream; `on_close()` is called once, when nobody reads it."""

    def __init__(self, streams: Streams, path: str, on_close: Callable[[Download], None]) -> None:
        self.number = 0
        self._streams = streams
        self._path = path
        self._on_close = on_close
        self._waiting: deque[bytes] = deque()
        self._used = 0  # of the piece that was given out last
        self._has_ended = False
        self._error: Callable[[], Exception] | None = None
        self._sent: ArtifactSent | None = None
        self._is_closed = False
        self._wake = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Download of {self._path!r} waiting={len(self._waiting)}>"

    # The stream's calls, and the plugin's word.

    def received(self, stream: int, offset: int, data: bytes) -> None:
        self._waiting.append(data)
        self._wake.set()

    def skipped(self, stream: int, offset: int, size: int) -> None:
        text = f"artifact {self._path!r}: {size} bytes at {offset} were left out"
        self.fail(lambda: ArtifactDamaged(text, path=self._path))

    def ended(self, stream: int, total: int, error: Any) -> None:
        self._has_ended = True
        if error is not None:
            self.fail(lambda: CallError.from_map(error))
        self._wake.set()

    def told(self, sent: ArtifactSent) -> None:
        """The plugin says what it has sent."""
        self._sent = sent
        self._wake.set()

    def fail(self, make_error: Callable[[], Exception]) -> None:
        """What is still to be read ends with this."""
        if self._error is None:
            self._error = make_error
        self._wake.set()

    def lose(self, make_error: Callable[[], Exception]) -> None:
        """The plugin is gone."""
        self._has_ended = True
        self.fail(make_error)

    # The reader's.

    async def read(self) -> bytes:
        if self._used:
            self._streams.consume(self.number, self._used)
            self._used = 0
        while not self._waiting:
            if self._error is not None:
                raise self._error()
            if self._has_ended:
                return b""
            await self._look()
        data = self._waiting.popleft()
        self._used = len(data)
        return data

    async def sent(self) -> ArtifactSent:
        try:
            async with asyncio.timeout(_WORD_S):
                while self._sent is None:
                    if self._error is not None:
                        raise self._error()
                    await self._look()
        except TimeoutError:
            text = f"artifact {self._path!r}: its plugin did not say what it had sent"
            raise ArtifactDamaged(text, path=self._path) from None
        return self._sent

    async def _look(self) -> None:
        """Wait until something has changed."""
        self._wake.clear()
        await self._wake.wait()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._waiting.clear()
            if not self._has_ended:
                self._streams.stop(self.number)
            self._on_close(self)
