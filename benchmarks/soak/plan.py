"""What one session of the soak is to be and how it is to end, drawn at random."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["ROOT", "Plan", "draw"]

ROOT = Path(__file__).resolve().parents[2]

_TOTALS = (1, 5000, 300_000, 1_000_000, 3_000_000, 12_000_000)
_PACES = (200_000, 1_000_000, 1_000_000, 4_000_000, 0)
_LONGEST_S = 8.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One session. `total` are the bytes of its stdout, `bytes_per_s` 0 is as fast as it may.

    `ending`: exit (by itself), interrupt, kill, close, or stdin, which is the end of a mirror's input.
    """

    id: str
    kind: str
    tty: bool
    binary: bool
    tags: dict[str, str]
    total: int
    bytes_per_s: int
    code: int
    linger: bool
    ending: str
    detached: bool
    replay_bytes: int | None
    seed: str

    def command(self, python: str, ledger: Path) -> list[str]:
        """What to run, in `ROOT`."""
        words = {
            "kind": self.kind,
            "raw": self.tty and self.binary,
            "binary": self.binary,
            "tags": self.tags,
            "total": self.total,
            "bytes_per_s": self.bytes_per_s,
            "code": self.code,
            "linger": self.linger,
            "seed": self.seed,
            "ledger": str(ledger),
        }
        return [python, "-m", "benchmarks.soak.child", json.dumps(words)]


def draw(chance: random.Random, number: int) -> Plan:
    """The plan of session `number`."""
    kind = "mirror" if chance.random() < 0.25 else "source"
    tty = chance.random() < 0.5
    if kind == "mirror":
        ending = (
            chance.choice(("close", "kill")) if tty else chance.choice(("stdin", "stdin", "close", "kill"))
        )
    else:
        ending = chance.choice(("exit", "exit", "exit", "interrupt", "kill", "close"))
    total = chance.choice(_TOTALS)
    pace = chance.choice(_PACES)
    tags = {"stdout": f"s{number:06d}o"}
    if kind == "source" and not tty:
        tags["stderr"] = f"s{number:06d}e"
    return Plan(
        id=f"soak-{number}",
        kind=kind,
        tty=tty,
        binary=kind == "mirror" or not tty or chance.random() < 0.5,
        tags=tags,
        total=total,
        bytes_per_s=max(pace, int(total / _LONGEST_S)) if pace else 0,
        code=chance.randrange(0, 100),
        linger=kind == "source" and chance.random() < 0.1,
        ending=ending,
        detached=chance.random() < 0.3,
        replay_bytes=chance.choice((None, None, None, 100_000)),
        seed=str(chance.random()),
    )
