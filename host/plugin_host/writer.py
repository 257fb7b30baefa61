"""The write side of a link: at once when there is room, else in lanes and within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host_sdk.errors import RemoteProtocolError
from plugin_host_sdk.lane import Outbox
from plugin_host_sdk.protocol import CONTROL_QUEUE_BYTES, FRAME_BYTES

from .patience import LOOK_S, PATIENCE_S, Patience

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable

    from .channel import Channel

__all__ = ["Writer"]


# Messages that are joined into one write while corked: more would serialise host and plugin.
_BATCH = 16
# What may be queued of streams before those who write to them wait.
_ROOM_BYTES = 1024 * 1024
# How often a peer that takes all it is given is written to before the loop does something else.
_SENDS_AT_ONCE = 32
# How long after a failed write the peer's end of file may take, and the answers before it.
_END_FOLLOWS_S = 0.5


class Writer:
    """Writes messages to a channel in order. `lost(error)` is called when the peer is gone or stuck.

    A peer that reads is not lost, though much waits for it: who makes more for it looks at `is_full` and
    `is_overfull`, and does not then. One that takes nothing while it is full is lost after a while.

    `is_waiting` says that the channel is full. `call_bytes` is what calls that still want their answer
    had to queue: the link adds a call's size after `write_call`, and takes it off when it has ended.
    """

    __slots__ = (
        "_batch",
        "_channel",
        "_look",
        "_loop",
        "_lost",
        "_outbox",
        "_patience",
        "_peer",
        "_queued_bytes",
        "_rest",
        "_room_waiters",
        "_send",
        "_timer",
        "call_bytes",
        "is_corked",
        "is_waiting",
        "sent_bytes",
    )

    def __init__(
        self,
        channel: Channel,
        loop: asyncio.AbstractEventLoop,
        lost: Callable[[Exception | None], None],
        peer: str = "plugin",
    ) -> None:
        self._peer = peer
        self._channel = channel
        self._send = channel.send
        self._loop = loop
        self._lost = lost
        self._outbox = Outbox()
        self._batch: list[bytes] = []
        self.is_corked = False
        self.is_waiting = False
        self.call_bytes = 0
        self.sent_bytes = 0  # all that the channel took
        self._queued_bytes = 0
        self._rest: list[bytes | memoryview] = []  # what is left of the piece in writing
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None  # at a peer that is full
        self._patience = Patience()
        self._room_waiters: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"<Writer waiting={self.is_waiting} {self._outbox!r}>"

    def write_call(self, data: bytes) -> None:
        """Write a request. What its callers wait for is not held against the peer's queue."""
        if self.is_corked and len(data) <= FRAME_BYTES:
            batch = self._batch
            batch.append(data)
            if len(batch) >= _BATCH:
                self._write_batch()
        else:
            self.write_now(data)

    @property
    def excess(self) -> int:
        """The bytes that wait besides those of open calls, which their callers wait for.

        Calls that were given up count as well: else who keeps calling a stuck peer has no bound.
        """
        return self._queued_bytes - self.call_bytes

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing is to be begun of which more would come."""
        return self.is_waiting and self.excess > CONTROL_QUEUE_BYTES

    @property
    def is_overfull(self) -> bool:
        """Whether so much waits that nothing large may be added."""
        return self.is_full and self.excess > self._patience.most(self.sent_bytes)

    def write(self, data: bytes, *, after_bulk: bool = False) -> None:
        """Write any other message; a peer that takes nothing of too much of it is lost.

        `after_bulk` keeps it behind the large messages that wait already.
        """
        if self.is_corked:
            self._write_batch()
        self.write_now(data, is_bulk=after_bulk or None)
        self.check()

    def write_frame(self, stream: int, data: bytes, *, urgent: bool) -> None:
        """Write a frame of a stream; in its turn among the others, or, urgent, before them."""
        if self.is_corked:
            self._write_batch()
        self.write_now(data, is_bulk=not urgent, key=stream)

    def room(self) -> asyncio.Future[None] | None:
        """What to wait for before another frame is written; None when there is room for it."""
        if not self.is_waiting or self.excess < _ROOM_BYTES:
            return None
        future = self._loop.create_future()
        self._room_waiters.append(future)
        return future

    def check(self) -> None:
        """Begin to look whether the peer takes anything, when too much waits for it."""
        if self.is_full:
            if self._look is None:
                self._patience.begin(self.sent_bytes, self._channel.untaken())
                self._look = self._loop.call_later(LOOK_S, self._keep_looking)
            elif self.excess > 2 * self._patience.most(self.sent_bytes):  # of what is never refused
                self._give_up("asks on and reads too slowly, or not")

    def _give_up(self, why: str) -> None:
        text = f"the {self._peer} {why}, and {self.excess} bytes wait for it besides its open calls"
        self._lost(RemoteProtocolError(text))

    def _keep_looking(self) -> None:
        """Look, and go on while it is full."""
        self._look = None
        if not self.is_full:
            return
        if self._patience.look(self.sent_bytes, self._channel.untaken()):
            self._give_up(f"does not read: it has taken nothing for {PATIENCE_S:g} s")
        else:
            self._look = self._loop.call_later(LOOK_S, self._keep_looking)

    def uncork(self) -> None:
        """Write the calls that were gathered since `is_corked` was set in this iteration of the loop."""
        self.is_corked = False
        if self._batch:
            self._write_batch()

    def close(self) -> None:
        """Forget what waits and stop writing."""
        if self.is_waiting and self._channel.write_fd >= 0:
            self._loop.remove_writer(self._channel.write_fd)
        for timer in (self._timer, self._look):
            if timer is not None:
                timer.cancel()
        self.is_waiting = False
        self.is_corked = False
        self._queued_bytes = 0
        self._batch.clear()
        self._rest.clear()
        self._outbox.clear()
        self._wake_waiters()

    def _wake_waiters(self) -> None:
        waiters, self._room_waiters = self._room_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _write_batch(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            self.write_now(b"".join(batch), is_bulk=False)

    def write_now(self, data: bytes, *, is_bulk: bool | None = None, key: Hashable = "message") -> None:
        """Write past what is corked, or queue in the lane that is named, or that the size chooses."""
        if not self.is_waiting:
            try:
                sent = self._send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self._expect_end()
                return
            self.sent_bytes += sent
            if sent == len(data):
                return
            if sent:
                self._rest.append(memoryview(data)[sent:])
                self._wait()
                return
            self._wait()
        self._queued_bytes += len(data)
        if len(data) > FRAME_BYTES if is_bulk is None else is_bulk:
            self._outbox.put_bulk(key, (data,))
        else:
            self._outbox.put(data)

    def _expect_end(self) -> None:
        """Nobody will read this. A peer that is gone says why by its end of file, which is on the way."""
        if self._timer is None and self._channel.write_fd >= 0:
            error = RemoteProtocolError(f"the {self._peer} closed the end that it reads from")
            self._timer = self._loop.call_later(_END_FOLLOWS_S, self._lost, error)

    def _wait(self) -> None:
        self.is_waiting = True
        self._loop.add_writer(self._channel.write_fd, self._write_more)

    def _write_more(self) -> None:
        for _ in range(_SENDS_AT_ONCE):
            if not self._rest:
                piece = self._outbox.take()
                if piece is None:
                    self.is_waiting = False
                    self._loop.remove_writer(self._channel.write_fd)
                    self._wake_waiters()
                    return
                self._queued_bytes -= sum(map(len, piece))
                if self._room_waiters and self.excess < _ROOM_BYTES:
                    self._wake_waiters()
                self._rest = list(piece)
            try:
                sent = self._channel.send(self._rest[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.close()
                self._expect_end()
                return
            self.sent_bytes += sent
            if sent == len(self._rest[0]):
                self._rest.pop(0)
            else:
                self._rest[0] = memoryview(self._rest[0])[sent:]
