"""What runs in the soak's sessions: `python -m benchmarks.soak.child PLAN`, a plan as JSON.

A `source` writes its content at an uneven pace until a total is reached; a `mirror` gives back what it is
given. SIGUSR1 is counted, SIGWINCH noted with the new size, SIGINT ends a source between two writes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .ledger import Ledger
from .pattern import Pattern

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["INTERRUPTED", "Child"]

INTERRUPTED = 42
"""The exit code of a source that got SIGINT."""

_STREAMS = {"stdout": 1, "stderr": 2}
_MIRRORED_BYTES = 64 * 1024
_LINGER_S = 1.0


class Child:
    """One program around its ledger."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._ledger = Ledger(Path(plan["ledger"]))
        self._is_interrupted = False
        signal.signal(signal.SIGUSR1, self._count)
        signal.signal(signal.SIGWINCH, self._resized)
        signal.signal(signal.SIGINT, self._interrupted)

    def run(self) -> int:
        """Do what the plan says; the exit code."""
        if self._plan["raw"]:
            import tty  # here, because only terminals need it

            tty.setraw(0)
        self._ledger["ready"] = 1
        try:
            if self._plan["kind"] == "mirror":
                self._mirror()
            else:
                self._source()
        except BrokenPipeError:
            pass  # nobody is there to read any more
        self._ledger["over"] = 1
        if self._plan["linger"] and os.fork() == 0:
            time.sleep(_LINGER_S)
        return INTERRUPTED if self._is_interrupted else int(self._plan["code"])

    def _source(self) -> None:
        plan, chance = self._plan, random.Random(self._plan["seed"])
        patterns = {name: Pattern(tag, is_text=not plan["binary"]) for name, tag in plan["tags"].items()}
        names, pace = list(patterns), plan["bytes_per_s"]
        while not self._is_interrupted and self._ledger[f"written_{names[0]}"] < plan["total"]:
            name = names[0] if chance.random() < 0.7 else names[-1]
            size = chance.choice((1, 3, 79, 1000, 4096, 16_384, 65_536, 200_000))
            if name == names[0]:
                size = min(size, plan["total"] - self._ledger[f"written_{name}"])
            self._write(name, patterns[name].slice(self._ledger[f"written_{name}"], size))
            if pace:
                time.sleep(min(size / pace * chance.uniform(0, 2), 0.2))

    def _mirror(self) -> None:
        while data := self._read():
            self._write("stdout", data)

    def _read(self) -> bytes:
        try:
            return os.read(0, _MIRRORED_BYTES)
        except OSError:  # how the end of a terminal looks
            return b""

    def _write(self, name: str, data: bytes) -> None:
        written = self._ledger[f"written_{name}"]
        view = memoryview(data)
        while view:
            self._ledger[f"offered_{name}"] = written + len(view)
            size = os.write(_STREAMS[name], view)
            written += size
            self._ledger[f"written_{name}"] = written
            view = view[size:]

    def _count(self, number: int, frame: FrameType | None) -> None:
        self._ledger["signals"] += 1

    def _resized(self, number: int, frame: FrameType | None) -> None:
        size = os.get_terminal_size(0)
        self._ledger["rows"], self._ledger["cols"] = size.lines, size.columns

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self._is_interrupted = True


def main() -> None:
    """Run the plan and end at once: an interpreter that shuts down would die of the next SIGUSR1."""
    try:
        code = Child(json.loads(sys.argv[1])).run()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    os._exit(code)


if __name__ == "__main__":
    main()
