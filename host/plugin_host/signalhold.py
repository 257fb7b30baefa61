"""Ctrl-C waits while the main thread has a link in its hands.

Python runs signal handlers in the main thread, between any two instructions, and the usual one of SIGINT
raises. In the middle of a message that would cost the connection, and with it everybody's calls. So for
the time of a call that handler is put behind this one, which lets it through while the call waits and
keeps it back while it works. Used by the main thread only; where SIGINT is not handled in Python it does
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import fork

if TYPE_CHECKING:
    from signal import SIGINT, getsignal, signal
    from types import FrameType
else:
    # The functions of `signal` make an enumeration's member of every number, in 9 µs.
    from _signal import SIGINT, getsignal, signal

__all__ = ["NO_HOLD", "SignalHold"]


_NOBODY: Any = object()


class SignalHold:
    """`begin` to `end` is one call. In it, signals are let through while `is_open`."""

    __slots__ = ("_generation", "_handle", "_handler", "is_open", "kept")

    def __init__(self) -> None:
        self.is_open = False
        self.kept: tuple[int, FrameType | None] | None = None
        self._handler: Any = _NOBODY  # for whom `_handle` stands, in a call or in the last one
        self._handle = self._take  # one object, to be known again
        self._generation = fork.generation

    def begin(self) -> None:
        """Keep signals back from now on."""
        handler = getsignal(SIGINT)
        try:
            if handler is self._handler:
                signal(SIGINT, self._handle)
            elif handler is not self._handle:
                self._handler = _NOBODY
                if callable(handler):
                    self._handler = handler
                    signal(SIGINT, self._handle)
        except (
            ValueError
        ):  # what `threading` takes for the main thread is not Python's, or its interpreter's
            self._handler = _NOBODY

    def end(self) -> None:
        """Put everything as it was, and handle what was kept back. Raises what the handler raises."""
        if self._handler is not _NOBODY:
            present = signal(SIGINT, self._handler)
            if present is not self._handle:  # another was put in its place meanwhile, and stays
                signal(SIGINT, present)
        if self.kept is not None:
            self.deliver()

    def deliver(self) -> None:
        """Handle what was kept back now. Raises what the handler raises."""
        kept, self.kept = self.kept, None
        is_open, self.is_open = self.is_open, False
        if kept is not None and self._handler is not _NOBODY:
            self._handler(*kept)
        self.is_open = is_open

    def _take(self, signum: int, frame: FrameType | None) -> None:
        if self._generation != fork.generation:
            # A fork by another thread, in the middle of a call of the main one: nobody ends that here.
            signal(SIGINT, self._handler)
            self._handler(signum, frame)
            return
        if not self.is_open:
            self.kept = signum, frame
            return
        self.is_open = False  # clearing up after what it raises is not interrupted again
        self._handler(signum, frame)
        self.is_open = True


class _NoHold(SignalHold):
    __slots__ = ()

    def begin(self) -> None:
        pass

    def end(self) -> None:
        pass


NO_HOLD = _NoHold()
"""For other threads, in which no signal is handled."""
