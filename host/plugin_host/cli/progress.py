"""How far a call is, as one line of stderr that is drawn over and over, and gone in the end.

Only on a terminal that can take a line back, and not with `-v`, whose lines it would be mixed with.
"""

from __future__ import annotations

import os
import time

from . import output

__all__ = ["ProgressLine"]

_PAUSE_S = 0.05
_USUAL_WIDTH = 80
_CLEAR = "\r\x1b[K"


class ProgressLine:
    """Draws what it is called with; faster than anyone can read, it leaves some out."""

    def __init__(self) -> None:
        self._drawn_at = 0.0
        self._is_drawn = False

    @staticmethod
    def is_wanted(verbosity: int) -> bool:
        """Whether there is somebody to look at it."""
        return verbosity == 0 and output.draws(output.STDERR)

    def __call__(self, done: float, total: float | None, message: str) -> None:
        now = time.monotonic()
        if now - self._drawn_at >= _PAUSE_S:
            self._drawn_at = now
            self._is_drawn = True
            output.complain(_CLEAR + _line(done, total, message)[: _width() - 1])

    def clear(self) -> None:
        """Take the line away."""
        if self._is_drawn:
            self._is_drawn = False
            output.complain(_CLEAR)


def _width() -> int:
    try:
        return os.get_terminal_size(output.STDERR).columns or _USUAL_WIDTH
    except OSError:
        return _USUAL_WIDTH


def _line(done: float, total: float | None, message: str) -> str:
    share = f"{100 * done / total:3.0f} %" if total else f"{done:g}"
    return output.printable(f"{share}  {message}".rstrip())
