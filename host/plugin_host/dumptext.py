"""The text that Python's faulthandler writes: stacks on a signal, and the line where a process crashed.

Pure. The format has no specification; this reads that of Python 3.11 to 3.14, and what it does not know it
leaves out. Frames there go from the innermost to the outermost.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .stack import MOST_FRAMES, MOST_STACKS, Frame, Stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["crash_place", "parse"]

_HEAD = re.compile(
    r"(?:(?:Current thread|Thread) 0x(?P<ident>[0-9a-fA-F]+)(?: \[(?P<name>.*)\])?|Stack)"
    r" \(most recent call first\):"
)
_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+|\?\?\?) in (?P<function>.*)')
_FATAL = "Fatal Python error: "


def parse(text: str) -> tuple[Stack, ...]:
    """The threads of a dump, in its order: the newest thread first."""
    return tuple(_threads(text.splitlines()))


def crash_place(stderr: Sequence[str]) -> str | None:
    """`Segmentation fault at demo.py:5 in crash`, from a process's last lines; None without a crash."""
    for number in range(len(stderr) - 1, -1, -1):
        if stderr[number].startswith(_FATAL):
            break
    else:
        return None
    what = stderr[number].removeprefix(_FATAL)
    for stack in _threads(stderr[number + 1 :]):
        frame = stack.own_frame or (stack.frames[-1] if stack.frames else None)
        if frame is not None:
            return f"{what} at {frame.describe()}"
    return what


def _threads(lines: Iterable[str]) -> list[Stack]:
    found: list[tuple[int, str, list[Frame]]] = []
    for line in lines:
        if head := _HEAD.match(line):
            if len(found) == MOST_STACKS:
                break
            found.append((int(head["ident"] or "0", 16), head["name"] or "", []))
        elif found and (match := _FRAME.fullmatch(line)) and len(found[-1][2]) < MOST_FRAMES:
            number = int(match["line"]) if match["line"].isdigit() else 0
            found[-1][2].append(Frame(match["file"], number, match["function"]))
    return [Stack(name, _without_scaffold(frames), ident) for ident, name, frames in found]


def _without_scaffold(frames: list[Frame]) -> tuple[Frame, ...]:
    """Outermost first, as `Stack` has them, and without what the runtime does around a handler."""
    while len(frames) > 1 and frames[-1].is_scaffold:
        frames.pop()
    return tuple(reversed(frames))
