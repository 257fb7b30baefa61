"""What plugins have and have used, looked at when somebody asks.

One look at the machine's processes serves all plugins: 10 µs for each process of the machine and 30 µs for
each of a plugin's, so it is made on a thread of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .processtable import ProcessTable, read_use
from .tree import family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .tree import ProcessIdentity

__all__ = ["Consumption", "look"]


class Consumption(NamedTuple):
    """One run of a plugin at one moment. `memory` is the sum of the resident sizes in bytes, `cpu_s` the
    processor seconds of its processes and of those they have waited for."""

    cpu_s: float = 0.0
    memory: int = 0
    processes: int = 0
    threads: int = 0


def look(roots: Sequence[ProcessIdentity]) -> list[Consumption]:
    """What the processes that descend from each of `roots` have now; nothing for one that is gone."""
    if not roots:
        return []
    table = ProcessTable.read()
    return [_consumption(table, root) for root in roots]


def _consumption(table: ProcessTable, root: ProcessIdentity) -> Consumption:
    members = (row for row in family(table.rows, (root,), table.kin) if not row.dead)
    uses = [use for member in members if (use := read_use(member.pid))]
    return Consumption(
        cpu_s=sum(use.cpu_s for use in uses),
        memory=sum(use.resident for use in uses),
        processes=len(uses),
        threads=sum(use.threads for use in uses),
    )
