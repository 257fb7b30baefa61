"""Writes the tables of docs/speed.md from documents of results.

    python -m benchmarks.page [docs/speed/results-*.json]
    python -m benchmarks.page --check

The page marks their place with `<!-- figures -->` and `<!-- end -->`; what stands between is replaced.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from .document import read
from .markdown import markdown
from .scoreboard import scoreboard

__all__ = ["FOLDER", "PAGE", "filled", "stored", "write"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "speed.md"
FOLDER = PAGE.with_name("speed")

_REGION = re.compile(r"(<!-- figures -->\n).*?(<!-- end -->)", re.DOTALL)


def stored() -> list[Path]:
    """The documents that the page is made of unless others are named."""
    return sorted(FOLDER.glob("results-*.json"))


def filled(page: str, table: str) -> str:
    """The text of the page with its tables. Raises ValueError when it has no place for them."""
    text, count = _REGION.subn(lambda found: f"{found[1]}\n{table}\n{found[2]}", page)
    if count != 1:
        raise ValueError(
            f"the page has {count} places between <!-- figures --> and <!-- end -->; 1 is needed"
        )
    return text


def write(paths: list[Path], *, check: bool = False) -> bool:
    """Whether the page is as it was; with `check` it is only looked at."""
    before = PAGE.read_text(encoding="utf-8")
    after = filled(before, markdown(scoreboard(map(read, paths))))
    if not check and before != after:
        PAGE.write_text(after, encoding="utf-8")
    return before == after


def main(arguments: list[str]) -> int:
    """0, or with --check 1 when the page is out of date."""
    check = "--check" in arguments
    paths = [Path(name) for name in arguments if name != "--check"] or stored()
    if not write(paths, check=check) and check:
        print(f"out of date: {PAGE}; run: python -m benchmarks.page", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
