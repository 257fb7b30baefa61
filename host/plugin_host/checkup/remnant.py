"""Which marked processes were left behind by a host that is gone.

Pure: it judges rows of a process table with the marks they carry. A living host has a keeper that names
the host's run. A host may have had no keeper, so what speaks for a living one is looked for, too: a plugin
leads a session, and its parent is the host. Invariant: processes of a run that has a keeper are never
called left behind.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from plugin_host.environment import run_tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from plugin_host.processtable import ProcessRow

__all__ = ["Marked", "Remnant", "judge", "keeper_run"]

_KEEPER = "/keeper/program.py"
_INIT = 1
# Who takes in the orphans of others, besides process 1.
_REAPERS = (
    "systemd",
    "init",
    "tini",
    "dumb-init",
    "catatonit",
    "containerd-shim",
    "conmon",
    "s6-",
    "runsv",
)


class Marked(NamedTuple):
    """A process with the value of its PLUGIN_HOST_RUN."""

    row: ProcessRow
    mark: str


@dataclass(frozen=True, slots=True)
class Remnant:
    """The processes of one run without a keeper. With `host` they may belong to that living process."""

    run: str
    plugins: tuple[str, ...]
    rows: tuple[ProcessRow, ...]
    host: ProcessRow | None = None


def keeper_run(arguments: Iterable[str]) -> str | None:
    """The run that a keeper with this command line keeps; None for another program."""
    words = list(arguments)
    if len(words) >= 3 and words[-3].endswith(_KEEPER):
        return words[-1]
    return None


def judge(
    rows: Mapping[int, ProcessRow],
    marked: Collection[Marked],
    kept: Collection[str],
    pythons: Collection[int] = (),
) -> list[Remnant]:
    """The runs that have processes and no keeper, in the order of their names.

    `rows` are all processes by pid, `kept` the runs with a keeper, `pythons` the pids of interpreters.
    """
    members: defaultdict[str, dict[int, ProcessRow]] = defaultdict(dict)
    plugins: defaultdict[str, set[str]] = defaultdict(set)
    for row, mark in marked:
        for token in run_tokens(mark):
            run, _, rest = token.partition("/")
            if run and not row.dead:
                members[run][row.pid] = row
                plugins[run].add(rest.partition("/")[0])
    found = []
    for run in sorted(members.keys() - set(kept)):
        ours = members[run]
        host = _possible_host(rows, ours, pythons)
        found.append(
            Remnant(run, tuple(sorted(plugins[run])), tuple(ours[pid] for pid in sorted(ours)), host)
        )
    return found


def _possible_host(
    rows: Mapping[int, ProcessRow], ours: Mapping[int, ProcessRow], pythons: Collection[int]
) -> ProcessRow | None:
    """The parent of a session's leader, unless it is one of them or one that takes in orphans."""
    for row in ours.values():
        parent = rows.get(row.parent)
        if row.pid != row.session or parent is None or parent.pid in ours:
            continue
        if parent.pid in pythons or not _takes_in_orphans(parent):
            return parent
    return None


def _takes_in_orphans(row: ProcessRow) -> bool:
    return row.pid == _INIT or row.name.startswith(_REAPERS)
