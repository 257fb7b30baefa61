"""Draws the pictures of docs/speed from documents of results, without measuring; needs matplotlib.

python -m benchmarks.plot [docs/speed/results-*.json]
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

from .document import read
from .machine import source
from .page import FOLDER, stored
from .picture import missing, open_pyplot, save
from .point import FLOOR, BudgetPoint, RatioPoint, budget_points, ratio_points
from .scoreboard import Scoreboard, scoreboard
from .table import TIMES

__all__ = ["draw"]

_MET, _MISSED, _MUTED = "#2a7f62", "#c0392b", "#666666"
_COLORS = {
    FLOOR: "black",
    "go-plugin": "#0072b2",
    "rpyc": "#d55e00",
    "execnet": "#cc79a7",
    "grpcio": "#999933",
}
_MARKERS = "os^Dv"
_LABEL_WIDTH = 200
_TICKS = [factor * 10.0**power for power in range(-3, 4) for factor in (1, 2, 5)]


def draw(paths: list[Path], folder: Path) -> list[Path]:
    """Write `budgets` and `ratios` as PNG and SVG; returns their paths."""
    board = scoreboard(map(read, paths))
    pyplot = open_pyplot()
    written = []
    for name, figure in (("budgets", _budgets(board, pyplot)), ("ratios", _ratios(board, pyplot))):
        figure.text(0.01, 0.004, _label(board), fontsize=7, color=_MUTED, va="bottom")
        written += save(figure, folder, name)
    return written


def _label(board: Scoreboard) -> str:
    """The latest run of each version."""
    latest = {machine["python"]: machine for machine in board.machines}
    return "\n".join(line for one in latest.values() for line in textwrap.wrap(source(one), _LABEL_WIDTH))


def _budgets(board: Scoreboard, pyplot: Any) -> Any:
    points = budget_points(board)
    labels = list(dict.fromkeys(point.label for point in points))
    figure, axes = _canvas(pyplot, len(labels), "What was measured over what is allowed")
    axes.axvline(1, color="black", linewidth=1)
    for point in points:
        _dot(axes, board, point, labels.index(point.label))
    _rows(axes, labels)
    axes.set_xlabel(
        "share of the budget, log scale; left of the line it is met (green), right of it missed (red)"
    )
    _legend(axes, [(_marker(board, python), _MUTED, f"Python {python}") for python in board.pythons])
    return figure


def _dot(axes: Any, board: Scoreboard, point: BudgetPoint, place: int) -> None:
    color = _MET if point.is_met else _MISSED
    axes.plot([1, point.share], [place, place], color=color, linewidth=1.2, alpha=0.5, zorder=1)
    axes.plot(point.share, place, _marker(board, point.python), color=color, markersize=5)


def _ratios(board: Scoreboard, pyplot: Any) -> Any:
    points = ratio_points(board)
    titles = list(dict.fromkeys(point.title for point in points))
    figure, axes = _canvas(
        pyplot, len(titles), "Cost of ours as a multiple of floors and peers in the same run"
    )
    axes.axvline(1, color="black", linewidth=1)
    for point in points:
        _ratio(axes, board, point, titles.index(point.title))
    _rows(axes, titles)
    axes.set_xlabel(
        "time, memory, or 1 / rate of ours over theirs, log scale; less is better; | is a budget"
    )
    seen = dict.fromkeys(point.against for point in points)
    entries = [("s", _COLORS.get(name, _MUTED), f"{TIMES} {name}") for name in seen]
    if len(board.pythons) > 1:
        entries += [(_marker(board, python), _MUTED, f"Python {python}") for python in board.pythons]
    _legend(axes, entries)
    return figure


def _ratio(axes: Any, board: Scoreboard, point: RatioPoint, place: int) -> None:
    color = _COLORS.get(point.against, _MUTED)
    axes.plot(point.cost, place, _marker(board, point.python), color=color, markersize=5, alpha=0.85)
    if point.limit is not None:
        axes.plot(point.limit, place, "|", color=color, markersize=13, markeredgewidth=2)


def _canvas(pyplot: Any, rows: int, title: str) -> tuple[Any, Any]:
    height = 2.0 + 0.23 * rows
    figure, axes = pyplot.subplots(figsize=(10.5, height))
    figure.subplots_adjust(left=0.42, right=0.98, top=1 - 0.65 / height, bottom=1.05 / height)
    figure.text(0.01, 1 - 0.1 / height, title, fontsize=12, va="top")
    axes.set_xscale("log")
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _rows(axes: Any, labels: list[str]) -> None:
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    low, high = axes.get_xlim()
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _legend(axes: Any, entries: list[tuple[str, str, str]]) -> None:
    handles = [
        axes.plot([], [], marker, color=color, label=label, markersize=5)[0]
        for marker, color, label in entries
    ]
    place = {"loc": "lower right", "bbox_to_anchor": (1, 1)}
    axes.legend(handles=handles, fontsize=8, frameon=False, ncol=len(entries), **place)


def _marker(board: Scoreboard, python: str) -> str:
    return _MARKERS[board.pythons.index(python) % len(_MARKERS)]


def main(arguments: list[str]) -> int:
    """0, or 1 without matplotlib."""
    if (reason := missing()) is not None:
        print(reason, file=sys.stderr)
        return 1
    for path in draw([Path(name) for name in arguments] or stored(), FOLDER):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
