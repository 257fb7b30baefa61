"""The end of a plugin's process that nobody asked for, as one object used everywhere.

The exception of a call, the event, the log, `status` and the command line all show this object. Pure:
what is known is put in, words come out. Invariant: a report never changes; `next` says what the host
did about it.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from .exitstatus import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DeathReport", "Phase"]

_SHOWN_LINES = 3
_SHOWN_NAMES = 5
# What `to_map` writes as it is and under its own name.
_CARRIED = ("plugin", "at", "how", "pid", "limit", "hang", "cpu_s", "restarts", "next")


class Phase(StrEnum):
    """How far the plugin had come: starting its program, importing its code, answering `initialize`,
    ready with nothing to do, or with calls, sessions or tasks in flight."""

    SPAWN = "spawn"
    IMPORT = "import"
    INITIALIZE = "initialize"
    IDLE = "idle"
    CALL = "call"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeathReport:
    """How and in the middle of what a plugin ended.

    `how` is a clause such as "killed by SIGSEGV (segmentation fault)"; `status` the exit status, None
    when no process ran or it still ran; `limit` says the same as `how` when a limit or a lack of memory
    ended it; `hang` is what it was doing when it was found unresponsive, with the stacks of its threads.
    `stderr` are its last lines, `calls` the names of the calls in flight, `sessions` the ids of the open
    ones, `tasks` those of the tasks that it had and that had not ended. `uptime` and `cpu_s` are seconds,
    `peak_memory` bytes (None when unknown), `restarts` how often it had been started again before. `next`
    is a sentence: what happens next. `at` is seconds since the epoch.
    """

    plugin: str
    phase: Phase
    how: str
    pid: int | None = None
    status: ExitStatus | None = None
    limit: str | None = None
    hang: str | None = None
    stderr: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    uptime: float = 0.0
    peak_memory: int | None = None
    cpu_s: float | None = None
    restarts: int = 0
    next: str = ""
    at: float = field(default_factory=time.time, compare=False)

    @property
    def is_failure(self) -> bool:
        """Whether something went wrong: anything but a program that ended by itself, with status 0,
        while nobody waited for it."""
        quiet = self.phase is Phase.IDLE and self.status is not None and self.status.ok
        return not quiet

    def sentence(self, when: str = "") -> str:
        """One line: who, when, how and after how long."""
        text = f"plugin `{self.plugin}` died {when}".rstrip()
        return f"{text}: {self.how}, after {self.uptime:.1f} s"

    def describe(self, when: str = "") -> str:
        """The sentence and what a person wants to see below it: last lines, stacks, what happens next."""
        text = self.sentence(when)
        lines = [line for line in self.stderr if line.strip()][-_SHOWN_LINES:]
        if self.hang:
            text += "\n  what it was doing:" + _indented(self.hang.splitlines())
        if lines:
            text += "\n  last lines of its stderr:" + _indented(lines)
        if self.next:
            text += f"\n  {self.next}"
        return text

    def story(self) -> str:
        """One line for a list of deaths: at what time, how, in the middle of what."""
        clock = time.strftime("%H:%M:%S", time.localtime(self.at))
        busy = (("call", self.calls), ("session", self.sessions), ("task", self.tasks))
        parts = [_counted(noun, names) for noun, names in busy if names]
        doing = " and ".join(parts) or f"phase {self.phase}"
        return f"{clock}  {self.how}, after {self.uptime:.1f} s ({doing})"

    def to_map(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        status = self.status
        return {
            "plugin": self.plugin,
            "at": self.at,
            "phase": str(self.phase),
            "how": self.how,
            "pid": self.pid,
            "exit_code": None if status is None else status.code,
            "signal": None if status is None else status.signal,
            "limit": self.limit,
            "hang": self.hang,
            "stderr": list(self.stderr),
            "calls": list(self.calls),
            "sessions": list(self.sessions),
            "tasks": list(self.tasks),
            "uptime_s": round(self.uptime, 3),
            "peak_memory_bytes": self.peak_memory,
            "cpu_s": self.cpu_s,
            "restarts": self.restarts,
            "next": self.next,
        }

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> DeathReport:
        """The report that `to_map` made; what is missing there is unknown here."""
        code, signal = values.get("exit_code"), values.get("signal")
        ended = code is not None or signal is not None
        named: dict[str, Any] = {name: values[name] for name in _CARRIED if name in values}
        lists: dict[str, Any] = {
            name: tuple(values.get(name, ())) for name in ("stderr", "calls", "sessions", "tasks")
        }
        return cls(
            phase=Phase(values.get("phase", Phase.IDLE)),
            status=ExitStatus(code=code, signal=signal) if ended else None,
            uptime=values.get("uptime_s", 0.0),
            peak_memory=values.get("peak_memory_bytes"),
            **named,
            **lists,
        )


def _indented(lines: Sequence[str]) -> str:
    return "".join(f"\n    {line}" for line in lines)


def _counted(noun: str, names: Sequence[str]) -> str:
    """`call greet`, `3 calls: greet (2), add`."""
    if len(names) == 1:
        return f"{noun} {names[0]}"
    counts = Counter(names).most_common()
    shown = [name if count == 1 else f"{name} ({count})" for name, count in counts[:_SHOWN_NAMES]]
    if len(counts) > _SHOWN_NAMES:
        shown.append("…")
    return f"{len(names)} {noun}s: {', '.join(shown)}"
