"""One output of a guest's shell: its newest bytes, and who follows it from where.

Pure: it is told what came and what was used, and calls whoever follows. What came is taken, and so may be
acknowledged, when it lies in the ring; bytes that a lossless follower, or the first one, has still to get
are not pushed out of it, so a follower that stops stops the guest. Invariants: the ring holds at most
`kept` bytes; each follower gets every byte from its place on, or a gap; its end comes behind the last.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plugin_host_sdk.types.session import AttachedStream, Stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.stream import Receiver

__all__ = ["ShellOutput"]

_PIECE_BYTES = 64 * 1024


@dataclass(slots=True, eq=False)
class _Follower:
    """Who follows: the next byte of it is at `place`, and it takes `credit` more."""

    stream: int
    receiver: Receiver
    base: int
    place: int
    credit: int
    is_lossless: bool


class ShellOutput:
    """Keeps `kept` bytes. `used(size)` is called when bytes that came have been taken.

    With `waits` nothing is pushed out before somebody has followed it.
    """

    def __init__(self, kept: int, used: Callable[[int], None], *, waits: bool) -> None:
        self.start = 0
        self.end = 0
        self.total: int | None = None  # once it has ended
        self._kept = kept
        self._used = used
        self._waits = waits
        self._bytes = bytearray()
        self._coming: deque[bytes] = deque()
        self._followers: dict[int, _Follower] = {}

    def __repr__(self) -> str:
        return f"<ShellOutput {self.start}-{self.end} coming={len(self._coming)}>"

    @property
    def stored(self) -> Stored:
        """What is kept."""
        return Stored(self.start, self.end)

    def put(self, data: bytes) -> None:
        """Bytes came."""
        self._coming.append(data)
        self._advance()

    def finish(self) -> None:
        """No more come. Does nothing the second time."""
        if self.total is None:
            self.total = self.end + sum(map(len, self._coming))
        self._advance()

    def follow(
        self, stream: int, receiver: Receiver, window: int, offset: int | None, *, is_lossless: bool
    ) -> AttachedStream:
        """Send to `stream` from `offset` on: None is the oldest byte, -1 only what comes.

        Raises ValueError for an offset beyond the end.
        """
        wanted = self.start if offset is None else self.end if offset == -1 else offset
        if wanted > self.end:
            raise ValueError(f"it has {self.end} bytes; there is no offset {wanted}")
        self._waits = False
        start = max(wanted, self.start)
        self._followers[stream] = _Follower(stream, receiver, wanted, start, window, is_lossless)
        if start > wanted:
            receiver.skipped(stream, 0, start - wanted)
        self._advance()
        return AttachedStream(base=wanted, start=start, end=self.end, evicted=start - wanted)

    def is_followed(self, stream: int) -> bool:
        """Whether something is still sent to `stream`."""
        return stream in self._followers

    def credit(self, stream: int, size: int) -> None:
        """A follower has used so many bytes."""
        if (follower := self._followers.get(stream)) is not None:
            follower.credit += size
            self._advance()

    def leave(self, stream: int) -> None:
        """A follower wants no more."""
        if self._followers.pop(stream, None) is not None:
            self._advance()

    def _advance(self) -> None:
        """Take what there is room for and pass on what is wanted, until neither gets further."""
        self._pass_on()
        while self._coming and (room := self._room()):
            data = self._coming.popleft()
            if len(data) > room:
                self._coming.appendleft(data[room:])
                data = data[:room]
            self._take(data)
            self._pass_on()
        if self.total == self.end:
            self._end()

    def _room(self) -> int:
        """How many bytes may be taken without pushing out what somebody has still to get."""
        needed = [one.place for one in self._followers.values() if one.is_lossless]
        if self._waits:
            needed.append(self.start)
        return self._kept - (self.end - min(needed, default=self.end))

    def _take(self, data: bytes) -> None:
        self._bytes += data
        self.end += len(data)
        if (surplus := len(self._bytes) - self._kept) > 0:
            del self._bytes[:surplus]
            self.start += surplus
        self._used(len(data))

    def _pass_on(self) -> None:
        for follower in list(self._followers.values()):
            if follower.place < self.start and follower.credit:  # until then the gap may grow
                follower.receiver.skipped(
                    follower.stream, follower.place - follower.base, self.start - follower.place
                )
                follower.place = self.start
            while follower.credit and follower.place < self.end:
                self._pass_on_to(follower)

    def _pass_on_to(self, follower: _Follower) -> None:
        begin = follower.place - self.start
        size = min(follower.credit, _PIECE_BYTES)
        data = bytes(memoryview(self._bytes)[begin : begin + size])
        offset = follower.place - follower.base
        follower.place += len(data)
        follower.credit -= len(data)
        follower.receiver.received(follower.stream, offset, data)

    def _end(self) -> None:
        for follower in list(self._followers.values()):
            if follower.place == self.end:
                del self._followers[follower.stream]
                follower.receiver.ended(follower.stream, self.end - follower.base, None)
