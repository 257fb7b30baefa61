"""One run of a plugin: from its launch to the moment nothing of it is left.

Owns the process, the link and the exec sessions of that run. Its owner, the supervisor, decides what
follows; an instance never starts another. Invariants: a death is reported to the owner once, and before
the calls in flight fail; after `stop`, or once `cleared` is done, nothing of the run is left.
"""

from __future__ import annotations

import asyncio
import logging
from signal import SIGKILL
from typing import TYPE_CHECKING, Any, Protocol

from . import ladder, obituary
from .custody import Custody
from .diagnosis import is_scarcity
from .engagement import Engagement
from .environment import run_token
from .errors import LaunchError, SpawnError
from .event import PluginNotified
from .journal import failure_text
from .launch import LaunchOrder, launch
from .linkowner import LinkOwner
from .metric.meter import Meter
from .processtable import is_ending

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from plugin_host_sdk.events import RequestReceived

    from .action.proxy import ActionProxy
    from .candidate import Candidate
    from .death import DeathReport
    from .exec.proxy import ExecProxy
    from .facility import Facilities
    from .health import HealthVerdict
    from .journal import Journal
    from .launch import Launched
    from .link import Link
    from .manifest import Manifest
    from .process import PluginProcess, ProcessSpec
    from .task.proxy import TaskProxy
    from .vigil import Watch

__all__ = ["Instance", "InstanceOwner"]

# How long after a plugin closed its connection the host waits for the exit that explains it.
_EXIT_FOLLOWS_S = 0.2
# What the plugin's own clean-up may take when it closed its connection and runs on.
_DEAD_STOP_S = 1.0


class InstanceOwner(Protocol):
    """Who runs instances."""

    def died(self, instance: Instance, report: DeathReport) -> DeathReport:
        """The instance has ended by itself; the same report with `next` filled in."""

    def commands_changed(self, instance: Instance, offered: Any) -> None:
        """The plugin registered or unregistered commands."""

    def unresponsive(self, instance: Instance, verdict: HealthVerdict) -> None:
        """The plugin does not answer, or its reader alone does; `verdict` says whether it may be ended."""

    def recovered(self, instance: Instance) -> None:
        """It is well again."""


