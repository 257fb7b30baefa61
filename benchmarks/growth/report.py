"""Measures how costs grow and keeps it as one document: `python -m benchmarks growth [PART ...]`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import document, machine, picture
from benchmarks.page import FOLDER

from . import plot

__all__ = ["PARTS", "main"]

_TIME_LIMIT_S = 150


@dataclass(frozen=True, slots=True)
class Part:
    """What `module` measures, for so many units at once."""

    module: str
    launch: str
    counts: tuple[int, ...]


PARTS = {
    "plugins": Part("plugins", "warm", (1, 10, 100, 500)),
    "cold": Part("plugins", "cold", (1, 10, 100)),
    "calls": Part("calls", "warm", (1, 10, 100, 1000)),
    "sessions": Part("sessions", "warm", (1, 10, 100, 1000)),
    "idle": Part("idle", "warm", (100,)),
}


def main(arguments: list[str]) -> int:
    """Measure the parts that are asked for, or all; what else the document holds stays in it."""
    asked = _parser().parse_args(arguments)
    path: Path = asked.json
    content: dict[str, Any] = document.read(path) if path.exists() else {}
    load = os.getloadavg()
    for name in asked.parts or PARTS:
        counts = asked.counts or PARTS[name].counts
        content[name] = {str(count): _measure(PARTS[name], count) for count in counts}
        _print(name, content[name])
    content["machine"] = machine.describe(load, rounds=1, quick=False)
    document.write(path, content)
    print(f"\nall of it: {path}")
    if asked.plot:
        print(picture.missing() or f"pictures: {' '.join(map(str, plot.draw(content, path.parent)))}")
    return 0


def _measure(part: Part, count: int) -> dict[str, float]:
    """In a process of its own, which has had nothing else to remember."""
    command = [sys.executable, "-m", f"benchmarks.growth.{part.module}", str(count), part.launch]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIME_LIMIT_S)
    if done.returncode:
        raise SystemExit(f"benchmarks: {' '.join(command)} failed:\n{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _print(name: str, table: dict[str, dict[str, float]]) -> None:
    keys = list(next(iter(table.values())))
    print(f"\n{name:>8}" + "".join(f"{key:>17}" for key in keys))
    for count, figures in table.items():
        print(f"{count:>8}" + "".join(f"{figures[key]:17.4g}" for key in keys), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks growth",
        description="Costs of one plugin, call or session when there are more and more; of idle ones too.",
    )
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help=f"of {', '.join(PARTS)} (all)")
    parser.add_argument("--counts", nargs="+", type=int, metavar="COUNT", help="instead of the usual ones")
    parser.add_argument("--json", type=Path, default=FOLDER / "growth.json", metavar="FILE")
    parser.add_argument("--no-plot", dest="plot", action="store_false", help="draw nothing")
    return parser


def _part(text: str) -> str:
    if text not in PARTS:
        raise argparse.ArgumentTypeError(f"no part {text!r}; there are {', '.join(PARTS)}")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
