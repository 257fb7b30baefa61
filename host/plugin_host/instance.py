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
from .action.proxy import ActionProxy
from .confinement import confine
from .environment import run_token
from .errors import CallCancelled, CallFailed, LaunchError, MetadataError, PluginDied, SpawnError
from .event import PluginNotified
from .exec.proxy import ExecProxy
from .launch import LaunchOrder, launch
from .launchspec import isolate, process_spec, restraints
from .link import LinkOwner
from .metric.meter import Meter
from .processtable import is_ending
from .task.proxy import TaskProxy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from plugin_host_sdk.events import RequestReceived

    from .candidate import Candidate
    from .confinement import Confinement
    from .death import DeathReport
    from .enclosure import Enclosure
    from .facility import Facilities
    from .health import HealthVerdict
    from .isolation import Isolation
    from .journal import Journal
    from .launch import Launched
    from .link import Link
    from .manifest import Manifest
    from .process import PluginProcess
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
        """The plugin does not answer, or its event loop does not come round."""

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
        self.exec: ExecProxy | None = None
        self.actions: ActionProxy | None = None
        self.tasks: TaskProxy | None = None
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
        self._confinement: Confinement | None = None
        self._enclosure: Enclosure | None = None
        self._is_stopping = False
        self._has_hung_up = False
        self._hang: tuple[str, str] | None = None

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
        link, tasks = self._link, self.tasks
        if link is None:
            return False
        sessions = self.exec is not None and bool(self.exec.running)
        # One that serves no call and waits for its metadata to change, or for a task, may be stopped.
        waiting = self._facilities.metadata.waiting(link) + (tasks.held if tasks is not None else 0)
        asked = len(link.connection.incoming) - waiting
        is_working = bool(self._running_actions()) or (tasks is not None and tasks.is_busy)
        return bool(link.calls()) or sessions or asked > 0 or is_working

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
            self._explain(scarce)
            raise scarce from error
        self._launched = launched
        self._process, self._link = launched.process, launched.link
        self._meter.add_wire(launched.link)
        self.exec = ExecProxy(self.id, launched.link, self._meter.sessions, self._facilities.emit)
        self.actions = ActionProxy(self.id, launched.link, self._facilities.emit)
        self.tasks = TaskProxy(self.id, launched.link, self.exec)
        self.answer = launched.answer

    def _explain(self, error: LaunchError) -> None:
        error.plugin = self.id
        error.report = obituary.of_launch(
            self.id,
            error,
            is_python=self.manifest.launch.entry_point is not None,
            confinement=self._confinement,
            restarts=self.restarts,
        )

    async def _launch_confined(self) -> Launched:
        """Under its limits from before its first instruction, and with nothing left when it fails."""
        candidate, manifest, facilities = self.candidate, self.manifest, self._facilities
        facilities.keeper.retry()
        isolation = await isolate(candidate, manifest, facilities.outer, facilities.bytecode)
        for need in isolation.unmet:
            text = f"plugin {self.id} needs what its sandbox does not grant: {need}"
            self._journal.tell(logging.WARNING, text)
        confinement = confine(manifest, self.mark, facilities.machine, extra=restraints(candidate))
        self._confinement = confinement
        for one in confinement.enforcements:
            if not one.is_held:
                self._journal.tell(logging.WARNING, f"plugin {self.id}: {one.describe()}")
        for folder in confinement.folders:
            self._facilities.keeper.tell_cgroup(folder)
        try:
            return await launch(self._order(isolation), self, self._journal.stderr, self._journal.gate)
        except BaseException:
            await self._release()
            raise

    async def _release(self) -> None:
        """Nothing of it is left."""
        self._facilities.keeper.note_plugin(self.mark, None)
        confinement = self._confinement
        if confinement is None:
            return
        folders = confinement.folders
        try:
            if self._enclosure is not None:
                await self._enclosure.end()
        finally:
            await self._release_group(confinement, folders)

    async def _release_group(self, confinement: Confinement, folders: tuple[str, ...]) -> None:
        is_gone = await confinement.release(by_thread=self._facilities.encloser.is_moving)
        if is_gone:  # else they are the keeper's to remove, if the host is killed
            for folder in folders:
                self._facilities.keeper.forget_cgroup(folder)

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
        self._begin_enclosure(launched.process)

    def _begin_enclosure(self, process: PluginProcess) -> None:
        """What it starts from soon on shall end with it, whatever that does to hide."""
        group = self._confinement.plan_group(self.mark) if self._confinement else None
        if group is not None and not self._is_stopping and self._ending is None:
            self._enclosure = self._facilities.encloser.take(group, process.identity, self.mark)

    def _withdraw_enclosure(self) -> None:
        if self._enclosure is not None:
            self._facilities.encloser.withdraw(self._enclosure)

    def _order(self, isolation: Isolation) -> LaunchOrder:
        facilities, candidate, manifest = self._facilities, self.candidate, self.manifest
        return LaunchOrder(
            plugin=self.id,
            spec=process_spec(
                candidate, manifest, self.mark, facilities.outer, self._confinement, isolation
            ),
            token=self.mark,
            raw=self.is_raw,
            timeout_s=manifest.launch.start_timeout_s,
            host_version=facilities.version,
            settings=candidate.settings,
            permissions=candidate.granted,
            confinement=self._confinement,
            on_spawn=lambda process: facilities.keeper.note_plugin(self.mark, process.pid),
            on_admitted=self._watch_use,
            make_link=facilities.make_link,
            take_start=facilities.forkserver.take,
        )

    def _watch_use(self, process: PluginProcess) -> None:
        """From before its import, which may take all the memory there is."""
        assert self._confinement is not None
        self._confinement.watch(self._facilities.sampler, process.identity, lambda _: _end_at_once(process))

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
        self._withdraw_enclosure()
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
        return obituary.of_run(
            self.id,
            self.process,
            calls=[*self.link.calls(), *self._running_actions()],
            sessions=self.exec.running if self.exec is not None else (),
            tasks=self.tasks.unfinished if self.tasks is not None else (),
            confinement=self._confinement,
            hang=self._hang,
            error=error,
            has_hung_up=self._has_hung_up,
            restarts=self.restarts,
        )

    def _running_actions(self) -> list[str]:
        return [] if self.actions is None else [run.kind for run in self.actions.running]

    def fail(self, report: DeathReport) -> None:
        """End every call and session with the report."""
        self.link.close()
        self.link.fail_calls(lambda: PluginDied.of(report, "while the call was in flight"))
        if self.exec is not None:
            self.exec.fail(lambda session: PluginDied.of(report, f"with session {session} open"))
        if self.actions is not None:
            self.actions.fail(lambda action: PluginDied.of(report, f"with action {action} running"))
        if self.tasks is not None:
            when = "with a task given to it"
            self.tasks.fail(report.describe(when), report, lambda: PluginDied.of(report, when))
        self._facilities.services.forget(self.link)
        self._facilities.metadata.forget(self.link)

    def _close_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    async def wait_cleared(self) -> None:
        """Wait until nothing is left of it after a death."""
        if self._ending is not None:
            await asyncio.shield(self._ending)

    # Stopping.

    async def stop(self) -> None:
        """Stop it politely, within its stop_timeout_s and the ladder's own bounds."""
        if self._ending is not None:
            await self.wait_cleared()
            return
        self._is_stopping = True
        if self.tasks is not None:
            self.tasks.is_closing = True
        self._close_watch()
        self._withdraw_enclosure()
        timeout = self.manifest.launch.stop_timeout_s
        polite = None if self.is_raw else lambda: self._ask_to_stop(timeout)
        await self._clear(polite, timeout)

    async def _clear(self, polite: Callable[[], Awaitable[None]] | None, timeout_s: float) -> None:
        """Take the whole process tree down and give everything back."""
        process, link = self.process, self.link
        try:
            members = self._confinement.members if self._confinement else frozenset[int]
            report = await ladder.stop(
                process, polite=polite, timeout_s=timeout_s, mark=self.mark, members=members
            )
            level = logging.INFO if report.clean else logging.WARNING
            self._journal.tell(level, f"plugin {self.id} stopped: {report.describe()}")
        finally:
            link.drain()
            link.close()
            self._meter.drop_wire(link)
            link.fail_calls(lambda: _stopped(self.id))
            if self.exec is not None:
                self.exec.fail(lambda session: _stopped(self.id))
            if self.actions is not None:
                self.actions.fail(lambda action: _stopped(self.id))
            if self.tasks is not None:
                why = f"the host stopped plugin `{self.id}`"
                self.tasks.fail(why, None, lambda: _stopped(self.id))
            self._facilities.services.forget(link)
            self._facilities.metadata.forget(link)
            process.close()
            self._journal.flush()
            await self._release()

    async def _ask_to_stop(self, timeout_s: float) -> None:
        """Ask and wait for the answer, which comes when the plugin's calls have ended."""
        grace_ms = int(timeout_s * 1000 * 0.3)
        _, answer = self.link.request("shutdown", {"grace_ms": grace_ms}, name="")
        await answer

    # What the plugin says while it runs.

    def requested(self, event: RequestReceived) -> None:
        asked = self.manifest.permissions
        if self.tasks is not None and self.tasks.serves(event.method) and not self.is_raw:
            self.tasks.serve(event)
            return
        if event.method.startswith("metadata.") and not self.is_raw:
            self._facilities.metadata.serve(self.link, self.id, self.candidate.granted, event, asked)
            return
        self._facilities.services.serve(self.link, self.id, self.candidate.granted, event, asked)

    def cancelled(self, msgid: int) -> None:
        self._facilities.services.cancel(self.link, msgid)
        self._facilities.metadata.cancel(self.link, msgid)
        if self.tasks is not None:
            self.tasks.cancel(msgid)

    def notified(self, method: str, params: Any) -> None:
        if self.is_raw:
            self._facilities.emit(PluginNotified(plugin=self.id, method=method, params=params))
        elif method == "log":
            if not self._journal.record(params):
                self.link.slow_down()
        elif method == "exec.exited" and self.exec is not None:
            try:
                self.exec.exited(params)
            except CallFailed as error:
                self._journal.tell(logging.ERROR, f"plugin {self.id}: {error.message}")
        elif method.startswith("action.") and self.actions is not None:
            try:
                self.actions.told(method, params)
            except CallFailed as error:
                self._journal.tell(logging.ERROR, f"plugin {self.id}: {error.message}")
        elif method.startswith("metadata.") and self.tasks is not None:
            try:
                self.tasks.hear(method, params)
            except MetadataError as error:
                self._journal.tell(logging.ERROR, f"plugin {self.id}: {error.message}")
        elif method == "command.changed":
            self._owner.commands_changed(self, params)
        elif method == "failure":
            self._journal.failure(params)

    def stray_output(self, data: bytes) -> None:
        self._journal.stray(data)


def _end_at_once(process: PluginProcess) -> None:
    """A limit that is only looked at was passed: that ends the plugin as the kernel would."""
    process.send_signal(SIGKILL)


def _stopped(plugin: str) -> CallCancelled:
    return CallCancelled(
        f"the host stopped plugin `{plugin}` while the call was in flight", name="rpc.cancelled"
    )
