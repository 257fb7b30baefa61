"""What a plugin writes to its stderr, as lines, in bounded memory and bounded turns of the loop.

Owns the host's end of one stderr pipe. It never waits for end of file: a grandchild may hold the pipe
open for ever. Lines that its meter has no room for are counted and not made, and the reading rests for a
moment after each piece of them; it never stops. Invariants: at most one line and one chunk are buffered
beside the tail, which holds the newest lines whether or not they were handed over; and a plugin that
floods its stderr gets a part of the loop's time and delays itself alone.
"""

from __future__ import annotations

import codecs
import os
from collections import deque
from typing import TYPE_CHECKING, Protocol

from .skim import Skim

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from collections.abc import Callable

__all__ = ["CUT_MARKER", "LINE_BYTES", "TAIL_BYTES", "TAIL_LINES", "LineMeter", "StderrReader"]

LINE_BYTES = 8 * 1024
TAIL_LINES = 100
TAIL_BYTES = 64 * 1024
CUT_MARKER = f" [line cut after {LINE_BYTES} bytes]"

_CHUNK_BYTES = 16 * 1024
# Each line costs the host a log record; this many make a turn of the loop about a millisecond long.
_LINES_PER_TURN = 128
# A full pipe is 64 KiB, and a process that writes without pause must not keep `drain` busy.
_DRAIN_BYTES = 1024 * 1024
# Of lines that are only counted a whole pipe at a time is taken. Longer ones are few and worth a look.
_SKIMMED_BYTES = 64 * 1024
_SKIMMED_LINE_BYTES = 1024
# After each such piece the reading rests four times as long as it took: a fifth of the loop's time.
_REST = 4
_SHORTEST_REST_S = 0.001


class LineMeter(Protocol):
    """Says how many lines may be handed over."""

    def admit(self) -> bool:
        """Whether one may; else it is counted as dropped."""

    def room(self) -> int:
        """How many may, now."""

    def drop(self, count: int) -> None:
        """So many were dropped unseen."""


class StderrReader:
    """Hands each line to `on_line` and keeps the last ones in `tail`."""

    __slots__ = (
        "_cutting",
        "_fd",
        "_loop",
        "_meter",
        "_on_line",
        "_partial",
        "_reading",
        "_rest",
        "_skim",
        "_tail",
        "_tail_bytes",
        "_waiting",
    )

    def __init__(
        self,
        fd: int,
        loop: AbstractEventLoop,
        on_line: Callable[[str], None],
        meter: LineMeter | None = None,
    ) -> None:
        """Take `fd` over and read it in `loop`; an `on_line` that raises is the loop's to report.

        Without a `meter` every line is handed over.
        """
        self._fd = fd
        self._loop = loop
        self._on_line = on_line
        self._meter = meter
        self._skim: Skim | None = None  # while lines are only counted, instead of `_partial`
        self._rest: TimerHandle | None = None
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
        if self._skim is not None:
            self._keep_skimmed(self._skim.take()[0])
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
        self._end_skim()
        self._finish_line()
        self._deliver(len(self._waiting))

    def close(self) -> None:
        """Give the descriptor back. What was not drained is lost; the tail stays."""
        self._pause()
        if self._rest is not None:
            self._rest.cancel()
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
        begun = self._loop.time()
        self._read_chunk()
        self._deliver(_LINES_PER_TURN)
        if self._skim is not None and not self._waiting:
            self._pause()
            rest = max(_SHORTEST_REST_S, _REST * (self._loop.time() - begun))
            self._rest = self._loop.call_later(rest, self._resume)
        elif self._waiting:
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
            data = os.read(self._fd, _CHUNK_BYTES if self._skim is None else _SKIMMED_BYTES)
        except BlockingIOError:
            return 0
        if not data:
            self._end_skim()
            self._finish_line()
            self.close()
            return 0
        if self._meter is not None and self._skims(data, self._meter):
            return len(data)
        self._end_skim()
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._extend(data[start:end])
            self._finish_line(whole=True)
            start = end + 1
        self._extend(data[start:])
        return len(data)

    def _skims(self, data: bytes, meter: LineMeter) -> bool:
        """Whether `data` was only counted: more short lines than there is room for."""
        newlines = data.count(b"\n")
        is_dense = newlines * _SKIMMED_LINE_BYTES >= len(data) and not self._cutting
        if not is_dense or newlines <= meter.room():
            return False
        if self._skim is None:
            self._skim = Skim(TAIL_LINES, bytes(self._partial))
            self._partial.clear()
        self._skim.add(data, newlines)
        meter.drop(newlines)
        return True

    def _end_skim(self) -> None:
        """Go on line by line, in the middle of the one that has begun."""
        if self._skim is not None:
            lines, begun = self._skim.take()
            self._skim = None
            self._keep_skimmed(lines)
            self._extend(begun)

    def _keep_skimmed(self, lines: list[bytes]) -> None:
        """For the tail alone: these were counted already."""
        for line in lines:
            self._extend(line)
            if self._cutting:
                self._cutting = False
            else:
                self._keep()
            self._waiting.pop()

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
            if self._meter is not None and not self._meter.admit():
                continue
            try:
                self._on_line(line)
            except Exception as error:
                self._loop.call_exception_handler(
                    {"message": "the receiver of a plugin's stderr lines failed", "exception": error}
                )
