"""Watches over the health of all plugins of a host: one timer, and a question where there is silence.

Drives a `HealthMonitor` for each link. All of one interval are looked at in one turn of the loop, so a
host whose plugins are idle wakes once in an interval, however many there are, and an idle plugin once in
several of them. Used from its loop's thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.errors import CallError

from .health import TOLD, HealthMonitor
from .vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import Callable

    from .health import Condition, HealthVerdict
    from .link import Link
    from .manifest import Health

__all__ = ["Vigil", "Watch"]

# Questions of one turn of the loop; some 20 µs each.
_AT_ONCE = 64


class Watch:
    """One plugin under watch, until it is closed or its link is over."""

    def __init__(
        self,
        vigil: Vigil,
        link: Link,
        policy: Health,
        on_unresponsive: Callable[[HealthVerdict], None],
        on_recovered: Callable[[], None],
        on_miss: Callable[[], None] | None = None,
    ) -> None:
        self._vigil = vigil
        self._loop = vigil.loop
        self._link = link
        self._question = "vitals" if "vitals" in link.features else "ping"
        self._on_unresponsive = on_unresponsive
        self._on_recovered = on_recovered
        self._on_miss = on_miss
        self._missed = 0  # of those that were told
        self._monitor = HealthMonitor(policy, self._loop.time())
        self._msgid: int | None = None
        self._oldest: int | None = None  # of the calls, at the last look
        self._sent = -1  # how much had been sent to it by then

    @property
    def due(self) -> float:
        """The time of the loop at which there is something to do."""
        return self._monitor.due

    @property
    def condition(self) -> Condition:
        """How the plugin is."""
        return self._monitor.condition

    @property
    def vitals(self) -> Vitals | None:
        """What the plugin last said of itself; None until it was asked, and of one that cannot say."""
        return self._monitor.vitals

    @property
    def is_asking(self) -> bool:
        """Whether an answer is waited for; that question is one of the link's calls in flight."""
        return self._msgid is not None

    def close(self) -> None:
        """Watch no more; nothing is told any more. A second call does nothing."""
        self._vigil.forget(self)
        msgid = self._take_question()
        if msgid is not None and not self._link.is_over:
            self._link.abandon(msgid)

    def wake(self, now: float) -> None:
        """The time has come; called by the vigil."""
        monitor, link = self._monitor, self._link
        if link.is_over:
            self.close()
        elif monitor.is_asking:
            self._tell(monitor.expire(now), now)
        else:
            heard, oldest = link.has_heard, link.oldest_call
            used = oldest is not None or link.sent_bytes != self._sent
            # That callers give up is no sign of life: what they called may hold a worker for good.
            has_given_up = used and bool(link.connection.abandoned)
            stuck = has_given_up or (oldest is not None and oldest == self._oldest)
            link.has_heard, self._oldest, self._sent = False, oldest, link.sent_bytes
            if monitor.look(now, heard=heard, stuck=stuck, used=used):
                self._ask(now)

    def _ask(self, now: float) -> None:
        try:
            self._msgid, future = self._link.request(self._question, {}, name="")
        except CallError:
            return  # as many calls wait for an answer as may: it has its hands full, and is asked later
        self._vigil.asking += 1
        self._monitor.asked(now)
        future.add_done_callback(self._answered)

    def _take_question(self) -> int | None:
        """The id of the question that was open, which now is not."""
        msgid, self._msgid = self._msgid, None
        if msgid is not None:
            self._vigil.asking -= 1
        return msgid

    def _answered(self, future: asyncio.Future[Any]) -> None:
        is_refused = future.cancelled() or future.exception() is not None
        if self._take_question() is None:
            return  # closed
        if self._link.is_over or future.cancelled():
            self.close()
            return
        # But for the question and its answer there was silence.
        self._link.has_heard, self._sent = False, self._link.sent_bytes
        # Also a refusal is a sign of life.
        vitals = None if is_refused else Vitals.from_wire(future.result())
        now = self._loop.time()
        self._tell(self._monitor.answered(now, vitals), now)
        self._vigil.settle()

    def _tell(self, news: Condition | None, now: float) -> None:
        try:
            if self._monitor.missed > self._missed and self._on_miss is not None:
                self._missed = self._monitor.missed
                self._on_miss()
            if news in TOLD:
                self._on_unresponsive(self._monitor.verdict(now))
            elif news is not None:
                self._on_recovered()
        except Exception as error:  # it is not ours, and the other plugins are still to be watched
            self._loop.call_exception_handler(
                {"message": "who is told of a plugin's health raised", "exception": error}
            )


class Vigil:
    """All watches of one host."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.asking = 0  # questions that are open
        self._watches: dict[Watch, None] = {}
        self._timer: asyncio.Handle | None = None  # not every loop has a time at its handles
        self._when = 0.0

    def watch(
        self,
        link: Link,
        policy: Health,
        *,
        on_unresponsive: Callable[[HealthVerdict], None],
        on_recovered: Callable[[], None],
        on_miss: Callable[[], None] | None = None,
    ) -> Watch:
        """Watch a plugin that is ready from now on.

        A raw peer is never asked anything: the watch of one does nothing. The callbacks are called on the
        loop and must not block; `on_unresponsive` when it is that or stalled, and when it goes from one to
        the other, until `on_recovered`; `on_miss` each time that a sign of life does not come.
        """
        watch = Watch(self, link, policy, on_unresponsive, on_recovered, on_miss)
        if not link.connection.raw:
            self._watches[watch] = None
            if self._timer is None or watch.due < self._when:
                self._set_timer()
        return watch

    def close(self) -> None:
        """Close every watch."""
        for watch in list(self._watches):
            watch.close()

    def forget(self, watch: Watch) -> None:
        """Called by a watch that is closed."""
        self._watches.pop(watch, None)
        if not self._watches:
            self._set_timer()

    def settle(self) -> None:
        """An answer came. With the last of them the timer, set for their lack, goes back to the looks."""
        if not self.asking:
            self._set_timer()

    def _set_timer(self) -> None:
        """Set the timer for what is due first."""
        when = min((watch.due for watch in self._watches), default=None)
        if self._timer is not None:
            if self._when == when:
                return
            self._timer.cancel()
            self._timer = None
        if when is not None:
            self._timer, self._when = self.loop.call_at(when, self._fire), when

    def _fire(self) -> None:
        assert self._timer is not None
        # The loop may come a moment early, and then would find nothing due.
        now = max(self.loop.time(), self._when)
        self._timer = None
        due = [watch for watch in self._watches if watch.due <= now]
        asking = self.asking
        for watch in due:
            if self.asking - asking >= _AT_ONCE:
                break
            if watch in self._watches:
                watch.wake(now)
        self._set_timer()
