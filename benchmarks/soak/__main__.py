"""The command line of the soak; its status is 1 when anything was wrong."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.burden import burden

from .arena import Arena
from .tally import Tally

_MINUTES = 5.0
_SLOTS = 24

# Every plugin gets it, and so does everything that a plugin starts.
_MARK = "TMPDIR"


def main() -> int:
    """Soak, print what was done and what was wrong, and say whether anything was."""
    arguments = _parser().parse_args()
    seconds = arguments.seconds if arguments.seconds is not None else arguments.minutes * 60
    print(
        f"soak: {seconds:.0f} s, {arguments.sessions} sessions at a time, seed {arguments.seed}", flush=True
    )
    tally = Tally()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        os.environ[_MARK] = folder
        arena = Arena(Path(folder), arguments.seed, seconds, arguments.sessions, f"{_MARK}={folder}", tally)
        asyncio.run(arena.run())
    print("\n".join(tally.lines()))
    own = burden(os.getpid())
    print(f"took {time.monotonic() - start:.0f} s; the host has {own.rss_kib / 1024:.0f} MiB in the end")
    if tally.violations:
        print(f"again: python -m benchmarks.soak --seconds {seconds:.0f} --seed {arguments.seed}")
    return 1 if tally.violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=_MINUTES, help=f"how long ({_MINUTES:g})")
    length.add_argument("--seconds", type=float, help="how long, for short ones")
    parser.add_argument("--sessions", type=int, default=_SLOTS, help=f"how many at a time ({_SLOTS})")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="what is drawn: any text (a new one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
