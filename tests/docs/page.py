"""Reads a page of the documentation: its code blocks and its links.

A block's first line says what it is: a language, then marks. `file=PATH` is a file of the page's own
folder, `append` adds to it, `host` is the inside of `async with PluginHost(...) as host:`. Knows
Markdown only as far as the pages use it, and runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(```+)(.*)$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`]*`")
_HEADING = re.compile(r"^#+ +(.*)$")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page; `line` is where its text begins."""

    page: str
    line: int
    language: str
    marks: tuple[str, ...]
    text: str

    @property
    def file(self) -> str | None:
        """The file it is to be written to."""
        return next((mark.removeprefix("file=") for mark in self.marks if mark.startswith("file=")), None)

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a page, in order. Raises ValueError for one that never ends."""
    found = []
    opening: tuple[int, str, list[str]] | None = None
    text: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opening is None and fence:
            opening, text = (number + 1, fence[1], fence[2].split() or [""]), []
        elif opening and fence and fence[1] == opening[1] and not fence[2]:
            start, _, (language, *marks) = opening
            found.append(Block(path.name, start, language, tuple(marks), "\n".join(text) + "\n"))
            opening = None
        elif opening:
            text.append(line)
    if opening is not None:
        raise ValueError(f"{path.name}:{opening[0]}: the block does not end")
    return found


def prose(path: Path) -> list[str]:
    """The lines of a page outside its blocks; a line inside one is empty here."""
    lines = []
    fence = ""
    for line in path.read_text().splitlines():
        match = _FENCE.match(line)
        if match and not fence:
            fence = match[1]
        elif match and match[1] == fence:
            fence = ""
        elif not fence:
            lines.append(line)
            continue
        lines.append("")
    return lines


def links(path: Path) -> Iterator[tuple[int, str]]:
    """Every link that stays in the repository, with its line."""
    for number, line in enumerate(prose(path), 1):
        for target in _LINK.findall(_CODE.sub("", line)):
            if "://" not in target and not target.startswith("mailto:"):
                yield number, target


def anchors(path: Path) -> set[str]:
    """What `#...` may name on a page: its headings as GitHub writes them."""
    headings = [match[1] for line in prose(path) if (match := _HEADING.match(line))]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