class Instance(LinkOwner):
    """The run of number `number` of a plugin; `launch` starts it, `begin` opens it for use."""

    def __init__(
        self,
        candidate: Candidate,
        manifest: Manifest,
        number: int,
        facilities: Facilities,
        journal: Journal,
        owner: InstanceOwner,
        meter: Meter | None = None,
    ) -> None:
        self.candidate = candidate
        self.manifest = manifest
        self.number = number
        self.mark = run_token(facilities.run, candidate.id, number)
        self.is_raw = manifest.protocol == "msgpack-rpc"
        self.answer: dict[str, Any] = {}
        self.restarts = 0
        self._facilities = facilities
        self._journal = journal
        self._owner = owner
        self._meter = meter or Meter()
        self._launched: Launched | None = None
        self._process: PluginProcess | None = None
        self._link: Link | None = None
        self._ready_at = 0.0
        self._ending: asyncio.Task[None] | None = None
        self._watch: Watch | None = None
        self._custody = Custody(candidate, manifest, self.mark, facilities, journal)
        self._engagement: Engagement | None = None
        self._is_stopping = False
        self._has_hung_up = False
        self._hang: tuple[str, str] | None = None
        self._failure: str | None = None

    def __repr__(self) -> str:
        return f"<Instance {self.mark} pid={self.pid}>"

    @property
    def id(self) -> str:
        """The plugin's id."""
        return self.candidate.id

    @property
    def pid(self) -> int | None:
        """The process, once there is one."""
        return None if self._process is None else self._process.pid

    @property
    def link(self) -> Link:
        """The way to ask the plugin; there is one from `launch` on."""
        assert self._link is not None
        return self._link

    @property
    def process(self) -> PluginProcess:
        """The process; there is one from `launch` on."""
        assert self._process is not None
        return self._process

    @property
    def ready_for(self) -> float:
        """Seconds since it became ready."""
        return asyncio.get_running_loop().time() - self._ready_at

    @property
    def is_busy(self) -> bool:
        """Whether calls are in flight, sessions or tasks are open, or it asks something of the host."""
        return self._engagement is not None and self._engagement.is_busy

    @property
    def exec(self) -> ExecProxy | None:
        """Its sessions, from `launch` on."""
        return None if self._engagement is None else self._engagement.exec

    @property
    def actions(self) -> ActionProxy | None:
        """Its actions, from `launch` on."""
        return None if self._engagement is None else self._engagement.actions

    @property
    def tasks(self) -> TaskProxy | None:
        """Its tasks, from `launch` on."""
        return None if self._engagement is None else self._engagement.tasks

    # Starting.

    async def launch(self) -> None:
        """Start it and wait until it is ready. Raises LaunchError, ManifestError; nothing is left then."""
        try:
            launched = await self._launch_confined()
        except LaunchError as error:
            self._explain(error)
            raise
        except (OSError, RuntimeError) as error:  # no descriptor, thread or memory left to start it with
            scarce = SpawnError(f"plugin `{self.id}` cannot be started: {error}")
            scarce.is_scarce = is_scarcity(error)
            self._explain(scarce)
            raise scarce from error
        self._launched = launched
        self._process, self._link = launched.process, launched.link
        self._meter.add_wire(launched.link)
        self._engagement = Engagement(
            self.candidate, self.manifest, launched.link, self._facilities, self._journal, self._meter
        )
        self.answer = launched.answer

    def _explain(self, error: LaunchError) -> None:
        error.plugin = self.id
        error.report = obituary.of_launch(
            self.id,
            error,
            is_python=self.manifest.launch.entry_point is not None,
            confinement=self._custody.confinement,
            restarts=self.restarts,
        )

    async def _launch_confined(self) -> Launched:
        """Under its limits from before its first instruction, and with nothing left when it fails."""
        try:
            order = self._order(await self._custody.prepare())
            return await launch(order, self, self._journal.stderr, self._journal.gate)
        except BaseException:
            await self._custody.release()
            raise

    def begin(self) -> None:
        """Its owner knows it now: what it has said and how it ended since it was ready follows."""
        launched = self._launched
        assert launched is not None
        self._ready_at = asyncio.get_running_loop().time()
        launched.process.exited.add_done_callback(self._exited)
        self._watch = self._facilities.vigil.watch(
            self.link,
            self.manifest.health,
            on_unresponsive=lambda verdict: self._owner.unresponsive(self, verdict),
            on_recovered=lambda: self._owner.recovered(self),
            on_miss=self._meter.missed,
        )
        launched.hand_over()
        if not self._is_stopping and self._ending is None:
            self._custody.enclose(launched.process)

    def _order(self, spec: ProcessSpec) -> LaunchOrder:
        facilities, candidate, custody = self._facilities, self.candidate, self._custody
        return LaunchOrder(
            plugin=self.id,
            spec=spec,
            token=self.mark,
            raw=self.is_raw,
            timeout_s=self.manifest.launch.start_timeout_s,
            host_version=facilities.version,
            settings=candidate.settings,
            permissions=candidate.granted,
            confinement=custody.confinement,
            on_spawn=custody.note,
            on_admitted=custody.watch_use,
            make_link=facilities.make_link,
            take_start=facilities.forkserver.take,
        )

    # Dying.

    def ended(self, error: Exception | None) -> None:
        """The link is over; if the plugin is not being stopped, it has died or must be ended."""
        # The kernel closes the descriptors of a process that ends; this one closed its own.
        process = self.process
        is_seen = process.status is None and not process.sandboxed  # a sandbox outlives its program
        self._has_hung_up = error is None and is_seen and not is_ending(process.pid)
        self._begin_ending(error)

    def _exited(self, _: asyncio.Future[Any]) -> None:
        self.link.drain()
        self._begin_ending(None)

    def _begin_ending(self, error: Exception | None) -> None:
        self._close_watch()
        self._custody.withdraw()
        if not self._is_stopping and self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(
                self._end(error), name=f"ending of plugin {self.id}"
            )

    async def kill(self, how: str, doing: str) -> None:
        """End a plugin that hangs, as a death: `how` says why, `doing` what it was found doing."""
        if self._ending is None and not self._is_stopping:
            self._hang = how, doing
            self.process.send_signal(SIGKILL)
            await self.process.wait(ladder.KILL_S)
            self._begin_ending(None)  # also of one that the kernel does not let go

    async def _end(self, error: Exception | None) -> None:
        """Explain the death to the owner and to every caller, then clear away what is left."""
        process = self.process
        # Also after an error: a process that is killed while it writes leaves half a message behind.
        status = await process.wait_for_end(_EXIT_FOLLOWS_S)
        process.stderr.drain()
        report = self._owner.died(self, self._report(error))
        self.fail(report)
        try:
            await self._clear(None, 0.0 if status is None else _DEAD_STOP_S)
        except OSError as problem:  # looking at processes takes descriptors, and there may be none left
            text = f"plugin {self.id}: clearing up after it failed: {problem}"
            self._journal.tell(logging.ERROR, text)

    def _report(self, error: Exception | None) -> DeathReport:
        engagement = self._engagement
        assert engagement is not None
        return obituary.of_run(
            self.id,
            self.process,
            calls=engagement.calls,
            sessions=engagement.exec.running,
            tasks=engagement.tasks.unfinished,
            confinement=self._custody.confinement,
            hang=self._hang,
            failure=self._failure,
            error=error,
            has_hung_up=self._has_hung_up,
            restarts=self.restarts,
        )

    def fail(self, report: DeathReport) -> None:
        """End every call and session with the report."""
        self.link.close()
        assert self._engagement is not None
        self._engagement.died(report)

    def _close_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    async def wait_cleared(self) -> None:
        """Wait until nothing is left of it after a death."""
        if self._ending is not None:
            await asyncio.shield(self._ending)

    # Stopping.

    async def stop(self, *, is_hurried: bool = False) -> None:
        """Stop it politely, within its stop_timeout_s and the ladder's own bounds; or at once."""
        if self._ending is not None:
            await self.wait_cleared()
            return
        self._is_stopping = True
        if self._engagement is not None:
            self._engagement.tasks.is_closing = True
        self._close_watch()
        self._custody.withdraw()
        timeout = self.manifest.launch.stop_timeout_s
        polite = None if self.is_raw or is_hurried else lambda: self._ask_to_stop(timeout)
        await self._clear(polite, 0.0 if is_hurried else timeout)

    async def _clear(self, polite: Callable[[], Awaitable[None]] | None, timeout_s: float) -> None:
        """Take the whole process tree down and give everything back."""
        process, link = self.process, self.link
        try:
            report = await ladder.stop(
                process, polite=polite, timeout_s=timeout_s, mark=self.mark, members=self._custody.members
            )
            level = logging.INFO if report.clean else logging.WARNING
            self._journal.tell(level, f"plugin {self.id} stopped: {report.describe()}")
        finally:
            link.drain()
            link.close()
            self._meter.drop_wire(link)
            if self._engagement is not None:
                self._engagement.stopped()
            process.close()
            self._journal.flush()
            await self._custody.release()

    async def _ask_to_stop(self, timeout_s: float) -> None:
        """Ask and wait for the answer, which comes when the plugin's calls have ended."""
        grace_ms = int(timeout_s * 1000 * 0.3)
        if self.link.joint is not None:
            await self.link.joint.settle(timeout_s * 0.2)
        _, answer = self.link.request("shutdown", {"grace_ms": grace_ms}, name="")
        await answer

    # What the plugin says while it runs.

    def requested(self, event: RequestReceived) -> None:
        assert self._engagement is not None
        self._engagement.requested(event)

    def cancelled(self, msgid: int) -> None:
        assert self._engagement is not None
        self._engagement.cancelled(msgid)

    def notified(self, method: str, params: Any) -> None:
        if self.is_raw:
            self._facilities.emit(PluginNotified(plugin=self.id, method=method, params=params))
        elif not self._hear(method, params):
            self.link.slow_down()

    def _hear(self, method: str, params: Any) -> bool:
        """False when the plugin says more than the log has room for."""
        if method == "log":
            return self._journal.record(params)
        if method == "failure":
            self._failure = failure_text(params)
            return self._journal.failure(params)
        if method == "command.changed":
            self._owner.commands_changed(self, params)
        elif method == "command.split":
            self.link.take_split(params)
        elif self._engagement is not None:
            return self._engagement.notified(method, params)
        return True

    def stray_output(self, data: bytes) -> None:
        self._journal.stray(data)
