"""Who takes part, what each can be measured at, how its driver is started; and all figures there are."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass

from . import call_figure, discovery_figure, peer_goplugin, session_figure

__all__ = ["CONTESTANTS", "FIGURES", "ROWS", "Contestant"]

FIGURES = (*call_figure.FIGURES, *session_figure.FIGURES, *discovery_figure.FIGURES)
ROWS = tuple(dict.fromkeys(figure.row for figure in FIGURES))

_CALLS = frozenset({"rtt", "flight", "big", "cold"})
_COMMANDS = frozenset({"list", "list_script", "list_cold", "help"})
_SESSIONS = frozenset({"pipe_out", "pipe_in", "terminal", "keystroke"})


def _python(module: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", "benchmarks.driver", module]


def _needs(package: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        if importlib.util.find_spec(package) is None:
            return f"not installed (pip install {package if package != 'grpc' else 'grpcio'})"
        return None

    return missing


@dataclass(frozen=True, slots=True)
class Contestant:
    """One system under measurement. `missing` says why it cannot take part, or None."""

    name: str
    kind: str  # floor, ours or peer
    command: Callable[[], list[str]]
    missing: Callable[[], str | None] = lambda: None
    verbs: frozenset[str] = _CALLS


CONTESTANTS = (
    Contestant("bare asyncio", "floor", _python("floor_asyncio"), verbs=_CALLS - {"cold"}),
    Contestant("bare blocking", "floor", _python("floor_blocking"), verbs=_CALLS | {"blocking_rtt"}),
    Contestant(
        "interpreter",
        "floor",
        _python("floor_start"),
        verbs=frozenset({"cold", "cold_typed", "warm", "warm_typed"}),
    ),
    Contestant("import click", "floor", _python("floor_click"), verbs=_COMMANDS),
    Contestant("bare relay", "floor", _python("floor_relay"), verbs=frozenset({"pipe_out", "pipe_in"})),
    Contestant(
        "bare terminal", "floor", _python("floor_terminal"), verbs=frozenset({"terminal", "keystroke"})
    ),
    Contestant("bare socketpair", "floor", _python("floor_io"), verbs=frozenset({"io"})),
    Contestant("bare relays", "floor", _python("floor_io_relay"), verbs=frozenset({"io"})),
    Contestant("bare crowd", "floor", _python("floor_crowd"), verbs=frozenset({"crowd"})),
    Contestant("ours", "ours", _python("ours"), verbs=_CALLS | {"cold_typed", "ping_sleep", "ping_spin"}),
    Contestant("ours", "ours", _python("ours_warm"), verbs=frozenset({"warm", "warm_typed", "warm_crowd"})),
    Contestant("ours", "ours", _python("ours_blocking"), verbs=frozenset({"blocking_rtt", "threads"})),
    Contestant("ours", "ours", _python("ours_discovery"), verbs=_COMMANDS | {"host_warm", "host_cold"}),
    # Others of the same name: what is measured of each is measured in a host of its own.
    Contestant("ours", "ours", _python("session_driver"), verbs=_SESSIONS),
    Contestant("ours", "ours", _python("io_driver"), verbs=frozenset({"io"})),
    Contestant("ours", "ours", _python("session_crowd"), verbs=frozenset({"crowd"})),
    Contestant("go-plugin", "peer", peer_goplugin.command, peer_goplugin.missing),
    Contestant("rpyc", "peer", _python("peer_rpyc"), _needs("rpyc"), verbs=_CALLS | {"blocking_rtt"}),
    Contestant("execnet", "peer", _python("peer_execnet"), _needs("execnet")),
    Contestant("grpcio", "peer", _python("peer_grpcio"), _needs("grpc")),
)
