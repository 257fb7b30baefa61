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

import math
import select
import threading
import time
from _thread import get_ident
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, cast

from plugin_host_sdk.errors import CallTimeout, LocalProtocolError, PluginHostError
from plugin_host_sdk.events import (
    Closed,
    ErrorReceived,
    Failed,
    ProgressReceived,
    RequestReceived,
    ResponseReceived,
)
from plugin_host_sdk.protocol import PENDING_REQUESTS, READY

from .bell import Bell
from .exclusion import exclusive
from .link import DRAINED_READS, MANY_EVENTS, SMALL_READ_BYTES, Link
from .readroom import READ_BYTES, own_room
from .sharedstream import SharedStreams
from .sharedwriter import SharedWriter
from .signalhold import NO_HOLD, SignalHold
from .standby import Standby, standby
from .unsent import refusal, too_many
from .waiter import Waiter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from plugin_host_sdk.connection import Connection
    from plugin_host_sdk.events import Event

    from .channel import Channel
    from .link import LinkOwner, Progress

__all__ = ["LinkGone", "SharedLink"]

# With more events than this for the loop it has to read itself, so that a flood fills no memory.
_MOST_PASSED = 256


class LinkGone(Exception):
    """The link was given up before the call was sent: ask for the plugin's link anew."""


