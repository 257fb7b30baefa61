"""The command line: `python -m benchmarks [ROW ...]` and `python -m benchmarks profile`."""

from __future__ import annotations

import argparse
import sys

from . import report
from .figure import ROWS
from .worker import WorkerFailed

_ROUNDS, _QUICK_ROUNDS = 5, 3


def main() -> int:
    """Run what the arguments ask for; 0, or 1 when a floor or this project could not be measured."""
    arguments = _parser().parse_args()
    if "profile" in arguments.rows:
        from . import hotspot

        hotspot.report(arguments.quick)
        return 0
    rounds = arguments.rounds or (_QUICK_ROUNDS if arguments.quick else _ROUNDS)
    try:
        report.make(
            arguments.rows or ROWS,
            rounds=rounds,
            quick=arguments.quick,
            peers=arguments.peers,
            json_path=arguments.json,
        )
    except WorkerFailed as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Costs of calls, launches and idle plugins, as ratios to floors and peers of the same run.",
    )
    parser.add_argument(
        "rows",
        nargs="*",
        type=_row,
        metavar="ROW",
        help=f"of {', '.join(ROWS)} (all), or `profile`: where the time of a call goes",
    )
    parser.add_argument("--quick", action="store_true", help="a short form: rough figures in about 20 s")
    parser.add_argument("--rounds", type=_positive, help=f"rounds to take medians of ({_ROUNDS})")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="floors and ours alone")
    parser.add_argument("--json", metavar="FILE", help="write all figures of all rounds there as well")
    return parser


def _row(text: str) -> str:
    """Checked here: argparse's own `choices` refuse an empty list."""
    if text not in (*ROWS, "profile"):
        raise argparse.ArgumentTypeError(f"no row {text!r}; there are {', '.join(ROWS)} and profile")
    return text


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
