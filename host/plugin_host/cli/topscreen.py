"""The picture of `top` on a terminal: one line for all, and a table that fits into the rows there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from . import output
from .topfit import fit
from .topline import lines, ordered
from .toptable import cells, summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import ConsoleOptions, JustifyMethod, RenderableType

    from plugin_host.metric.snapshot import Snapshot

    from .topline import Line

__all__ = ["TopScreen", "table_text"]

# The summary, an empty line, the titles, and the line at the foot.
_FRAME_ROWS = 4
_LEFT = ("PLUGIN", "STATE")
_STYLES = {
    "ready": "green",
    "failed": "red",
    "unresponsive": "red",
    "backoff": "yellow",
    "starting": "yellow",
    "stopping": "yellow",
}


class TopScreen:
    """What was looked at last; `draw` makes a picture of it."""

    def __init__(self, sort: str, interval: float) -> None:
        self._sort = sort
        self._interval = interval
        self._shown: tuple[Snapshot, list[Line]] | None = None

    def look(self, later: Snapshot, earlier: Snapshot) -> None:
        """There are new numbers."""
        self._shown = later, ordered(lines(later, earlier), self._sort)

    def draw(self, rows: int) -> RenderableType:
        """The picture, in so many rows at most."""
        if self._shown is None:
            return Text("waiting for the host …")
        snapshot, shown = self._shown
        room = max(1, rows - _FRAME_ROWS)
        foot = f"every {self._interval:g} s, by {self._sort}; q quits"
        if len(shown) > room:
            foot = f"{len(shown) - room} more plugins do not fit; {foot}"
        head = Text(summary(snapshot, shown), style="bold", no_wrap=True, overflow="ellipsis")
        return Group(
            head, Text(""), _Lines(shown[:room]), Text(foot, style="dim", no_wrap=True, overflow="ellipsis")
        )


def table_text(shown: Sequence[Line]) -> str:
    """All lines, for a terminal that goes on below them; as wide as it is."""
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(_Lines(shown))
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


class _Lines:
    """One line for each plugin, with the columns that the terminal has room for."""

    def __init__(self, shown: Sequence[Line]) -> None:
        self._rows = [[output.printable(cell) for cell in cells(line)] for line in shown]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        places, titles, gap, name = fit(self._rows, options.max_width)
        grid = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="reverse")
        for place, title in zip(places, titles, strict=True):
            side: JustifyMethod = "left" if title in _LEFT else "right"
            grid.add_column(title, justify=side, no_wrap=True, max_width=name if place == 0 else None)
        for row in self._rows:
            grid.add_row(*(Text(row[place], style=_STYLES.get(row[place], "")) for place in places))
        yield grid
