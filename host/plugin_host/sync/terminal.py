"""A terminal that was handed to this process, read from a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from plugin_host.exec import terminal

    from .loopthread import LoopThread

__all__ = ["DirectTerminal"]


class DirectTerminal:
    """Iterate over it for bytes, or `read` them. See `plugin_host.DirectTerminal`."""

    def __init__(self, thread: LoopThread, held: terminal.DirectTerminal) -> None:
        self._thread = thread
        self._held = held

    def __repr__(self) -> str:
        return repr(self._held)

    def fileno(self) -> int:
        """The descriptor; -1 once closed."""
        return self._held.fileno()

    def read(self) -> bytes:
        """What has come, up to 64 KiB; waits for it. b"" at the end. Raises PluginDied."""
        return self._thread.run(self._held.read())

    def close(self) -> None:
        """Read no more. Idempotent."""
        self._thread.run(self._close())

    async def _close(self) -> None:
        self._held.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.read, b"")

    def __enter__(self) -> DirectTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
