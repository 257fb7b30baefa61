"""One output of a session: reading it, no faster than it may be read.

Works on the reactor's thread only. It asks its session how much may be read, and gives it what was read.
Terminals hand out some 4 KB at a time whatever is asked for, so a flood is gathered for a moment; a few
bytes, or the first after silence, an echo above all, are passed on at once.

Invariant: the session hears `output_ended` once, after the last byte.
"""

from __future__ import annotations

import os
from time import monotonic

from plugin_host_sdk.protocol import FULL_PAYLOAD_BYTES

from .reactor import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from .pipesize import PipeSizes
    from .reactor import Reactor

    class Reader(Protocol):
        """A session as its outputs need it."""

        @property
        def gives_way(self) -> bool:
            """Whether others go first: nobody looks at it, or somebody types elsewhere."""

        def room(self, name: str) -> int:
            """How many bytes of this output may be read now."""

        def feed(self, name: str, data: bytes) -> bool:
            """They were read, and are passed on by `flush` at the latest; whether more may be read now."""

        def flush(self) -> None:
            """Pass on what was read."""

        def output_ended(self, name: str) -> None:
            """There is nothing more to read."""


__all__ = ["Output"]

_CHUNK = FULL_PAYLOAD_BYTES  # of a pipe
_TERMINAL_CHUNK = 4 * 1024
_PIECE_BYTES = 4095  # a terminal gives no more at a time; a turn takes two of them
_CALM_TURNS = 4  # in one while nothing else waits: a turn costs as much as a piece does
_GATHERED_BYTES = 64 * 1024
_FULL_READS = 16  # after so many a pipe is worth to be made larger
_READS_A_TURN = 4  # of a pipe that is full; what they bring is passed on together
# As much is read at full speed of what gives way, before others have their turn.
_UNHURRIED_BYTES = 256 * 1024
_UNHURRIED_TERMINAL_BYTES = 64 * 1024
_SILENCE_S = 0.002  # after that much of it the next bytes do not wait
_LITTLE_BYTES = 1024  # nor do so few: a flood brings more by the time it is looked at
_BREATH_S = 0.001  # how long others wait for what follows them
# What may still lie in the kernel when a process has ended: the largest pipe there is without privilege.
_DRAINED_BYTES = 1024 * 1024 + 64 * 1024


