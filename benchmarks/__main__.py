"""The command line: `python -m benchmarks [ROW ...]`, and `profile [ROW ...]`, `growth` or `idle` of it."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from . import document, page, picture, plot, report
from .catalogue import ROWS

if TYPE_CHECKING:
    from collections.abc import Collection

_ROUNDS, _QUICK_ROUNDS = 5, 3
_PROFILE = "profile"


def main() -> int:
    """Run what the arguments ask for; 0, or 1 when a measurement of this project or of a floor failed.

    What fails is reported, and everything else measured. With --soak also 1 when that found anything wrong.
    """
    if sys.argv[1:2] in (["growth"], ["idle"]):
        from .growth import report as growth

        return growth.main(sys.argv[2:] if sys.argv[1] == "growth" else sys.argv[1:])
    arguments = _parser().parse_intermixed_args()
    rows = [row for row in arguments.rows if row != _PROFILE] or ROWS
    if _PROFILE in arguments.rows:
        _explain(rows, quick=arguments.quick)
        return 0
    status = _measure(rows, arguments)
    if arguments.soak is not None:
        command = [sys.executable, "-m", "benchmarks.soak", "--minutes", str(arguments.soak)]
        print(flush=True)
        status = max(status, subprocess.run(command).returncode)
    return status


def _measure(rows: Collection[str], arguments: argparse.Namespace) -> int:
    rounds = arguments.rounds or (_QUICK_ROUNDS if arguments.quick else _ROUNDS)
    results = report.make(rows, rounds=rounds, quick=arguments.quick, peers=arguments.peers)
    if arguments.json is not None:
        document.write(arguments.json, results)
        print(f"\nall figures of all rounds: {arguments.json}")
    elif len(rows) == len(ROWS) and arguments.peers and not arguments.quick:
        _publish(results)
    missed = {figure["row"] for figure in results["figures"] if figure["verdict"] == "MISSED"}
    if missed:
        print(f"\nwhere the time goes: python -m benchmarks profile {' '.join(sorted(missed))}")
    return 1 if results["failures"] else 0


def _publish(results: document.Document) -> None:
    """Keep a whole run in docs/speed, and draw the page and its pictures anew."""
    path = page.FOLDER / f"results-{results['machine']['python'].rpartition('.')[0]}.json"
    document.write(path, results)
    page.write(page.stored())
    print(f"\nall figures of all rounds: {path}; tables: {page.PAGE}")
    if (reason := picture.missing()) is not None:
        print(reason)
        return
    print("pictures:", *plot.draw(page.stored(), page.FOLDER))


def _explain(rows: Collection[str], *, quick: bool) -> None:
    from . import hotspot, session_profile, startup

    if "cold" in rows:
        startup.report(quick)
    if not set(rows).isdisjoint(hotspot.ROWS):
        hotspot.report(rows, quick=quick)
    if not set(rows).isdisjoint(session_profile.ROWS):
        session_profile.report(rows, quick=quick)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Costs of calls, launches, idle plugins and sessions, beside floors and peers.",
    )
    parser.add_argument(
        "rows",
        nargs="*",
        type=_row,
        metavar="ROW",
        help=f"of {', '.join(ROWS)} (all); `{_PROFILE}` with rows: where their time goes",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a short form: rough figures in about a minute"
    )
    parser.add_argument("--rounds", type=_positive, help=f"rounds to take medians of ({_ROUNDS})")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="floors and ours alone")
    parser.add_argument(
        "--soak", metavar="MINUTES", type=float, help="then run the soak of sessions as well"
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=Path,
        help="write all figures of all rounds there; a run of all rows"
        " writes docs/speed/results-VERSION.json, tables and pictures unless this is given",
    )
    return parser


def _row(text: str) -> str:
    """Checked here: argparse's own `choices` refuse an empty list."""
    if text not in (*ROWS, _PROFILE):
        raise argparse.ArgumentTypeError(f"no row {text!r}; there are {', '.join(ROWS)} and {_PROFILE}")
    return text


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
