"""Draws how costs grow from the document of a run, without measuring; needs matplotlib.

python -m benchmarks.growth.plot [docs/speed/growth.json]
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import document, machine, picture
from benchmarks.page import FOLDER

__all__ = ["draw"]

_KIB_OF_A_KB = 1000 / 1024  # budgets are asked for in KB
_COLORS = ("#0072b2", "#d55e00", "#2a7f62", "#cc79a7")


class _Panel(NamedTuple):
    """One picture: for each line its part of the document, its key and its name."""

    title: str
    unit: str
    lines: tuple[tuple[str, str, str], ...]
    of: str
    budget: float | None = None


_PANELS = (
    _Panel(
        "time of one plugin of so many",
        "ms",
        (
            ("plugins", "start_ms", "start, forked"),
            ("cold", "start_ms", "start, cold"),
            ("plugins", "stop_ms", "stop"),
        ),
        "plugins",
    ),
    _Panel(
        "memory of one plugin of so many",
        "KiB",
        (
            ("plugins", "plugin_kib", "in its own process, forked"),
            ("cold", "plugin_kib", "in its own process, cold"),
            ("plugins", "host_kib", "in the host"),
        ),
        "plugins",
        100 * _KIB_OF_A_KB,
    ),
    _Panel("a call to one plugin of so many", "µs", (("plugins", "rtt_us", "round trip"),), "plugins"),
    _Panel(
        "calls at once to one plugin",
        "µs",
        (("calls", "each_us", "one call"), ("calls", "p99_per_call_us", "p99, for each call at once")),
        "calls at once",
    ),
    _Panel(
        "time of one session of so many",
        "ms",
        (
            ("sessions", "open_ms", "open"),
            ("sessions", "echo_ms", "echo of a line"),
            ("sessions", "close_ms", "close"),
        ),
        "sessions, over 10 plugins",
    ),
    _Panel(
        "memory of one session of so many",
        "KiB",
        (("sessions", "host_kib", "in the host"), ("sessions", "plugin_kib", "in the plugin")),
        "sessions, over 10 plugins",
        10 * _KIB_OF_A_KB,
    ),
)


def draw(content: dict[str, Any], folder: Path) -> list[Path]:
    """Write growth.png and growth.svg; their paths. Raises ImportError without matplotlib."""
    pyplot = picture.open_pyplot()
    figure, grid = pyplot.subplots(2, 3, figsize=(12, 6.6), layout="constrained")
    for axes, panel in zip(grid.flat, _PANELS, strict=True):
        _fill(axes, panel, content)
    figure.suptitle("What one costs when there are more and more, on logarithmic scales: flat is good")
    figure.supxlabel(machine.source(content["machine"]), fontsize=7, color="#666666")
    return picture.save(figure, folder, "growth")


def _fill(axes: Any, panel: _Panel, content: dict[str, Any]) -> None:
    for (part, key, name), color in zip(panel.lines, _COLORS, strict=False):
        points = {int(count): figures[key] for count, figures in content.get(part, {}).items()}
        # What a few need may be free of cost: memory that the host had already.
        points = {count: value for count, value in points.items() if value > 0}
        axes.plot(list(points), list(points.values()), marker="o", color=color, label=name)
    if panel.budget is not None:
        axes.axhline(panel.budget, color="black", linewidth=1, linestyle="--", label="budget of the host")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.set_ylim(*_decades(axes.get_ylim()))
    axes.set_title(panel.title, fontsize=9)
    axes.set_xlabel(panel.of)
    axes.set_ylabel(panel.unit)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _decades(limits: tuple[float, float]) -> tuple[float, float]:
    """At least two of them, so that what is nearly flat looks so."""
    low, high = limits
    return low / max(1.0, math.sqrt(100 * low / high)), high * max(1.0, math.sqrt(100 * low / high))


def main(arguments: list[str]) -> int:
    """0, or 1 without matplotlib."""
    if (reason := picture.missing()) is not None:
        print(reason, file=sys.stderr)
        return 1
    given = Path(arguments[0]) if arguments else FOLDER / "growth.json"
    print(*draw(document.read(given), given.parent), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
