"""What is measured of discovery among many installed distributions, and what is asked of it. Data only."""

from __future__ import annotations

from .figure import Budget, Figure, Trial

__all__ = ["FIGURES"]

_LIST = Trial("list", "list", turns=3)
_SCRIPT = Trial("list, by the script", "list_script", turns=3)
_LIST_COLD = Trial("list, nothing remembered", "list_cold", turns=2)
_HELP = Trial("help", "help", turns=2)
_HOST = Trial("host, remembered", "host_warm", turns=3)
_HOST_COLD = Trial("host, nothing remembered", "host_cold", turns=2)

FIGURES = (
    Figure(
        "discovery",
        "plugin-host list, 300 distributions",
        "ms",
        _LIST,
        "ms",
        "import click",
        budgets=(Budget(2.5, "floor"),),
    ),
    Figure("discovery", "the same, by the installed script", "ms", _SCRIPT, "ms", "import click"),
    Figure("discovery", "the same, nothing remembered", "ms", _LIST_COLD, "ms", "import click"),
    Figure("discovery", "plugin-host --help", "ms", _HELP, "ms", "import click"),
    Figure("discovery", "host start, 300 distributions", "ms", _HOST, "ms"),
    Figure("discovery", "the same, nothing remembered", "ms", _HOST_COLD, "ms"),
)
