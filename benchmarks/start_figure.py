"""What is measured of starts and of idle plugins, and what is asked of it. Data only."""

from __future__ import annotations

from .contestant import Contestant, python
from .figure import OURS, Budget, Figure, Trial
from .group import Group

__all__ = ["GROUP"]

_COLD = Trial("cold", "cold", turns=3)
_COLD_TYPED = Trial("cold, typed", "cold_typed", turns=3)
_WARM = Trial("warm", "warm", turns=5)
_WARM_TYPED = Trial("warm, typed", "warm_typed", turns=3)
_WARM_CROWD = Trial("100 plugins", "warm_crowd")

_FLOOR = "interpreter"


def _start(row: str, title: str, trial: Trial, *budgets: Budget) -> Figure:
    return Figure(row, f"{row} start to first reply, {title}", "ms", trial, "ms", _FLOOR, budgets=budgets)


def _memory(row: str, title: str, trial: Trial, *budgets: Budget, floor: str | None = None) -> Figure:
    return Figure(row, f"private memory{title}", "MiB", trial, "private_mib", floor, budgets=budgets)


_FIGURES = (
    _start("cold", "untyped", _COLD, Budget(2.2, "floor")),
    _start("cold", "typed", _COLD_TYPED),
    _start("warm", "untyped", _WARM, Budget(3.0)),
    _start("warm", "typed", _WARM_TYPED),
    Figure("warm", "100 plugins started at once", "s", _WARM_CROWD, "s", budgets=(Budget(1.0),)),
    _memory("warm", " of an idle warm plugin, untyped", _WARM_CROWD, Budget(2.5)),
    _memory("warm", " of a warm plugin, typed", _WARM_TYPED),
    _memory("memory", ", untyped", _COLD, floor="bare blocking"),
    _memory("memory", ", typed", _COLD_TYPED),
)

_COLD_VERBS, _WARM_VERBS = frozenset({"cold", "cold_typed"}), frozenset({"warm", "warm_typed"})

GROUP = Group(
    _FIGURES,
    (
        Contestant(_FLOOR, "floor", python("floor_start"), _COLD_VERBS | _WARM_VERBS),
        Contestant(OURS, "ours", python("ours"), _COLD_VERBS),
        Contestant(OURS, "ours", python("ours_warm"), _WARM_VERBS | {"warm_crowd"}),
    ),
)
