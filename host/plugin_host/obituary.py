"""From what the host saw of an end to the report of it.

Owns which facts go into a `DeathReport` and in which words the end is told. Invariant: nothing is decided
here about what follows; that, and `next`, is the supervisor's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .death import DeathReport, Phase
from .dumptext import crash_place
from .errors import InitializeTimeout, PluginExited, SpawnError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .confinement import Confinement
    from .errors import LaunchError
    from .exitstatus import ExitStatus
    from .process import PluginProcess

__all__ = ["of_launch", "of_run"]


def of_launch(
    plugin: str,
    error: LaunchError,
    *,
    is_python: bool,
    confinement: Confinement | None,
    restarts: int,
) -> DeathReport:
    """The report of a launch that failed."""
    status = error.status
    how = str(error).partition("\n")[0].removeprefix(f"plugin `{plugin}` ")
    return DeathReport(
        plugin=plugin,
        phase=_phase_of(error, is_python=is_python),
        how=how.removesuffix(f"; hint: {error.hint}"),
        pid=error.pid,
        status=status,
        limit=error.limit,
        hang=error.hang,
        stderr=error.stderr,
        uptime=error.uptime,
        peak_memory=_peak_memory(confinement, status),
        cpu_s=None if status is None else status.cpu_s,
        restarts=restarts,
    )


def of_run(
    plugin: str,
    process: PluginProcess,
    *,
    calls: Iterable[str],
    sessions: Iterable[str],
    tasks: Iterable[str],
    confinement: Confinement | None,
    hang: tuple[str, str] | None,
    failure: str | None = None,
    error: Exception | None,
    has_hung_up: bool = False,
    restarts: int,
) -> DeathReport:
    """The report of a plugin that was ready.

    `hang` is why the host ended it and what it was found doing, `failure` what it said of why it
    closes, `error` how it broke the protocol; `has_hung_up` says that it closed its connection while it
    still ran.
    """
    calls, sessions, tasks, status = tuple(calls), tuple(sessions), tuple(tasks), process.status
    stderr = process.stderr.tail
    limit = confinement.verdict(status, stderr) if confinement is not None and status is not None else None
    if hang is not None:
        how = hang[0]
    else:
        # With nothing in flight it says no more than where the plugin rested.
        place = crash_place(stderr) if calls and status is not None and status.signal is not None else None
        how = _how(status, limit, place, error, has_hung_up=has_hung_up)
        how += f"; it said: {failure}" if failure is not None else ""
    return DeathReport(
        plugin=plugin,
        phase=Phase.CALL if calls or sessions or tasks else Phase.IDLE,
        how=how,
        pid=process.pid,
        status=status,
        limit=None if hang is not None else limit,
        hang=None if hang is None else hang[1],
        stderr=stderr,
        calls=calls,
        sessions=sessions,
        tasks=tasks,
        uptime=process.uptime,
        peak_memory=_peak_memory(confinement, status),
        cpu_s=None if status is None else status.cpu_s,
        restarts=restarts,
    )


def _how(
    status: ExitStatus | None,
    limit: str | None,
    place: str | None,
    error: Exception | None,
    *,
    has_hung_up: bool,
) -> str:
    """How a plugin ended that the host did not end, in words; `place` is where a signal struck."""
    if status is None:
        return f"it broke the protocol: {error}" if error else "it closed its connection and runs on"
    how = limit or status.describe()
    if place:
        how += f": {place}"
    if has_hung_up and status.code == 0 and limit is None:
        how = f"closed its connection and then {how}"
    return f"{how}, after it broke the protocol: {error}" if error else how


def _phase_of(error: LaunchError, *, is_python: bool) -> Phase:
    if isinstance(error, SpawnError):
        return Phase.SPAWN
    # A Python plugin that ends, or takes too long, before its answer does so while its code is imported.
    is_before_answer = isinstance(error, (PluginExited, InitializeTimeout))
    return Phase.IMPORT if is_python and is_before_answer else Phase.INITIALIZE


def _peak_memory(confinement: Confinement | None, status: ExitStatus | None) -> int | None:
    """Of all its processes where that is known, else of itself."""
    counted = confinement.peak_memory() if confinement is not None else None
    return counted or (None if status is None else status.peak_memory)
