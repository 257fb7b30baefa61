"""Tables for people: with colours on a terminal, plain columns everywhere else.

Uses rich, and only on a terminal. Invariant: off a terminal, and on a dumb one, a row is one line without
colours, borders or trailing blanks, and no cell is cut.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import output

__all__ = ["table"]

_STYLED = ("STATE", "STATUS")
_STYLES = {
    "ready": "green",
    "ok": "green",
    "failed": "red",
    "broken": "red",
    "skipped": "yellow",
    "starting": "yellow",
    "stopping": "yellow",
}


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows under their titles, as text that ends with a newline. An empty cell is shown as `-`."""
    cells = [[output.printable(cell) or "-" for cell in row] for row in rows]
    if output.draws(output.STDOUT):
        return _rich(titles, cells)
    return _plain([list(titles), *cells])


def _plain(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _rich(titles: Sequence[str], rows: list[list[str]]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        grid.add_column(title, overflow="fold")
    for row in rows:
        grid.add_row(
            *(Text(cell, style=_style(title, cell)) for title, cell in zip(titles, row, strict=True))
        )
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(grid)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _style(title: str, cell: str) -> str:
    return _STYLES.get(cell, "") if title in _STYLED else ""
