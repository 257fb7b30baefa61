"""What is measured of sessions, and what is asked of it. Data only."""

from __future__ import annotations

from .contestant import Contestant, python
from .figure import OURS, Budget, Figure, Trial
from .group import Group

__all__ = ["GROUP"]

# Rates of three processes on two processors swing from one moment to the next: many short turns.
_PIPE_OUT = Trial("pipe output", "pipe_out", 0.5, 0.2, turns=3)
_PIPE_IN = Trial("pipe input", "pipe_in", 0.5, 0.2)
_TERMINAL = Trial("terminal output", "terminal", 0.4, 0.2, turns=2)
_KEYSTROKE = Trial("keystrokes", "keystroke", 1.0, 0.3)
# A quarter of a GiB, or 32 MiB.
_IO = Trial("raw descriptors", "io", 1 / 4, 1 / 32)
_CROWD = Trial("500 sessions", "crowd", 2.0, 0.5)

_RELAY, _DIRECT, _BARE = "bare relay", "bare terminal", "bare crowd"


def _key(title: str, key: str, *budgets: Budget, floor: str | None = None) -> Figure:
    return Figure("keystroke", f"keystroke echo{title}", "µs", _KEYSTROKE, key, floor, budgets=budgets)


def _crowd(title: str, unit: str, key: str, floor: str | None = None) -> Figure:
    return Figure("sessions", f"500 sessions: {title}", unit, _CROWD, key, floor)


_BESIDE_FLOOD = Budget(2.5, "idle p99", key="p99_us")

_FIGURES = (
    Figure(
        "pipe",
        "pipe output, child to host",
        "MB/s",
        _PIPE_OUT,
        "mb_per_s",
        _RELAY,
        budgets=(Budget(0.75, "floor", at_most=False),),
    ),
    Figure("pipe", "pipe input, host to child", "MB/s", _PIPE_IN, "mb_per_s", _RELAY),
    Figure(
        "terminal",
        "terminal output, mean of raw and cooked",
        "MB/s",
        _TERMINAL,
        "mb_per_s",
        _DIRECT,
        budgets=(Budget(0.7, "floor", at_most=False),),
    ),
    Figure("terminal", "terminal output, raw", "MB/s", _TERMINAL, "raw_mb_per_s", _DIRECT),
    Figure("terminal", "terminal output, cooked", "MB/s", _TERMINAL, "cooked_mb_per_s", _DIRECT),
    Figure(
        "terminal",
        "terminal output, handed to the host",
        "MB/s",
        _TERMINAL,
        "direct_mb_per_s",
        _DIRECT,
        budgets=(Budget(0.9, "floor", at_most=False),),
    ),
    Figure("io", "raw descriptors, to a program and back", "MB/s", _IO, "mb_per_s", "bare socketpair"),
    _key("", "median_us", floor=_DIRECT),
    _key(" p99", "p99_us", floor=_DIRECT),
    _key(" p99 beside a terminal that floods", "terminal_p99_us", _BESIDE_FLOOD),
    _key(" p99 beside a pipe that floods", "pipe_p99_us", _BESIDE_FLOOD),
    _key(" p99 beside a detached flood", "detached_p99_us", _BESIDE_FLOOD),
    _crowd("to open one", "ms", "open_ms", _BARE),
    _crowd("to attach to one", "ms", "attach_ms"),
    _crowd("a line to and from all", "ms", "echo_all_ms"),
    _crowd("to close all", "ms", "close_all_ms"),
    _crowd("threads of the plugin", "", "threads"),
    _crowd("descriptors of the plugin, each", "", "descriptors", _BARE),
    _crowd("memory of the plugin, each (resident)", "KiB", "rss_kib", _BARE),
    _crowd("memory of the plugin, each (proportional)", "KiB", "pss_kib", _BARE),
    _crowd("memory of the host, each (resident)", "KiB", "host_rss_kib"),
    _crowd("processor time of the idle plugin", "ms/s", "idle_cpu_ms_per_s"),
    _crowd("processor time of the idle host", "ms/s", "host_idle_cpu_ms_per_s"),
)

_PIPES, _TERMINALS = frozenset({"pipe_out", "pipe_in"}), frozenset({"terminal", "keystroke"})
_IO_VERBS, _CROWD_VERBS = frozenset({"io"}), frozenset({"crowd"})

GROUP = Group(
    _FIGURES,
    (
        Contestant(_RELAY, "floor", python("floor_relay"), _PIPES),
        Contestant(_DIRECT, "floor", python("floor_terminal"), _TERMINALS),
        Contestant("bare socketpair", "floor", python("floor_io"), _IO_VERBS),
        Contestant("bare relays", "floor", python("floor_io_relay"), _IO_VERBS),
        Contestant(_BARE, "floor", python("floor_crowd"), _CROWD_VERBS),
        Contestant(OURS, "ours", python("session_driver"), _PIPES | _TERMINALS),
        Contestant(OURS, "ours", python("io_driver"), _IO_VERBS),
        Contestant(OURS, "ours", python("session_crowd"), _CROWD_VERBS),
    ),
)
