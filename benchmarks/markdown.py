"""The scoreboard as Markdown: what was missed first, then what was met, then what nothing is asked of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .machine import source
from .table import TIMES, number, ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .scoreboard import Row, Scoreboard

__all__ = ["markdown"]

_PARTS = {
    "MISSED": "Missed:",
    "?": "Not compared with all that they are to be compared with:",
    "met": "Met:",
    "": "Nothing is asked of these:",
}


def markdown(board: Scoreboard) -> str:
    """Tables, what is not in them, and where everything was measured; ends with a line end."""
    parts = []
    for verdict, head in _PARTS.items():
        if rows := [row for row in board.rows if row.verdict == verdict]:
            parts.append(f"{head}\n\n" + _table(board, rows))
    if board.unmeasured:
        parts.append("Not measured:\n\n" + "\n".join(_absent(board.unmeasured)))
    parts.append(_note(board) + "\n\n" + "\n".join(_sources(board.machines)))
    return "\n\n".join(parts) + "\n"


def _table(board: Scoreboard, rows: list[Row]) -> str:
    peers = [
        name
        for name in board.peers
        if any(name in figure["ratios"] for row in rows for figure in row.by_python.values())
    ]
    has_budgets = any(row.first["budgets"] for row in rows)
    head = ["figure", "ours", f"{TIMES} floor", *(f"{TIMES} {name}" for name in peers)]
    if has_budgets:
        head.append("budget: measured")
    lines = [_line(head), _line(["---"] * len(head))]
    for row in rows:
        unit = f" {row.first['unit']}" if row.first["unit"] else ""
        cells = [
            row.title,
            _cell(board, row, lambda figure: number(figure["values"][figure["subject"]])) + unit,
            _cell(board, row, lambda figure: ratio(figure["ratios"].get(figure["floor"] or ""))),
            *(_peer(board, row, name) for name in peers),
        ]
        if has_budgets:
            cells.append(_budgets(board, row))
        lines.append(_line(cells))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _peer(board: Scoreboard, row: Row, name: str) -> str:
    return _cell(board, row, lambda figure: ratio(figure["ratios"].get(name)))


def _budgets(board: Scoreboard, row: Row) -> str:
    texts = []
    for place, budget in enumerate(row.first["budgets"]):
        measured = _cell(board, row, lambda figure, place=place: _measured(figure["budgets"][place]))  # type: ignore[misc]
        texts.append(f"{budget['budget'].replace(' x ', f' {TIMES} ')}: {measured}")
    return "; ".join(texts)


def _measured(budget: dict[str, Any]) -> str:
    if budget["measured"] is None:
        return "not measured"
    text = number(budget["measured"]) if budget["against"] is None else ratio(budget["measured"])
    return text if budget["met"] else f"**{text}**"


def _cell(board: Scoreboard, row: Row, text: Callable[[dict[str, Any]], str]) -> str:
    """The text of each version that has this row, in the order of all versions."""
    texts = [text(row.by_python[python]) if python in row.by_python else "-" for python in board.pythons]
    if set(texts) <= {"-"}:
        return ""
    while texts[-1] == "-":
        texts.pop()
    return " · ".join(texts)


def _absent(unmeasured: list[dict[str, str]]) -> list[str]:
    return [f"- {absent['title']}: {absent['reason']}" for absent in unmeasured]


def _note(board: Scoreboard) -> str:
    note = "Times and ratios are medians over rounds; bold is what misses its budget."
    if len(board.pythons) > 1:
        note += f" Where several numbers stand, they are those of Python {' · '.join(board.pythons)}."
    return note


def _sources(machines: list[dict[str, Any]]) -> list[str]:
    return [f"- {source(machine)}" for machine in machines]