class Output:
    """A descriptor that is read for a session. Owns it, and ends with `close`.

    `before` is what was read from it already; `sizes` may make its pipe larger; `revive` is asked whether
    an end is one; `chunk` bytes are read at a time unless it is None.
    """

    __slots__ = (
        "_before",
        "_budget",
        "_chunk",
        "_close",
        "_fd",
        "_full_reads",
        "_gathered",
        "_gathered_bytes",
        "_has_breath",
        "_is_watched",
        "_last",
        "_reactor",
        "_reader",
        "_revive",
        "_sizes",
        "_turn",
        "_unhurried",
        "is_terminal",
        "name",
    )

    def __init__(
        self,
        name: str,
        fd: int,
        reactor: Reactor,
        reader: Reader,
        *,
        is_terminal: bool,
        close: Callable[[], None],
        before: bytes = b"",
        sizes: PipeSizes,
        revive: Callable[[], bool] | None = None,
        chunk: int | None = None,
    ) -> None:
        self.name = name
        self.is_terminal = is_terminal
        self._fd = fd
        self._reactor = reactor
        self._reader = reader
        self._close = close
        self._before = before
        self._sizes = sizes
        self._revive = revive
        self._chunk = chunk or (_TERMINAL_CHUNK if is_terminal else _CHUNK)
        self._turn = 2 * min(self._chunk, _PIECE_BYTES)
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._has_breath = False
        self._is_watched = False
        self._last = 0.0
        self._full_reads = 0
        self._unhurried = 0  # read since the last pause, while it gave way
        self._budget = 0  # what may be read beyond the session's leave, once its process has ended

    def __repr__(self) -> str:
        return f"<Output {self.name} fd={self._fd} watched={self._is_watched}>"

    @property
    def is_over(self) -> bool:
        """Whether the end was reached."""
        return self._fd < 0

    def resume(self) -> None:
        """Read on, as far as the session lets it."""
        if self._fd < 0:
            return
        if self._before:
            before, self._before = self._before, b""
            self._reader.feed(self.name, before)
            self._reader.flush()
        if not self._is_watched:
            self._is_watched = True
            self._reactor.watch(self._fd, READ, self._ready)

    def drain(self) -> None:
        """The process has ended: read what it left, whether or not there is somebody to take it."""
        self._budget = _DRAINED_BYTES
        self.resume()

    def close(self) -> None:
        """Reach the end now."""
        if self._fd < 0:
            return
        self._pause()
        self._sizes.forget(self._fd)
        self._fd = -1
        self._pass_on()
        self._close()
        self._reader.output_ended(self.name)

    def cut_off(self) -> None:
        """Wait for the end no longer: what lies in the kernel now is still read, within the budget."""
        self._pass_on()
        while self._fd >= 0 and self._budget > 0:
            data = self._read(min(self._chunk, self._budget))
            if not data:
                break
            self._reader.feed(self.name, data)
        self._reader.flush()
        self.close()

    def disown(self) -> None:
        """In a forked child, where the parent's threads and locks are not: close its copy."""
        if self._fd >= 0:
            os.close(self._fd)

    def abandon(self) -> None:
        """Close it without a word: its session never had it."""
        self._fd = -1
        self._close()

    def _pause(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._reactor.watch(self._fd, 0, self._ready)

    def _ready(self, events: int) -> None:
        room = self._reader.room(self.name) - self._gathered_bytes
        if room <= 0:
            room = self._budget
        if room <= 0:
            self._pass_on()
            self._pause()
            return
        if self.is_terminal:
            self._read_terminal(room)
        else:
            self._read_pipe(room)

    def _read_pipe(self, room: int) -> None:
        reader, size, chunk = self._reader, 0, self._chunk
        is_calm = self._reactor.is_alone and not reader.gives_way
        most = min(_READS_A_TURN * chunk if is_calm else chunk, room)
        while data := self._read(min(chunk, room)):
            goes_on = reader.feed(self.name, data)
            size += len(data)
            if len(data) < chunk:
                break
            if self._full_reads < _FULL_READS and chunk == _CHUNK:
                self._note_full_read()
            if size >= most or not goes_on:
                break
        if size:
            reader.flush()
            if reader.gives_way:
                self._slow_down(size, _UNHURRIED_BYTES)

    def _note_full_read(self) -> None:
        self._full_reads += 1
        if self._full_reads == _FULL_READS:
            self._sizes.enlarge(self._fd)

    def _slow_down(self, size: int, most: int) -> None:
        """Let others go first, now and then."""
        self._unhurried += size
        if self._unhurried >= most:
            self._unhurried = 0
            self._pause()
            self._reactor.call_after_breath(_BREATH_S, self.resume)

    def _read_terminal(self, room: int) -> None:
        before = self._gathered_bytes
        is_calm = self._reactor.is_alone and not self._reader.gives_way
        turn = _CALM_TURNS * self._turn if is_calm else self._turn
        most = min(turn, _GATHERED_BYTES - before, room)
        size, has_ended = self._read_on(most)
        self._budget -= size
        self._gathered_bytes += size
        if has_ended:
            self._reach_end()
        if has_ended or not size:
            return
        now = monotonic()
        is_apart = not before and (size < _LITTLE_BYTES or now - self._last > _SILENCE_S)
        self._last = now
        if is_apart or self._gathered_bytes >= _GATHERED_BYTES or size >= room:
            self._pass_on()
        elif not self._has_breath:
            self._has_breath = True
            self._reactor.call_after_breath(_BREATH_S, self._breathe)
        if self._reader.gives_way:
            self._slow_down(size, _UNHURRIED_TERMINAL_BYTES)

    def _read_on(self, most: int) -> tuple[int, bool]:
        """Gather what is there now, up to `most` bytes: how many there were, and whether that is all."""
        read, fd, gather, size, chunk = os.read, self._fd, self._gathered.append, 0, self._chunk
        try:
            while size < most:
                data = read(fd, min(chunk, most - size))
                if not data:
                    return size, True
                gather(data)
                size += len(data)
        except BlockingIOError:
            pass
        except OSError:  # how the end of a terminal looks
            return size, True
        return size, False

    def _read(self, most: int) -> bytes:
        """What is there now; nothing at the end, which is reached then, and when nothing is."""
        try:
            data = os.read(self._fd, most)
        except BlockingIOError:
            return b""
        except OSError:  # an author's file may be a terminal, too
            data = b""
        if data:
            self._budget -= len(data)
        else:
            self._reach_end()
        return data

    def _reach_end(self) -> None:
        if self._revive is None or not self._revive():
            self.close()
        else:
            self._pass_on()

    def _breathe(self) -> None:
        self._has_breath = False
        self._pass_on()

    def _pass_on(self) -> None:
        if self._gathered:
            data = b"".join(self._gathered)
            self._gathered.clear()
            self._gathered_bytes = 0
            self._reader.feed(self.name, data)
            self._reader.flush()
