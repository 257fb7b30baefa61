"""Says again on a terminal that the input has ended, each time its program has come to rest.

A terminal has no end: its end-of-file character is read once, by whoever reads next, and a shell that is
busy drops it. So it is typed again when a program that has put something out, a prompt above all, is silent
again. There is no timer while nothing is put out, and an end to it for a program that answers every time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .clock import Clock
    from .input import Input
    from .reactor import Reactor

__all__ = ["Reminder"]

_SILENCE_S = 0.1
_MOST = 50


class Reminder:
    """Reminds the program of one session. Used on the reactor's thread only."""

    __slots__ = ("_clock", "_input", "_is_waiting", "_left", "_reactor", "_silent_since")

    def __init__(self, input: Input, reactor: Reactor, clock: Clock) -> None:
        self._input = input
        self._reactor = reactor
        self._clock = clock
        self._left = _MOST
        self._is_waiting = False
        self._silent_since = 0.0

    def note_output(self) -> None:
        """The program has put something out."""
        if not self._input.has_ended_terminal or not self._left:
            return
        self._silent_since = self._clock.monotonic()
        if not self._is_waiting:
            self._wait(_SILENCE_S)

    def _wait(self, seconds: float) -> None:
        self._is_waiting = True
        self._reactor.call_at(self._clock.monotonic() + seconds, self._look)

    def _look(self) -> None:
        self._is_waiting = False
        left = self._silent_since + _SILENCE_S - self._clock.monotonic()
        if left > 0:
            self._wait(left)
        else:
            self._left -= 1
            self._input.mark_end_again()
