"""The command line of the suite; its status is 1 when anything was wrong."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

from . import __doc__ as ABOUT
from .arena import Arena
from .leftover import before, leftovers
from .table import table
from .tally import Tally

_MINUTES = 10.0
_PLUGINS, _FEWEST = 20, 4

# Every plugin gets it, and so does everything that a plugin starts.
_MARK = "TMPDIR"


def main() -> int:
    """Run, print what was done and what was wrong, and say whether anything was."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.plugins < _FEWEST:
        parser.error(f"there are {_FEWEST} plugins at least: two to suffer, with limits and without")
    seconds = arguments.seconds if arguments.seconds is not None else arguments.minutes * 60
    print(f"chaos: {seconds:.0f} s, {arguments.plugins} plugins, seed {arguments.seed}", flush=True)
    tally = Tally()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        rooms = [folder / "tmp", folder / "runtime"]
        for room in rooms:
            room.mkdir(mode=0o700)
        os.environ[_MARK], os.environ["XDG_RUNTIME_DIR"] = map(str, rooms)
        tempfile.tempdir = None
        _log_to_nowhere()
        mark = f"{_MARK}={rooms[0]}"
        was = before()
        arena = Arena(folder, arguments.seed, seconds, arguments.plugins, mark, tally)
        asyncio.run(arena.run())
        figures = arena.figures
        del arena
        for left in leftovers(was, mark, [*rooms, folder / "sessions"]):
            tally.violate("left over", left)
    print(table(tally, figures))
    print(f"took {time.monotonic() - start:.0f} s")
    if tally.violations:
        again = f"--seconds {seconds:.0f} --plugins {arguments.plugins} --seed {arguments.seed}"
        print(f"again: python -m tests.chaos {again}")
    return 1 if tally.violations else 0


def _log_to_nowhere() -> None:
    """The log costs what it costs, and nobody reads it."""
    handler = logging.StreamHandler(open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("plugin_host")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=_MINUTES, help=f"how long ({_MINUTES:g})")
    length.add_argument("--seconds", type=float, help="how long, for short ones")
    parser.add_argument("--plugins", type=int, default=_PLUGINS, help=f"how many ({_PLUGINS})")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="what is drawn: any text (a new one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
