"""What is measured of discovery among many installed distributions, and what is asked of it. Data only."""

from __future__ import annotations

from .contestant import Contestant, python
from .figure import OURS, Budget, Figure, Trial
from .group import Group

__all__ = ["GROUP"]

_FLOOR = "import click"
_LIST = Trial("list", "list", turns=3)
_SCRIPT = Trial("list, by the script", "list_script", turns=3)
_LIST_COLD = Trial("list, nothing remembered", "list_cold", turns=2)
_HELP = Trial("help", "help", turns=2)
_HOST = Trial("host, remembered", "host_warm", turns=3)
_HOST_COLD = Trial("host, nothing remembered", "host_cold", turns=2)

_FIGURES = (
    Figure(
        "discovery",
        "plugin-host list, 300 distributions",
        "ms",
        _LIST,
        "ms",
        _FLOOR,
        budgets=(Budget(2.5, "floor"),),
    ),
    Figure("discovery", "plugin-host list, by the installed script", "ms", _SCRIPT, "ms", _FLOOR),
    Figure("discovery", "plugin-host list, nothing remembered", "ms", _LIST_COLD, "ms", _FLOOR),
    Figure("discovery", "plugin-host --help", "ms", _HELP, "ms", _FLOOR),
    Figure("discovery", "host start, 300 distributions", "ms", _HOST, "ms"),
    Figure("discovery", "host start, nothing remembered", "ms", _HOST_COLD, "ms"),
)

_COMMANDS = frozenset({"list", "list_script", "list_cold", "help"})

GROUP = Group(
    _FIGURES,
    (
        Contestant(_FLOOR, "floor", python("floor_click"), _COMMANDS),
        Contestant(OURS, "ours", python("ours_discovery"), _COMMANDS | {"host_warm", "host_cold"}),
    ),
)
