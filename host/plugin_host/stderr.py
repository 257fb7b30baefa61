"""What a plugin writes to its stderr, as lines, in bounded memory and bounded turns of the loop.

Owns the host's end of one stderr pipe. It never waits for end of file: a grandchild may hold the pipe
open for ever. Invariant: at most one line and one chunk are buffered beside the tail, and a plugin that
floods its stderr is slowed down by its own pipe, not by the host's memory or loop.
"""

from __future__ import annotations

import codecs
import os
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

__all__ = ["CUT_MARKER", "LINE_BYTES", "TAIL_BYTES", "TAIL_LINES", "StderrReader"]

LINE_BYTES = 8 * 1024
TAIL_LINES = 100
TAIL_BYTES = 64 * 1024
CUT_MARKER = f" [line cut after {LINE_BYTES} bytes]"

_CHUNK_BYTES = 16 * 1024
# Each line costs the host a log record; this many make a turn of the loop about a millisecond long.
_LINES_PER_TURN = 128
# A full pipe is 64 KiB, and a process that writes without pause must not keep `drain` busy.
_DRAIN_BYTES = 1024 * 1024


class StderrReader:
    """Hands each line to `on_line` and keeps the last ones in `tail`."""

    __slots__ = (
        "_cutting",
        "_fd",
        "_loop",
        "_on_line",
        "_partial",
        "_reading",
        "_tail",
        "_tail_bytes",
        "_waiting",
    )

    def __init__(self, fd: int, loop: AbstractEventLoop, on_line: Callable[[str], None]) -> None:
        """Take `fd` over and read it in `loop`; an `on_line` that raises is the loop's to report."""
        self._fd = fd
        self._loop = loop
        self._on_line = on_line
        self._partial = bytearray()
        self._cutting = False  # the rest of a line that was cut goes by
        self._waiting: deque[str] = deque()
        self._tail: deque[tuple[str, int]] = deque()
        self._tail_bytes = 0
        self._reading = False
        os.set_blocking(fd, False)
        self._resume()

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, oldest first: at most TAIL_LINES of them and TAIL_BYTES of text."""
        return tuple(line for line, _ in self._tail)

    @property
    def closed(self) -> bool:
        """Whether the descriptor was given back, by `close` or at end of file."""
        return self._fd < 0

    def drain(self) -> None:
        """Take what is in the pipe at this moment and hand over every line, the unfinished one too."""
        taken = 0
        while self._fd >= 0 and taken < _DRAIN_BYTES:
            size = self._read_chunk()
            if not size:
                break
            taken += size
            self._deliver(len(self._waiting))
        self._finish_line()
        self._deliver(len(self._waiting))

    def close(self) -> None:
        """Give the descriptor back. What was not drained is lost; the tail stays."""
        self._pause()
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _resume(self) -> None:
        if self._fd >= 0 and not self._reading:
            self._loop.add_reader(self._fd, self._on_readable)
            self._reading = True

    def _pause(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._fd)
            self._reading = False

    def _on_readable(self) -> None:
        self._read_chunk()
        self._deliver(_LINES_PER_TURN)
        if self._waiting:
            self._pause()
            self._loop.call_soon(self._continue)

    def _continue(self) -> None:
        self._deliver(_LINES_PER_TURN)
        if self._waiting:
            self._loop.call_soon(self._continue)
        else:
            self._resume()

    def _read_chunk(self) -> int:
        """Read once and split it into lines; the size read, 0 for nothing now or nothing ever."""
        try:
            data = os.read(self._fd, _CHUNK_BYTES)
        except BlockingIOError:
            return 0
        if not data:
            self._finish_line()
            self.close()
            return 0
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._extend(data[start:end])
            self._finish_line(whole=True)
            start = end + 1
        self._extend(data[start:])
        return len(data)

    def _extend(self, piece: bytes) -> None:
        if self._cutting:
            return
        room = LINE_BYTES - len(self._partial)
        self._partial += piece[:room]
        if len(piece) > room:
            self._cutting = True
            self._keep(CUT_MARKER)

    def _finish_line(self, *, whole: bool = False) -> None:
        """End the line here: at its newline, or where the text stopped (then only if there is any)."""
        if self._cutting:
            self._cutting = not whole
        elif whole or self._partial:
            self._keep()

    def _keep(self, marker: str = "") -> None:
        size = len(self._partial)
        if marker:
            # A decoder that expects more withholds half a character instead of showing damage.
            line = codecs.getincrementaldecoder("utf-8")("replace").decode(self._partial) + marker
        else:
            line = self._partial.decode("utf-8", "replace").removesuffix("\r")
        self._partial.clear()
        self._waiting.append(line)
        self._tail.append((line, size))
        self._tail_bytes += size
        while len(self._tail) > TAIL_LINES or self._tail_bytes > TAIL_BYTES:
            self._tail_bytes -= self._tail.popleft()[1]

    def _deliver(self, count: int) -> None:
        for _ in range(count):
            if not self._waiting:
                return
            line = self._waiting.popleft()
            try:
                self._on_line(line)
            except Exception as error:
                self._loop.call_exception_handler(
                    {"message": "the receiver of a plugin's stderr lines failed", "exception": error}
                )
