"""What holds one launch of a plugin to its limits, from before its first instruction to after its last.

Owns the launch's cgroup, its shim and its place in the sampling; what they are follows from the plan. The
order is `confine`, spawn, `admit`, `watch`; at the end `verdict`, then `release`, which comes also when
the spawn failed. Invariant: with a cgroup nothing of the plugin's own code runs before `admit`, and after
`release` nothing is left.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
from typing import TYPE_CHECKING

from . import cgroup
from .errand import apart
from .limit import plan
from .shim import Shim
from .tree import identify, snapshot
from .verdict import Counts, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .exitstatus import ExitStatus
    from .machine import Machine
    from .manifest import Manifest
    from .process import ProcessSpec
    from .tree import ProcessIdentity
    from .usage import Excess, Sampler, Watch

__all__ = ["Confinement", "confine"]

_log = logging.getLogger("plugin_host.confinement")


def confine(
    manifest: Manifest,
    token: str,
    machine: Machine,
    *,
    killable: bool = False,
    extra: Sequence[str] = (),
) -> Confinement:
    """What holds the launch that `token` marks to the limits of `manifest`. Raises OSError.

    `killable` makes a group that can be killed in one step also for a plugin without limits, where the
    machine has such. `extra` are more options for the SDK's start-up or the shim, such as `--umask`.
    """
    confinement = Confinement(manifest, machine)
    confinement.enclose(token, killable=killable)
    try:
        confinement.instruct(manifest.launch.argv is not None, extra)
    except BaseException:
        confinement.abandon()
        raise
    return confinement


class Confinement:
    """One launch's limits; made by `confine`.

    `enforcements` is the plan as it came true. `options` are for the SDK's start-up, or for the shim that
    a program needs instead; then `prefix` is what stands before the program's own arguments. `pass_fds`
    are descriptors that the process has to inherit.
    """

    def __init__(self, manifest: Manifest, machine: Machine) -> None:
        self._limits = manifest.limits
        self._machine = machine
        self._group: cgroup.Group | None = None
        self._shim: Shim | None = None
        self._watch: Watch | None = None
        self._excess: Excess | None = None
        self._beside_before = self._oom_kills_beside()
        self._final: tuple[Counts, int | None] | None = None
        self.enforcements = plan(manifest.limits, machine)
        self.options: list[str] = []

    def enclose(self, token: str, *, killable: bool) -> None:
        """Make the group that the plan asks for; where it cannot be made the plan changes."""
        held = {one.limit: int(one.value) for one in self.enforcements if _is_of_cgroup(one.how)}
        if not held and not (killable and self._machine.killer):
            return
        try:
            self._group = cgroup.make_group(
                self._machine,
                token,
                memory_bytes=held.get("memory_bytes"),
                processes=held.get("processes"),
            )
        except OSError as error:
            self._fall_back(error)

    def instruct(self, is_program: bool, extra: Sequence[str]) -> None:
        """Settle what the process is told on its command line."""
        is_gated = self._group is not None or any(_is_of_cgroup(one.how) for one in self.enforcements)
        options = [*extra]
        for one in self.enforcements:
            if one.how == "rlimit":
                options += ["--limit", f"{one.limit}={math.ceil(one.value)}"]
        if not is_program:
            # The wire itself is the gate: the host's first message comes after `admit`.
            self.options = [*(("--gate", "0") if is_gated else ()), *options]
        elif is_gated or options:
            self._shim = Shim(is_gated=is_gated)
            self.options = options

    def abandon(self) -> None:
        """There will be no spawn."""
        if self._group is not None:
            self._group.discard()

    @property
    def prefix(self) -> list[str]:
        """What stands before the program and its arguments; empty without a shim."""
        return self._shim.command(self.options) if self._shim else []

    @property
    def pass_fds(self) -> tuple[int, ...]:
        """Descriptors that the process has to inherit under their own numbers."""
        return self._shim.pass_fds if self._shim else ()

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of its cgroup, for whoever has to clear up after this host."""
        return self._group.folders if self._group else ()

    def plan_group(self, token: str) -> cgroup.Group | None:
        """A group for a plugin that runs without one, which is still to be made; None when it has one, or
        can have none."""
        if self._group is not None or self._final is not None:
            return None
        self._group = cgroup.plain_group(self._machine, token)
        return self._group

    def members(self) -> frozenset[int]:
        """Who is in its cgroup now; nobody without one."""
        return self._group.pids() if self._group else frozenset()

    async def admit(self, pid: int, spec: ProcessSpec) -> None:
        """Put the process that was just spawned under its limits and let it go on.

        Through a shim this returns when the program runs, or nothing of it any more: bound it by the time
        that the start may take. Raises SpawnError when the shim could not become the program.
        """
        if self._group is not None:
            try:
                await asyncio.to_thread(self._add, self._group, pid, spec.sandboxed)
            except ProcessLookupError:
                pass  # it has ended, which its status will explain
            except OSError as error:
                self._fall_back(error)
        if self._shim is not None:
            self._shim.open_gate()
            await self._shim.exchanged(spec)

    def _add(self, group: cgroup.Group, pid: int, sandboxed: bool) -> None:
        """In a thread. A sandbox may have begun its program already, which now waits at its gate."""
        group.add(pid)
        root = identify(pid) if sandboxed and self._shim is None else None
        for one in snapshot(root) if root is not None else ():
            if one.pid != pid:
                group.add(one.pid)

    def watch(self, sampler: Sampler, root: ProcessIdentity, on_excess: Callable[[Excess], None]) -> None:
        """Have the plugin looked at, if that is how a limit of it is held.

        `on_excess` is called in the loop, once for each limit, with a plugin that has to be ended.
        """
        allowed = {one.limit: int(one.value) for one in self.enforcements if one.how == "sampling"}
        if not allowed:
            return

        def note(excess: Excess) -> None:
            self._excess = self._excess or excess
            on_excess(excess)

        self._watch = sampler.watch(root, allowed, note)

    def verdict(self, status: ExitStatus, stderr: Sequence[str] = ()) -> str | None:
        """How it ended, when a limit or a lack of memory had to do with it; `stderr` are its last lines."""
        counts, _ = self._final or self._counted()
        return verdict(status, self.enforcements, counts, excess=self._excess, stderr=stderr)

    def peak_memory(self) -> int | None:
        """The most memory that its processes had together, in bytes; None where nobody looked."""
        return (self._final or self._counted())[1]

    def kill(self) -> bool:
        """SIGKILL to all that is in its cgroup; False without one, or when somebody may be left."""
        return self._group is not None and self._group.kill()

    async def release(self, *, by_thread: bool = False) -> bool:
        """Kill what is left in its cgroup and give everything back; False when its folders are still there.

        A second call does nothing. `by_thread` is for while processes are moved into other cgroups.
        """
        if self._final is None:
            self._final = self._counted()
        if self._watch is not None:
            self._watch.close()
        if self._shim is not None:
            self._shim.close()
        group, self._group = self._group, None
        if group is None:
            return True
        if group.pids():
            await apart(group.kill)
        if await group.remove(by_thread=by_thread):
            return True
        _log.warning("%r could not be removed: processes are still in it", group)
        return False

    def _counted(self) -> tuple[Counts, int | None]:
        beside = max(0, self._oom_kills_beside() - self._beside_before)
        peak = self._watch.peak_memory if self._watch else None
        group = self._group
        if group is None:
            return Counts(oom_kills_beside=beside), peak
        counts = Counts(
            oom_kills=group.oom_kills,
            is_out_of_memory=group.is_out_of_memory,
            refused_forks=group.refused_forks,
            oom_kills_beside=beside,
        )
        return counts, peak if group.peak_memory is None else group.peak_memory

    def _oom_kills_beside(self) -> int:
        place = self._machine.own_memory
        return (cgroup.oom_kills(place) or 0) if place else 0

    def _fall_back(self, error: OSError) -> None:
        """Without the group what it should have held is only looked at."""
        reason = f"no cgroup could be made for it: {error.strerror or error} ({error.filename})"
        if error.errno == errno.ENOSPC:
            reason += "; the cgroup above allows no more of them"
        self._machine = self._machine.without({"memory": reason, "pids": reason})
        self.enforcements = plan(self._limits, self._machine)


def _is_of_cgroup(how: str | None) -> bool:
    return how in ("cgroup v1", "cgroup v2")
