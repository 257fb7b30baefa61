"""Ending a session that somebody closes: hang up, ask, kill; within a bound, and with all that it started.

A closing is driven by the reactor's timers, so that closing hundreds takes no thread. Invariant: after
`grace` and the time a kill takes nothing of the session is left that can be killed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host_sdk.later import Later

from .session import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from .clock import Clock
    from .processtable import ProcessTable
    from .reactor import Reactor
    from .session import Session

__all__ = ["GRACE_S", "Closing"]

GRACE_S = 2.0
# After SIGKILL only the kernel can be slow, or an author's function that does not return.
_KILL_S = 1.0
_FIRST_LOOK_S = 0.002
_LONGEST_LOOK_S = 0.05


class Closing:
    """One session on its way out. `done` is resolved when it is gone; `over(session)` is called before."""

    def __init__(
        self, session: Session, reactor: Reactor, clock: Clock, over: Callable[[Session], None]
    ) -> None:
        self.done = Later()
        self._session = session
        self._reactor = reactor
        self._clock = clock
        self._over = over
        self._began = clock.monotonic()
        self._grace = GRACE_S
        self._has_terminated = False
        self._killed_at: float | None = None  # seconds since it began: the kernel has its time from there
        self._pause = _FIRST_LOOK_S
        self._is_over = False
        self._is_hasty = False

    def begin(self, grace: float, table: ProcessTable | None = None) -> None:
        """Hang up now, ask after half of `grace`, kill after all of it.

        Looks at the machine's processes unless `table` is given, so it is not for the reading thread.
        """
        self._grace = min(self._grace, grace)
        body = self._session.body
        if body is not None:
            body.hang_up(table)
        self._reactor.call_soon(self._step)

    def hasten(self, grace: float) -> None:
        """The plugin stops: there are only `grace` seconds left, and the host looks after what stays."""
        self._is_hasty = True
        self._grace = min(self._grace, self._clock.monotonic() - self._began + grace)
        self._pause = _FIRST_LOOK_S
        self._reactor.call_soon(self._step)

    def _step(self) -> None:
        session, body = self._session, self._session.body
        if self._is_over:
            return
        if session.state == ENDED and (body is None or body.is_gone()):
            self._finish()
            return
        passed = self._clock.monotonic() - self._began
        if body is not None and passed >= self._grace:
            body.kill(thoroughly=not self._is_hasty)
            if self._killed_at is None:
                self._killed_at = passed
            if passed >= self._killed_at + _KILL_S:
                self._is_over = True
                session.body_exited(reason="closed, and not even a kill ended it")
                self._reactor.call_soon(session.cut_off)
                self._reactor.call_soon(self._finish)  # which tells of it after the session has
                return
        elif body is not None and passed >= self._grace / 2 and not self._has_terminated:
            self._has_terminated = True
            body.terminate()
        self._reactor.call_at(self._clock.monotonic() + self._pause, self._step)
        self._pause = min(self._pause * 1.5, _LONGEST_LOOK_S)

    def _finish(self) -> None:
        self._is_over = True
        self._over(self._session)
        self.done.resolve({})
