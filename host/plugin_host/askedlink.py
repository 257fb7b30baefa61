"""The side of a shared link that asks: any thread, which waits for its answer and reads meanwhile.

See `sharedlink` for who leads. Invariants: what this thread does to the link it does with the mutex held,
and it waits without it; a thread that leaves, however it does, leaves no lead behind.
"""

from __future__ import annotations

import math
import select
import threading
import time
from _thread import get_ident
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.alone import NO_ANSWER, take_answer
from plugin_host_sdk.errors import CallTimeout, LocalProtocolError, PluginHostError
from plugin_host_sdk.protocol import PENDING_REQUESTS, READY

from .bell import Bell
from .link import Link
from .readroom import READ_BYTES, own_room
from .signalhold import NO_HOLD, SignalHold
from .unsent import refusal, too_many
from .waiter import Waiter

if TYPE_CHECKING:
    from plugin_host_sdk.connection import Connection
    from plugin_host_sdk.events import Event

    from .asker import Progress
    from .channel import Channel
    from .linkowner import LinkOwner
    from .standby import Standby

__all__ = ["AskedLink", "LinkGone"]


class LinkGone(Exception):
    """The link was given up before the call was sent: ask for the plugin's link anew."""


class AskedLink(Link, ABC):
    """See `SharedLink`. Threads use `ask`."""

    mutex: threading.RLock
    gathers = False  # most of its calls are made by threads, one at a time

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

    # For those who read; see `SharedLink`.

    @abstractmethod
    def _deal(self, events: list[Event]) -> None:
        """Give threads their answers, and put aside for the loop what is the loop's."""

    @abstractmethod
    def _handle_passed(self) -> None:
        """Act on what was put aside for the loop; there."""

    @abstractmethod
    def _end(self, error: Exception) -> None:
        """The link is torn; on the loop."""

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
        signals = self.signals()
        try:
            signals.begin()
            return self.ask_held(signals, method, params, meta, deadline, on_progress, name)
        finally:
            signals.end()

    def signals(self) -> SignalHold:
        """What keeps signals back from this thread."""
        return self._signals if get_ident() == self._main else NO_HOLD

    def ask_held(
        self,
        signals: SignalHold,
        method: str,
        params: Any,
        meta: dict[str, Any] | None,
        deadline: float | None,
        on_progress: Progress | None,
        name: str | None,
    ) -> Any:
        """The same for who keeps signals back before and after it; while it waits, they come through."""
        waiter = Waiter(get_ident(), on_progress)
        try:
            with self.mutex:
                self._post(waiter, method, params, meta, name)
            if self._leader is waiter:
                self._lead(waiter, deadline, signals)
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
        if waiter.error is not None:
            raise waiter.error
        return waiter.result

    def _post(
        self, waiter: Waiter, method: str, params: Any, meta: dict[str, Any] | None, name: str | None
    ) -> None:
        """Send it, and find out who reads the answer; with the mutex held."""
        leader, connection = self._leader, self.connection
        if waiter.thread == self._thread:
            raise PluginHostError("the thread of a host's own loop cannot wait for an answer to come there")
        if self._hands is not None or (leader is not None and leader.thread == waiter.thread):
            raise PluginHostError("the call was made in the middle of another one of the same thread")
        if self._is_over:
            if self._why is not None:
                raise LinkGone
            waiter.msgid = self._hold(waiter)
            self._lie_down(waiter)
            return
        if connection.state is not READY:
            raise LinkGone
        pending = connection.pending
        if len(pending) + len(connection.abandoned) >= PENDING_REQUESTS:
            raise too_many(self._peer)
        if self._writer.is_waiting:
            self._check_room(name)
        self._hands = waiter
        try:
            msgid, data = connection.send_request(method, params, meta)
        except LocalProtocolError as error:
            self._hands = None
            raise refusal(error) from None
        self._futures[msgid] = waiter
        waiter.msgid = msgid
        if name is not None:
            pending[msgid] = name
        if leader is None and not self._is_barred:
            self._leader = waiter  # before it is sent, or the answer might wake the loop
            assert self._standby is not None
            self._standby.disarm()
        else:
            self._lie_down(waiter)
        writer = self._writer
        writer.write_now(data)
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
                    assert self._standby is not None
                    self._standby.arm()
            elif deadline is not None and deadline <= time.monotonic():
                raise CallTimeout("no answer within the call's deadline", name="command.timeout")
            elif self._is_barred and self._leader is waiter:
                self._lie_down(waiter)
                self._hand_on(waiter)

    def _take_in(self, waiter: Waiter) -> None:
        """Read what is there and deal it out; with the mutex held."""
        if self._is_over or self._is_barred:
            return
        self._hands = waiter
        try:
            size = self._recv_into(self._view)
            self.has_heard = True
            self.received_bytes += size
            data = self._view[:size]
            msgid: Any = waiter.msgid
            result = NO_ANSWER if self._queued else take_answer(self.connection, data, msgid)
            if result is not NO_ANSWER:
                # As by far the most are: what `_deliver` does, at half of its price.
                del self._futures[msgid]
                waiter.result = result
                waiter.is_done = True
            else:
                self._deal(self._receive(data))
                while size == READ_BYTES and not self._is_over and not self._is_barred:
                    size = self._recv_into(self._view)
                    self.received_bytes += size
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
            assert self._standby is not None
            self._standby.disarm()
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
