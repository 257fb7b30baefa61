"""All there is to measure. Another group is one more entry here."""

from __future__ import annotations

from . import call_figure, discovery_figure, rival, session_figure, start_figure, ten_figure

__all__ = ["CONTESTANTS", "FIGURES", "GROUPS", "ROWS"]

GROUPS = (
    call_figure.GROUP,
    ten_figure.GROUP,
    start_figure.GROUP,
    discovery_figure.GROUP,
    session_figure.GROUP,
)

FIGURES = tuple(figure for group in GROUPS for figure in group.figures)
CONTESTANTS = (*rival.CONTESTANTS, *(one for group in GROUPS for one in group.contestants))
ROWS = tuple(dict.fromkeys(figure.row for figure in FIGURES))
