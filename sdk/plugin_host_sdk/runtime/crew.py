"""The threads of a plugin: one leads, the others work, and any of them may do either.

The leader reads the wire and runs endpoints that have proved quick; all other work waits in a queue for
the workers, which are started on demand and then kept. There is one lead. It changes hands when the
leader has to wait, or when the watchdog finds it in the same run on two ticks; whoever holds the mutex
may look at `leader` and trust it.

Why not a queue for everything: handing a call to another thread costs as much as the call. Why not the
reading thread for everything: one slow handler would hide a live plugin.
"""

from __future__ import annotations

import threading
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Crew", "Worker"]

_TICK = 0.010  # seconds; a run that lasts over two ticks loses the lead


class Worker:
    """One thread of the crew; `wake` is released to rouse it."""

    __slots__ = ("thread", "wake")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.wake = threading.Lock()
        self.wake.acquire()


class Crew:
    """Threads around one `mutex`. `lead(worker)` is called on the thread that got the lead.

    `lost()` is called with the mutex held when a leader loses it to whoever is free.

    A leader that runs author code between two reads has a turn, which it begins without the mutex: it
    counts it in `turn`, sets `acting` to itself, and then calls `unpark` if the crew `is_parked`. Before it
    reads again it looks, with the mutex, whether it is still the `leader`, and clears `acting` if so.
    """

    def __init__(
        self,
        mutex: threading.RLock,
        lead: Callable[[Worker], None],
        workers: int,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.leader: Worker | None = None
        self._mutex = mutex
        self._lead = lead
        self._lost = lost
        self._most = workers + 1  # the leader is one more
        self._threads = 0
        self._jobs: deque[Callable[[], None]] = deque()
        self._idle: list[Worker] = []
        self._closed = False
        self.turn = 0  # counts them
        self.acting: Worker | None = None
        self.is_parked = True
        self._watchdog: threading.Thread | None = None
        self._bark = threading.Lock()
        self._bark.acquire()

    def start(self) -> None:
        """Start the first leader. Raises RuntimeError when there is no thread to be had."""
        self._start_thread()  # without the mutex, for which it would have to wait

    def close(self) -> None:
        """Let idle threads end; the others end with their work."""
        with self._mutex:
            self._closed = True
            self._jobs.clear()
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.wake.release()
        self.unpark()

    def submit(self, job: Callable[[], None], *, extra: bool = False) -> None:
        """Run `job` on a worker. An `extra` one goes first, on one more thread if all are busy.

        Raises RuntimeError when there is no worker beside the leader and the system gives none.
        """
        with self._mutex:
            if extra:
                self._jobs.appendleft(job)
            else:
                self._jobs.append(job)
            self._rouse(spare=extra)
            if self._threads == 1:  # it leads, and nobody comes by who would see what waits
                self._jobs.remove(job)
                raise RuntimeError("can't start new thread")

    def give_lead(self, worker: Worker) -> bool:
        """The leader is about to wait: somebody else reads from now on. False when it did not lead."""
        with self._mutex:
            if self.leader is not worker:
                return False
            self._pass_lead()
            return True

    def _rouse(self, spare: bool) -> None:
        """One more thread for what waits; with the mutex held."""
        if self._idle:
            self._idle.pop().wake.release()
        elif self._threads < self._most or spare:
            try:
                self._start_thread()
            except RuntimeError:  # the system gives no more: whoever is done first sees what waits
                if not self._threads:
                    raise

    def _start_thread(self) -> None:
        self._threads += 1
        try:
            threading.Thread(target=self._live, name=f"worker-{self._threads}", daemon=True).start()
        except RuntimeError:
            self._threads -= 1
            raise

    def _pass_lead(self) -> None:
        self.leader = self.acting = None
        self._lost()
        self._rouse(spare=True)

    def _live(self) -> None:
        me = Worker()
        while True:
            job: Callable[[], None] | None = None
            got_lead = False
            with self._mutex:
                if self._closed:
                    return
                if self.leader is None:
                    self.leader = me
                    got_lead = True
                elif self._jobs:
                    job = self._jobs.popleft()
                elif len(self._idle) >= self._most:
                    self._threads -= 1  # one more than the usual number was needed for a while
                    return
                else:
                    self._idle.append(me)
            if job is not None:
                job()
            elif got_lead:
                # Who still leads when this returns has read to the end: then nobody leads again.
                self._lead(me)
            else:
                me.wake.acquire()

    # The watchdog runs only while leaders act; idle plugins have no timer.

    def unpark(self) -> None:
        """A turn has begun: keep an eye on it."""
        with self._mutex:
            if not self.is_parked:
                return
            self.is_parked = False
            if self._watchdog is None:
                if self._closed:
                    return
                watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                try:
                    watchdog.start()
                except RuntimeError:  # asked for again at the next turn
                    self.is_parked = True
                else:
                    self._watchdog = watchdog
            else:
                self._bark.release()

    def _watch(self) -> None:
        seen = stuck = -1
        while not self._closed:
            self._bark.acquire(timeout=-1 if self.is_parked else _TICK)
            with self._mutex:
                if self.acting is not self.leader:
                    self.acting = None  # left by one who has just lost the lead
                if self.acting is not None:
                    if self.turn == stuck:
                        self._pass_lead()
                    stuck = self.turn
                elif self.turn == seen:
                    self.is_parked = True
                    # A leader sets `acting` and then looks at `is_parked`, so one of us sees the other.
                    self.is_parked = self._who_acts() is None
                seen = self.turn

    def _who_acts(self) -> Worker | None:
        return self.acting