class SharedLink(Link):
    """See `Link`, which it is on its loop. Other threads use `ask` and nothing else."""

    def __init__(self, channel: Channel, connection: Connection, owner: LinkOwner) -> None:
        self.mutex = threading.RLock()
        self._thread = get_ident()
        self._main = threading.main_thread().ident
        self._signals = SignalHold()
        self._leader: Waiter | None = None
        self._sleepers: dict[Waiter, None] = {}  # who waits for its answer or the lead, the first first
        self._is_barred = False  # no thread may lead: it is over, or the loop has too much to do
        self._has_ended = False  # nothing more comes
        self._is_stopped = False  # nothing is watched any more
        self._hands: Waiter | None = None  # whose thread is changing the state
        self._passed: deque[Event] = deque()
        self._is_told = False  # the loop knows that there is something for it
        self._why: Callable[[], Exception] | None = None
        self._standby: Standby | None = None
        self._bell = Bell()
        self._make_room = own_room  # threads read while those of other links do
        self._poll = select.poll()
        self._poll.register(channel.read_fd, select.POLLIN)
        self._poll.register(self._bell.fd, select.POLLIN)
        self._readable = [(channel.read_fd, select.POLLIN)]
        try:
            super().__init__(channel, connection, owner)
        except BaseException:
            self._bell.close()
            raise

    def _make_writer(self) -> SharedWriter:
        return SharedWriter(self._channel, self._loop, self._lose, self.mutex)

    def _make_streams(self) -> SharedStreams:
        return SharedStreams(self.connection, self._writer, self.mutex)

    # Asking from any thread.

    def ask(
        self,
        method: str,
        params: Any,
        meta: dict[str, Any] | None = None,
        deadline: float | None = None,
        on_progress: Progress | None = None,
        name: str | None = None,
    ) -> Any:
        """Send a request and wait for its result, with the arguments of `request`.

        `deadline` is a time of `time.monotonic`; `on_progress` is called on the calling thread. Raises
        LinkGone, what `request` raises, CallTimeout, and what the call ends with.
        """
        thread = get_ident()
        if thread == self._thread:
            raise PluginHostError("the thread of a host's own loop cannot wait for an answer to come there")
        waiter = Waiter(thread, on_progress)
        signals = self._signals if thread == self._main else NO_HOLD
        try:
            signals.begin()
            with self.mutex:
                self._post(waiter, method, params, meta, name)
            while not waiter.is_done or waiter.reports:
                if waiter.reports:
                    self._report(waiter, signals)
                elif self._leader is waiter:
                    self._lead(waiter, deadline, signals)
                else:
                    self._follow(waiter, deadline, signals)
            if self._leader is waiter:  # its answer came by another way
                with self.mutex:
                    self._hand_on(waiter)
        except BaseException as error:
            self._leave(waiter, error)
            raise
        finally:
            signals.end()
        if waiter.error is not None:
            raise waiter.error
        return waiter.result

    def _post(
        self, waiter: Waiter, method: str, params: Any, meta: dict[str, Any] | None, name: str | None
    ) -> None:
        """Send it, and find out who reads the answer; with the mutex held."""
        leader = self._leader
        if self._hands is not None or (leader is not None and leader.thread == waiter.thread):
            raise PluginHostError("the call was made in the middle of another one of the same thread")
        if self._is_over:
            if self._why is not None:
                raise LinkGone
            waiter.msgid = self._hold(cast("asyncio.Future[Any]", waiter))
            self._lie_down(waiter)
            return
        connection = self.connection
        if connection.state is not READY:
            raise LinkGone
        if len(connection.pending) + len(connection.abandoned) >= PENDING_REQUESTS:
            raise too_many(self._peer)
        self._hands = waiter
        try:
            msgid, data = connection.send_request(method, params, meta)
        except LocalProtocolError as error:
            self._hands = None
            raise refusal(error) from None
        futures: dict[int, Any] = self._futures
        futures[msgid] = waiter
        waiter.msgid = msgid
        if name is not None:
            connection.pending[msgid] = name
        if leader is None and not self._is_barred:
            self._leader = waiter  # before it is sent, or the answer might wake the loop
            self._standby.disarm()  # type: ignore[union-attr]
        else:
            self._lie_down(waiter)
        writer = self._writer
        writer.write_call(data)
        if writer.is_waiting:
            self._note_queued(msgid, len(data))
        self._hands = None

    def _lead(self, waiter: Waiter, deadline: float | None, signals: SignalHold) -> None:
        """Wait for what comes, once, and deal it out. Raises CallTimeout."""
        patience = None if deadline is None else max(0, math.ceil((deadline - time.monotonic()) * 1000))
        try:
            signals.is_open = True
            if signals.kept is not None:
                signals.deliver()
            ready = self._poll.poll(patience)
        finally:
            signals.is_open = False
        with self.mutex:
            if ready == self._readable:
                self._take_in(waiter)
            elif ready:
                self._take_in_with_bell(waiter, [fd for fd, _ in ready])
            if waiter.is_done:
                if self._sleepers or self._is_barred:
                    self._hand_on(waiter)
                else:
                    self._leader = None
                    self._standby.arm()  # type: ignore[union-attr]
            elif deadline is not None and deadline <= time.monotonic():
                raise CallTimeout("no answer within the call's deadline", name="command.timeout")
            elif self._is_barred and self._leader is waiter:
                self._lie_down(waiter)
                self._hand_on(waiter)

    def _follow(self, waiter: Waiter, deadline: float | None, signals: SignalHold) -> None:
        """Wait for one's answer, or for the lead. Raises CallTimeout."""
        patience = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            signals.is_open = True
            if signals.kept is not None:
                signals.deliver()
            waiter.sleep(patience)
        finally:
            signals.is_open = False
        with self.mutex:
            waiter.get_up()
            if waiter.is_done or self._leader is waiter:
                return
            if deadline is not None and deadline <= time.monotonic():
                raise CallTimeout("no answer within the call's deadline", name="command.timeout")
            if not waiter.reports:
                waiter.lie_down()

    def _report(self, waiter: Waiter, signals: SignalHold) -> None:
        """Tell the caller how far its call is; somebody else leads meanwhile."""
        with self.mutex:
            self._sleepers.pop(waiter, None)
            if self._leader is waiter:
                self._hand_on(waiter)
        signals.end()
        try:
            waiter.tell(self._loop)
        finally:
            signals.begin()
        with self.mutex:
            if not waiter.is_done:
                self._take_place(waiter)

    def _leave(self, waiter: Waiter, error: BaseException) -> None:
        """The thread goes without its answer."""
        with self.mutex:
            if self._hands is waiter:
                self._let_go(error)
            self._sleepers.pop(waiter, None)
            if waiter.msgid is not None and not waiter.is_done:
                Link.abandon(self, waiter.msgid)
            if self._leader is waiter:
                self._hand_on(waiter)

    def _let_go(self, error: BaseException) -> None:
        """An exception that is not ours has torn what was in hand: nobody knows any more how it stands."""
        self._hands = None
        self._is_over = self._is_barred = True
        how = f"{type(error).__name__} was raised in the middle of a message, by a signal handler perhaps"
        self._loop.call_soon_threadsafe(self._end, LocalProtocolError(how))

    # Who leads; with the mutex held.

    def _take_place(self, waiter: Waiter) -> None:
        """At the head if there is nobody, else in the row."""
        if self._leader is None and not self._is_barred:
            self._leader = waiter
            self._standby.disarm()  # type: ignore[union-attr]
        else:
            self._lie_down(waiter)

    def _lie_down(self, waiter: Waiter) -> None:
        """It leads no longer, or not yet."""
        self._sleepers[waiter] = None
        waiter.lie_down()

    def _hand_on(self, leader: Waiter) -> None:
        """The leader goes: of the others the thread that waits longest leads, or the loop."""
        self._leader = None
        if self._is_over:
            self._bell.close()
            return
        if not self._is_barred:
            for waiter in self._sleepers:
                if waiter is not leader:
                    del self._sleepers[waiter]
                    self._leader = waiter
                    waiter.wake()
                    return
        if self._standby is not None:
            self._standby.arm()

    # Reading; with the mutex held.

    def _take_in(self, waiter: Waiter) -> None:
        """Read what is there and deal it out."""
        if self._is_over or self._is_barred:
            return
        self._hands = waiter
        try:
            size = self._recv_into(self._view)
            self.has_heard = True
            events = self._receive(self._view[:size])
            event: Any = events[0] if len(events) == 1 else None
            if type(event) is ResponseReceived and event.msgid == waiter.msgid and not self._queued:
                # As by far the most are: what `_deliver` does, at half of its price.
                del self._futures[event.msgid]
                waiter.result = event.result
                waiter.is_done = True
            else:
                self._deal(events)
            while size == READ_BYTES and not self._is_over and not self._is_barred:
                size = self._recv_into(self._view)
                self._deal(self._receive(self._view[:size]))
        except (BlockingIOError, InterruptedError):
            pass
        except ConnectionResetError:
            self._deal(self._receive(b""))
        except OSError as error:
            self._lose(error)
        self._hands = None
        if self._passed and not self._is_told:
            self._is_told = True
            self._loop.call_soon_threadsafe(self._handle_passed)

    def _take_in_with_bell(self, waiter: Waiter, fds: list[int]) -> None:
        """There is more to be heard than bytes: the bell, or the end."""
        if self._bell.fd in fds:
            self._bell.quiet()
        if self._readable[0][0] in fds:
            self._take_in(waiter)

    def _deal(self, events: list[Event]) -> None:
        """Give threads their answers, and put aside for the loop what is the loop's."""
        futures: dict[int, Any] = self._futures
        event: Any
        for event in events:
            kind = type(event)
            if kind is ResponseReceived or kind is ErrorReceived or kind is ProgressReceived:
                waiter = futures.get(event.msgid)
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
            events = self._receive(self._view[:size])
            self._deal(events)
        self._handle_passed()
        is_much = len(events) > MANY_EVENTS or size == SMALL_READ_BYTES
        is_flood = is_much and type(events[-1]) is not ResponseReceived if events else False
        self._room = self._small_view if is_flood else self._view
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
    corked = exclusive(Link.corked)
    abandon = exclusive(Link.abandon)
    answer = exclusive(Link.answer)
    refuse = exclusive(Link.refuse)
    calls = exclusive(Link.calls)
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
        self._why = make_error
        self._sleepers.clear()
        super().fail_calls(make_error)

    @exclusive
    def close(self) -> None:
        if not self._is_stopped:
            self._stop_io()
        self.initialized.cancel()
