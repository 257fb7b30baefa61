"""A link that any thread may ask, without a detour by the loop: whoever asks reads its own answer.

One thread at a time reads: the *leader*. A thread that asks while nobody leads takes the lead, waits for
what comes without the mutex, and deals it out under it: to every thread its answer, to the loop all that
is the loop's, in order; `ping` is answered on the spot. With its own answer it goes and hands the lead on,
to the thread that waits longest or back to the loop, which leads at rest. So a call changes no thread, and
streams, logs, services and exits are served whoever leads.

Invariants: all of the connection's state is touched with the mutex held; bytes are taken from the channel
and understood under one hold of it, so their order is that of the wire; what the owner is told it is told
on the loop, and but for the end without the mutex; a thread that leaves, however it does, leaves no lead
behind; the loop sleeps while a thread leads, unless there is something for it.
"""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any, ClassVar

from plugin_host_sdk.events import (
    Closed,
    ErrorReceived,
    Failed,
    ProgressReceived,
    RequestReceived,
    ResponseReceived,
)

from .askedlink import AskedLink
from .asker import Asker
from .exclusion import exclusive
from .link import DRAINED_READS, Link
from .readroom import is_flood
from .sharedstream import SharedStreams
from .sharedwriter import SharedWriter
from .standby import standby
from .waiter import Waiter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from plugin_host_sdk.events import Event


__all__ = ["SharedLink"]

# With more events than this for the loop it has to read itself, so that a flood fills no memory.
_MOST_PASSED = 256


class SharedLink(AskedLink):
    """See `Link`, which it is on its loop. Other threads use `ask` and nothing else."""

    def _make_writer(self, loop: asyncio.AbstractEventLoop, peer: str) -> SharedWriter:
        return SharedWriter(self._channel, loop, self._lose, self.mutex)

    def _make_streams(self) -> SharedStreams:
        return SharedStreams(self.connection, self._writer, self.mutex)

    # Reading; with the mutex held.

    def _deal(self, events: list[Event]) -> None:
        """Give threads their answers, and put aside for the loop what is the loop's."""
        event: Any
        for event in events:
            kind = type(event)
            if kind is ResponseReceived or kind is ErrorReceived or kind is ProgressReceived:
                waiter = self._futures.get(event.msgid)
                if type(waiter) is Waiter:
                    self._deal_to(waiter, event)
                    continue
            elif kind is RequestReceived:
                if event.method == "ping" and not self.connection.raw:
                    self._handle_request(event)
                    continue
            elif kind is Closed or kind is Failed:
                self._has_ended = self._is_barred = True
            self._passed.append(event)
        if len(self._passed) > _MOST_PASSED:
            self._is_barred = True

    def _deal_to(self, waiter: Waiter, event: Event) -> None:
        if type(event) is ProgressReceived:
            waiter.report(event.done, event.total, event.message)
            return
        self._sleepers.pop(waiter, None)
        if type(event) is ResponseReceived:
            Link._deliver(self, event)
        elif type(event) is ErrorReceived:
            Link._deliver_error(self, event)

    # On the loop.

    def _listen(self) -> None:
        self._standby = standby(self._loop, self._channel.read_fd, self._read)
        self._ease()

    @exclusive
    def _stop_listening(self) -> None:
        if self._standby is not None:
            self._standby.close()
            self._standby = None
        self._is_barred = True

    @exclusive
    def _ease(self) -> None:
        """Threads may lead, unless something is against it."""
        if not self._has_ended and not self._is_over and self._standby is not None:
            self._is_barred = False

    def _read(self, again: int = 0) -> None:
        begun = self._loop.time()
        with self.mutex:
            if self._leader is not None and self._standby is not None:
                self._standby.hush()
                return
            try:
                size = self._recv_into(self._room)
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionResetError:
                size = 0
            except OSError as error:
                self._lose(error)
                return
            self.has_heard = True
            self.received_bytes += size
            events = self._receive(self._view[:size])
            self._deal(events)
        self._handle_passed()
        self._room = self._small_view if is_flood(events, size) else self._view
        if self._is_to_rest:
            self._take_rest(self._loop.time() - begun)

    def drain(self) -> None:
        with self.mutex:
            for _ in range(DRAINED_READS):
                if self._is_over or self._has_ended:
                    break
                try:
                    size = self._recv_into(self._view)
                except ConnectionResetError:
                    size = 0
                except OSError:
                    break
                self.received_bytes += size
                self._deal(self._receive(self._view[:size]))
            if self._leader is not None and not self._is_over:
                self._bell.ring()  # its answer may have come this way
        self._handle_passed()

    def _handle_passed(self) -> None:
        """Act on what was put aside for the loop."""
        self._is_told = False
        while self._passed:
            self._handle(self._passed.popleft())
        self._ease()

    @exclusive
    def _deliver_late(self, event: ResponseReceived | ErrorReceived) -> None:
        """An answer for the loop, unless it was given up since it was read."""
        if event.msgid in self._futures:
            if type(event) is ResponseReceived:
                Link._deliver(self, event)
            elif type(event) is ErrorReceived:
                Link._deliver_error(self, event)

    _handlers: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        **Link._handlers,
        ResponseReceived: _deliver_late,
        ErrorReceived: _deliver_late,
    }

    initialize = exclusive(Link.initialize)
    request = exclusive(Link.request)
    call = exclusive(Asker.call)  # threads may wait for what is there, too
    corked = exclusive(Link.corked)
    abandon = exclusive(Link.abandon)
    answer = exclusive(Link.answer)
    refuse = exclusive(Link.refuse)
    calls = exclusive(Link.calls)
    room = exclusive(Link.room)
    _break = exclusive(Link._break)

    @property
    def oldest_call(self) -> int | None:
        with self.mutex:
            return next(iter(self._futures), None)

    # Ending.

    @exclusive
    def _lose(self, error: Exception | None) -> None:
        """From any thread."""
        if get_ident() == self._thread:
            super()._lose(error)
        else:
            self._has_ended = self._is_barred = True
            self._loop.call_soon_threadsafe(self._lose, error)

    def _end(self, error: Exception) -> None:
        """After `_let_go`."""
        if not self._is_stopped:
            self._stop_io()
            self._owner.ended(error)

    @exclusive
    def _stop_io(self) -> None:
        self._is_stopped = True
        super()._stop_io()
        if self._leader is not None:
            self._bell.ring()
        else:
            self._bell.close()

    @exclusive
    def fail_calls(self, make_error: Callable[[], Exception]) -> None:
        self._sleepers.clear()
        super().fail_calls(make_error)

    @exclusive
    def close(self) -> None:
        if not self._is_stopped:
            self._stop_io()
        self.initialized.cancel()
