"""A terminal that was handed to this process: its output, read without a detour.

What the terminal holds is read in turns of the loop, so much at a time as a frame carries. Invariant:
reading ends behind the last byte that the program wrote, and only when its exit is known.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType

    from plugin_host_sdk.types.session import Exit

__all__ = ["DirectTerminal", "Owner"]

_PIECE_BYTES = 4096  # a terminal gives no more at a time
_TURN_BYTES = 64 * 1024
# What may be left in a terminal when its program has ended; a survivor that writes on is not waited for.
_DRAINED_BYTES = 1024 * 1024 + 64 * 1024


class Owner(Protocol):
    """The session of a terminal, as that needs it."""

    id: str

    @property
    def is_over(self) -> bool:
        """Whether its end is known, or its plugin gone."""

    async def wait(self) -> Exit:
        """How it ended. Raises PluginDied."""


class DirectTerminal:
    """Iterate over it for bytes, or `read` them; made by `PluginHost.exec` with `direct`.

    For one reader. Input, sizes, signals and the end go through the session as ever; `fileno` is for who
    would rather read or write the descriptor, which does not block, without help. As a context manager it
    is closed at the end. While nobody reads, the program stops when the terminal is full.
    """

    def __init__(self, fd: int, session: Owner) -> None:
        self._fd = fd
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._is_dry = True  # the last read took all there was
        self._has_ended = False  # nobody holds its other end
        self._left = _DRAINED_BYTES

    def __repr__(self) -> str:
        return f"<DirectTerminal of session {self._session.id} fd={self._fd}>"

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""
        return self._fd

    async def read(self) -> bytes:
        """What has come, up to 64 KiB; waits for it. b"" at the end, when the exit of the session is known.

        Raises PluginDied behind the last byte when the plugin died before it told of the exit.
        """
        if not self._is_dry:
            await asyncio.sleep(0)  # others have their turn, however much comes
        while self._fd >= 0:
            is_over = self._session.is_over  # asked before the look: what came before the end is there then
            data = self._take()
            if data:
                if is_over:
                    self._left -= len(data)
                return data
            if is_over:
                self.close()
                await self._session.wait()
            elif self._has_ended:
                await self._session.wait()
            else:
                await self._wait()
        return b""

    def _take(self) -> bytes:
        """What is there now, within a turn."""
        pieces: list[bytes] = []
        size, read, fd, most = 0, os.read, self._fd, min(_TURN_BYTES, self._left)
        try:
            while size < most:
                piece = read(fd, _PIECE_BYTES)
                size += len(piece)
                pieces.append(piece)
                if not piece:
                    break
        except BlockingIOError:
            pass
        except OSError:  # how the end of a terminal looks
            self._has_ended = True
        self._is_dry = size < most
        return b"".join(pieces)

    async def _wait(self) -> None:
        """Until something comes, or `wake`."""
        if self._waiter is not None:
            raise RuntimeError(f"{self!r} is read by two tasks")
        self._waiter = waiter = self._loop.create_future()
        fd = self._fd
        self._loop.add_reader(fd, self.wake)
        try:
            await waiter
        finally:
            self._waiter = None
            if self._fd == fd:
                self._loop.remove_reader(fd)

    def wake(self) -> None:
        """Something has changed for who reads."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> DirectTerminal:
        return self

    async def __anext__(self) -> bytes:
        data = await self.read()
        if not data:
            raise StopAsyncIteration
        return data

    def close(self) -> None:
        """Read no more; the session runs on, and stops when its terminal is full. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            if self._waiter is not None:
                self._loop.remove_reader(fd)
                self.wake()
            os.close(fd)

    def __del__(self) -> None:
        if self._fd >= 0 and self._waiter is None:
            os.close(self._fd)

    async def __aenter__(self) -> DirectTerminal:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
