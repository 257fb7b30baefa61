"""Standard output of a plugin: not the wire, and its writers are named.

Descriptor 1 leads to standard error. This wrapper also says, once for each place, which line of Python
wrote there, so that an author finds a forgotten print.
"""

from __future__ import annotations

import io
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TracedOutput", "trace_output"]

_MOST_PLACES = 100


class TracedOutput(io.TextIOWrapper):
    """A text stream that reports the first write from each place."""

    _report: Callable[[str], None]

    def __init__(self, buffer: io.BufferedWriter, report: Callable[[str], None]) -> None:
        super().__init__(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        self._report = report
        self._places: set[tuple[str, int]] = set()

    def write(self, text: str) -> int:
        """Write `text`, and report the caller if it is new."""
        frame = sys._getframe(1)
        place = (frame.f_code.co_filename, frame.f_lineno)
        if place not in self._places and len(self._places) < _MOST_PLACES and text.strip():
            self._places.add(place)
            self._report(f"stdout write from {place[0]}:{place[1]}: {text.strip()[:200]!r}")
        return super().write(text)


def trace_output(report: Callable[[str], None]) -> None:
    """Replace `sys.stdout` by one that traces; `report` gets a line for each place that writes."""
    try:
        sys.stdout.flush()  # what was printed before, by sitecustomize for one
    except (AttributeError, OSError, ValueError):
        pass  # there is none, or it is closed
    sys.stdout = TracedOutput(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), report)
    sys.__stdout__ = sys.stdout  # type: ignore[misc]  # final for authors; the other one flushes no more
