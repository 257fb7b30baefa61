"""A process as the body of a session: watching it, signalling it, ending it with all that belongs to it.

Invariant: the process is reaped once, under the lock that signals take, so none of them can hit another
process that got its number.
"""

from __future__ import annotations

import os
import signal
import threading
from time import monotonic
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import SessionClosed, TerminalError

from .lookout import LOOKOUT
from .process import close_exit, reap, watch_exit
from .reactor import READ

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host_sdk.later import Later

    from .family import Family
    from .process import Status
    from .processtable import ProcessTable
    from .reactor import Reactor
    from .session import Session
    from .terminal import Terminal

__all__ = ["Program", "discard"]

# Between two attempts to look at the machine's processes.
_BREATH_S = 0.01

# What a keyboard sends goes to whoever has the terminal, as if it had been typed.
_OF_THE_KEYBOARD = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH})


class Program:
    """Process `pid`, which leads a group of its own if `leads`. `status_of` takes its exit status.

    `let_go` is called when it has ended, before its last output is read.
    """

    def __init__(
        self,
        session: Session,
        reactor: Reactor,
        pid: int,
        family: Family,
        *,
        terminal: Terminal | None = None,
        let_go: Callable[[], None] = lambda: None,
        leads: bool = True,
        status_of: Callable[[int], Status | None] = reap,
    ) -> None:
        self._session = session
        self._reactor = reactor
        self._pid = pid
        self._family = family
        self._terminal = terminal
        self._let_go = let_go
        self._leads = leads
        self._status_of = status_of
        self._lookout = LOOKOUT
        self._lock = threading.Lock()
        self._has_exited = False
        self._began = monotonic()  # no look at the machine before this one knows it
        self._changed = self._began  # when it was last signalled, or ended
        self._is_closing = False
        self._is_confirmed = False  # that nothing is left
        self._exit_fd = watch_exit(pid)

    def __repr__(self) -> str:
        return f"<Program pid={self._pid} exited={self._has_exited}>"

    def start(self) -> None:
        """Watch for the exit."""
        self._reactor.watch(self._exit_fd, READ, self._look)

    @property
    def pid(self) -> int | None:
        return self._pid

    def outputs_ended(self) -> None:
        pass  # it may close them and run on

    def _look(self, events: int) -> None:
        if self._is_closing:
            self._reactor.watch(self._exit_fd, 0, self._look)
            self._take_leave(monotonic())
        else:
            self._reap()

    def _take_leave(self, moment: float) -> None:
        """Look around once more before it is reaped: its number still tells who is in its session."""
        try:
            table = self._lookout.after(moment)
        except OSError:  # no descriptors are left to look with
            self._reap()
            return
        if table is None:
            self._reactor.call_after_breath(_BREATH_S, lambda: self._take_leave(moment))
            return
        self._family.look(table)
        self._reap()

    def _reap(self) -> None:
        with self._lock:
            status = self._status_of(self._pid)
            if status is None:
                if self._is_closing:
                    self._reactor.watch(self._exit_fd, READ, self._look)
                return
            self._has_exited = True
            self._changed = monotonic()
            self._reactor.watch(self._exit_fd, 0, self._look)
            close_exit(self._exit_fd)
        self._let_go()
        self._session.body_exited(code=status.code, signal=status.signal, reason=status.reason)

    def resize(self, rows: int, cols: int) -> Later | None:
        if self._terminal is None:
            raise TerminalError("it runs on pipes, which have no size", session=self._session.id)
        try:
            self._terminal.resize(rows, cols)
        except TerminalError as error:
            if isinstance(error.data, dict) and error.data.get("reason") == "closed":
                raise SessionClosed("it has just ended", session=self._session.id) from None
            raise
        self._session.note_size(rows, cols)
        return None

    def signal(self, number: int) -> None:
        with self._lock:
            if self._has_exited:
                return
            group = self._pid if self._leads else None
            if self._terminal is not None and number in _OF_THE_KEYBOARD:
                group = self._terminal.foreground_group() or group
            try:
                if group is None:
                    os.kill(self._pid, number)
                else:
                    os.killpg(group, number)
            except ProcessLookupError:
                pass  # it has just ended
            except OSError as error:
                name = signal.Signals(number).name
                raise TerminalError(
                    f"{name} could not be sent: {error.strerror}",
                    session=self._session.id,
                    data={"errno": error.errno},
                ) from None

    def hang_up(self, table: ProcessTable | None = None) -> None:
        # Looked for before the first signal: once parents die, nobody can tell whose the children were.
        self._look_around(table)
        self._is_closing = True
        self._signal_all(signal.SIGTERM if self._terminal is None else signal.SIGHUP)

    def terminate(self) -> None:
        self._signal_all(signal.SIGTERM)

    def kill(self, thoroughly: bool = True) -> None:
        if thoroughly:
            self._look_around()
        self._signal_all(signal.SIGKILL)
        self._is_confirmed = not thoroughly

    def is_gone(self) -> bool:
        if not self._has_exited or self._family.alive():
            return False
        if not self._is_confirmed:  # what was born between the last look and the signal
            try:
                table = self._lookout.after(self._changed)
            except OSError:  # no descriptors are left to look with
                return True
            self._is_confirmed = table is not None and not self._family.look(table)
        return self._is_confirmed

    def _look_around(self, table: ProcessTable | None = None) -> None:
        """Learn who belongs to it now, if there are descriptors to look with."""
        try:
            self._family.look(table or self._lookout.recent(self._began))
        except OSError:
            pass

    def _signal_all(self, number: int) -> None:
        self._changed = monotonic()
        if self._family.signal_all(number, again=False):
            return
        with self._lock:
            if not self._has_exited:  # so its number is its own, whatever could be looked at
                try:
                    (os.killpg if self._leads else os.kill)(self._pid, number)
                except OSError:
                    pass  # it has ended and waits to be reaped

    def release(self) -> None:
        pass  # the outputs own the descriptors

    def abandon(self) -> None:
        """End it before it was started to be watched: its session has ended. Waits for the kill."""
        self.kill()
        self._let_go()
        close_exit(self._exit_fd)
        discard(self._pid)


def discard(pid: int) -> None:
    """End a process that nobody will watch, and reap it."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass  # it has ended
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # reaped by the author's own code
