"""The report as text: the verdicts first, then every contestant's figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contestant import Contestant
    from .verdict import Check, Line

__all__ = ["TIMES", "figures", "number", "ratio", "verdicts"]

TIMES = "\N{MULTIPLICATION SIGN}"


def verdicts(lines: Sequence[Line], contestants: Sequence[Contestant]) -> str:
    """One row per figure: ours, the floor, ours over the floor and over each peer, the budgets."""
    peers = [one.name for one in contestants if one.kind == "peer" and _took_part(one.name, lines)]
    head = ["", "figure", "unit", "ours", "spread", "floor", "x floor"]
    rows = [[*head, *(f"x {name}" for name in peers), "budget"]]
    for line in lines:
        floor = line.figure.floor or ""
        rows.append(
            [
                line.verdict or "-",
                line.figure.title,
                line.figure.unit,
                number(line.values[line.figure.subject]),
                f"{line.spread:.0%}",
                number(line.values.get(floor)),
                ratio(line.ratios.get(floor)),
                *(ratio(line.ratios.get(name)) for name in peers),
                ", ".join(_check(check) for check in line.checks) or "-",
            ]
        )
    return _aligned(rows, left={0, 1, 2, len(rows[0]) - 1})


def figures(lines: Sequence[Line], contestants: Sequence[Contestant]) -> str:
    """One row per figure: the median of every contestant, in the figure's unit."""
    # One column for all of one name: no figure has two of them.
    names = [name for name in dict.fromkeys(one.name for one in contestants) if _took_part(name, lines)]
    rows = [["figure", "unit", *names]]
    for line in lines:
        values = [number(line.values.get(name)) for name in names]
        rows.append([line.figure.title, line.figure.unit, *values])
    return _aligned(rows, left={0, 1})


def _took_part(name: str, lines: Sequence[Line]) -> bool:
    return any(name in line.values for line in lines)


def _check(check: Check) -> str:
    if check.measured is None:
        return f"{check.budget}: not measured"
    measured = number(check.measured) if check.budget.against is None else ratio(check.measured)
    return f"{check.budget}: {measured} {'met' if check.is_met else 'MISSED'}"


def number(value: float | None) -> str:
    """With three digits that mean something."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def ratio(value: float | None) -> str:
    """A multiple of what somebody else needs."""
    return "-" if value is None else f"{value:.2f}"


def _aligned(rows: list[list[str]], left: set[int]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
