"""One plugin's life: starting it, restarting it when it dies, replacing it, stopping it.

A `Supervisor` decides; each run of the plugin is an `Instance`. Invariants: starts, stops and swaps of one
plugin never overlap; what was to start it when it was stopped does so no more; every change of state goes
through `_move`; a plugin that dies fails its calls at once with the reason, and what happens next is part
of the reason.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .admittance import admitted, restarting
from .errors import CallTimeout, LaunchError, PluginDied, PluginHostError, SpawnError
from .event import DeathTold, PluginSwapped
from .idleness import Idleness
from .instance import Instance, InstanceOwner
from .intervention import Intervention
from .joint import joint_for
from .journal import Journal
from .launching import Launching
from .laziness import Laziness
from .manifest import Restart
from .offer import exec_of, tasks_of
from .reconfiguration import reconfigure
from .restart import RestartLedger
from .retirement import Retirement
from .state import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .candidate import Candidate
    from .death import DeathReport
    from .exec.proxy import ExecProxy
    from .facility import Facilities
    from .health import HealthVerdict
    from .link import Link
    from .manifest import Manifest
    from .plugin import Plugin
    from .task.proxy import TaskProxy

__all__ = ["Supervisor"]


class Supervisor(InstanceOwner):
    """Runs one plugin.

    `link` is there while it is ready, and only then. `is_due` is set when its first start is about to come
    and `restarts_due` counts restarts, so that calls wait for them; `stops` how often a stop was asked for.
    """

    def __init__(self, plugin: Plugin, facilities: Facilities) -> None:
        self.plugin = plugin
        self.link: Link | None = None
        self.is_due = False
        self.restarts_due = 0
        self.stops = 0
        self.idleness: Idleness | None = None  # of a lazy plugin that runs; who uses it counts there
        self._facilities = facilities
        self._journal = Journal(plugin.id, facilities.logbook)
        self._ledger = RestartLedger(self._policy_of(plugin.candidate))
        self._intervention = Intervention(plugin, self._journal, facilities.emit)
        self._instance: Instance | None = None
        self._last: Instance | None = None  # perhaps still being cleared away
        self._retirement = Retirement()
        self._launches = 0
        self._lock = asyncio.Lock()
        self._launching = Launching(facilities.gate, self._retirement.begin)
        self._revival: asyncio.Task[None] | None = None
        self._laziness = Laziness(plugin.id, lambda: self.try_start(self.stops), self._stop_if_idle)
        # The link of one that may have other settings than it should, and how often it had been stopped.
        self._doubtful: tuple[Link | None, int] = None, 0
        self._is_closed = False
        self._moved: asyncio.Future[None] | None = None

    def _policy_of(self, candidate: Candidate) -> Restart:
        if candidate.manifest is None or not self._facilities.restarts:
            return Restart(policy="never")
        return candidate.manifest.restart

    @property
    def is_lazy(self) -> bool:
        """Whether the plugin is started by its first call."""
        manifest = self.plugin.candidate.manifest
        return manifest is not None and manifest.activation == "lazy"

    # Starting.

    async def start(self, since: int | None = None) -> None:
        """Start the plugin unless it runs, or was stopped since `stops` was `since`, now unless given.

        Raises LaunchError, ManifestError.
        """
        since = self.stops if since is None else since
        async with self._lock:
            self._call_off_revival()
            self._ledger.forgive()
            await self._wait_cleared()
            if self.plugin.state is State.READY:
                return
            self._check_wanted(since)
            await self._start(is_restart=False)

    def _check_wanted(self, since: int) -> None:
        """Whoever stops a plugin finds it stopped, and waits for nothing that was to start it before."""
        if self.stops != since:
            text = f"plugin `{self.plugin.id}` was stopped meanwhile, and so it is not started"
            raise LaunchError(text, plugin=self.plugin.id)

    async def try_start(self, since: int | None = None) -> None:
        """Start the plugin; one that does not start has the reason as its `error`."""
        try:
            await self.start(since)
        except PluginHostError:
            pass

    def wait_for_calls(self) -> None:
        """A lazy plugin is there from now on, and started when it is called."""
        if self.plugin.state is State.DISCOVERED:
            self._move(State.IDLE)

    async def _start(self, *, is_restart: bool) -> None:
        """One launch, with the lock held. What it raises has been told by the state already."""
        plugin = self.plugin
        if self._is_closed:
            raise LaunchError(f"plugin `{plugin.id}` is not started: its host is closed", plugin=plugin.id)
        manifest = plugin.candidate.manifest
        if manifest is None:
            assert plugin.candidate.error is not None
            raise plugin.candidate.error
        plugin.error = None
        self._move(State.STARTING)
        instance = self._new_instance(plugin.candidate, manifest)
        try:
            await self._launching.run(instance)
        except Exception as error:
            self._launch_failed(error, is_restart=is_restart)
            raise
        except BaseException:
            if self._launching.was_called_off():
                raise self._called_off() from None
            self._fail(LaunchError(f"plugin `{plugin.id}`: its launch was cancelled", plugin=plugin.id))
            raise
        self._adopt(instance)

    def _new_instance(self, candidate: Candidate, manifest: Manifest) -> Instance:
        self._launches += 1
        instance = Instance(
            candidate,
            manifest,
            self._launches,
            self._facilities,
            self._journal,
            owner=self,
            meter=self.plugin.meter,
        )
        instance.restarts = self._ledger.restarts
        return instance

    def _called_off(self) -> LaunchError:
        """The plugin was stopped while it started."""
        self._move(State.STOPPING)
        self._move(State.STOPPED, "while it started")
        return LaunchError(f"plugin `{self.plugin.id}` was stopped while it started", plugin=self.plugin.id)

    def _adopt(self, instance: Instance) -> None:
        """The instance is the one that serves from now on."""
        plugin = self.plugin
        self._instance, self.link = instance, instance.link
        plugin.runs(instance.candidate, instance.manifest, instance.pid, instance.answer)
        instance.link.joint = joint_for(plugin, instance.link)
        if plugin.state is not State.READY:
            self._move(State.READY)
        if self.is_lazy:
            self.idleness = Idleness(
                instance.manifest.idle_stop_s, lambda: instance.is_busy, self._laziness.doze
            )
        instance.begin()

    def _launch_failed(self, error: Exception, *, is_restart: bool) -> None:
        """A launch came to nothing. One that somebody asked for is not tried again, unless by policy:
        what is wrong then is hardly ever right a second later."""
        report = error.report if isinstance(error, LaunchError) else None
        if report is not None and (is_restart or self._ledger.policy.policy == "always"):
            self._decide(report, error, ready_for=0.0)
            return
        if report is not None:
            again = "It is not started again: it never was ready." if self._facilities.restarts else ""
            report = replace(report, next=again)
            self._tell_death(report)
        if isinstance(error, LaunchError):
            error.report = report
        self._fail(error)

    # Dying.

    def died(self, instance: Instance, report: DeathReport) -> DeathReport:
        if instance is not self._instance:  # its calls fail, and that is all
            is_replaced = instance in self._retirement
            how = "It had been replaced already." if is_replaced else "The host was stopping it."
            report = replace(report, next=how)
            self._tell_death(report)
            return report
        self._drop_instance()
        self.plugin.pid = None
        return self._decide(report, None, ready_for=instance.ready_for)

    def _decide(self, report: DeathReport, error: Exception | None, *, ready_for: float) -> DeathReport:
        """What follows from a death, or from a restart that came to nothing; the report that says it."""
        plugin, now = self.plugin, asyncio.get_running_loop().time()
        is_scarce = isinstance(error, SpawnError) and error.is_scarce
        decision = self._ledger.ended(report, now, ready_for=ready_for, is_scarce=is_scarce)
        # Whoever made a host that restarts nothing knows what follows.
        report = replace(report, next=decision.words if self._facilities.restarts else "")
        self._ledger.tell(report)
        if isinstance(error, LaunchError):
            error.report = report
        plugin.error = error or PluginDied.of(report)
        self._tell_death(report)
        if decision.restart:
            self._move(State.BACKOFF, report.sentence())
            self._revival = asyncio.create_task(
                self._revive(decision.delay), name=f"restart of plugin {plugin.id}"
            )
        elif decision.gave_up:
            self._fail(self._ledger.crash_loop(plugin.id))
        elif report.is_failure:
            self._fail(plugin.error)
        else:
            self._move(State.IDLE if self.is_lazy else State.STOPPED, report.sentence())
        return report

    def _tell_death(self, report: DeathReport) -> None:
        self.plugin.death = report
        self.plugin.restarts = self._ledger.restarts
        self._journal.death(report)
        self._facilities.emit(DeathTold(plugin=self.plugin.id, report=report))

    def _fail(self, error: Exception) -> None:
        self.plugin.error = error
        self._move(State.FAILED, str(error).partition("\n")[0])

    async def _revive(self, delay: float) -> None:
        """Start the plugin again after a pause, unless somebody else decides about it meanwhile."""
        await asyncio.sleep(delay)
        async with self._lock:
            if self._revival is not asyncio.current_task():
                return
            await self._wait_cleared()
            if self.plugin.state is State.BACKOFF:
                try:
                    await self._start(is_restart=True)
                except PluginHostError:
                    pass  # the state says what follows

    def _call_off_revival(self) -> None:
        if self._revival is not None:
            self._revival.cancel()
            self._revival = None

    async def _wait_cleared(self) -> None:
        if self._last is not None:
            await self._last.wait_cleared()
            self._last = None

    # Stopping.

    async def close(self) -> None:
        """Stop the plugin for good."""
        self._is_closed = True
        self.is_due = False
        self.wake_callers()
        await self.stop()
        await self._laziness.close()

    async def stop(self) -> None:
        """Stop the plugin if it runs or starts; within its stop_timeout_s and the ladder's own bounds."""
        self.stops += 1
        await self._halt()

    async def restart(self, since: int | None = None) -> None:
        """Stop the plugin and start it again. Raises as `start` does."""
        with restarting(self, is_by_hand=since is None):
            since = self.stops if since is None else since
            await self._halt()
            await self.start(since)

    async def _halt(self) -> None:
        self._launching.call_off()
        if self._revival is not asyncio.current_task():
            self._call_off_revival()
        try:
            async with self._lock:
                try:
                    await self._retirement.end()
                    await self._wait_cleared()
                except asyncio.CancelledError:  # as later: what runs ends at once
                    if self.plugin.state is State.READY:
                        await self._stop(State.STOPPED, is_hurried=True)
                    raise
                if self.plugin.state is State.READY:
                    await self._stop(State.STOPPED)
                elif self.plugin.state in (State.BACKOFF, State.IDLE):
                    self._move(State.STOPPED)
        finally:
            if self.plugin.state is State.BACKOFF and self._revival is None:
                self._move(State.STOPPED)  # it was cancelled: what calls wait for will not come

    async def _stop(self, final: State, *, is_hurried: bool = False) -> None:
        """Stop the instance that serves, with the lock held."""
        instance = self._instance
        assert instance is not None
        self._drop_instance()
        self._move(State.STOPPING)
        try:
            await instance.stop(is_hurried=is_hurried)
        finally:
            self.plugin.pid = None
            self._move(final)

    def _drop_instance(self) -> None:
        """Nothing serves any more."""
        self._last, self._instance, self.link = self._instance, None, None
        self._look_away()

    def _look_away(self) -> None:
        """What was seen of the instance that serves does not count any more."""
        self._intervention.call_off()
        self.plugin.healthy = True
        if self.idleness is not None:
            self.idleness.close()
            self.idleness = None

    async def _stop_if_idle(self) -> None:
        async with self._lock:
            if self.idleness is not None and self.idleness.is_over:
                await self._stop(State.IDLE)

    # Replacing.

    async def swap(self, candidate: Candidate, since: int) -> None:
        """Start `candidate` beside the running instance and let it take over; see `PluginHost.reload`.

        Raises what `start` raises; then the running instance goes on as if nothing had been tried. `since`
        is as for `start`.
        """
        manifest = candidate.manifest
        if manifest is None:
            assert candidate.error is not None
            raise candidate.error
        async with self._lock:
            self._check_wanted(since)
            old = self._instance
            if old is None or self.plugin.state is not State.READY:
                self.plugin.candidate = candidate
                self._ledger.policy = self._policy_of(candidate)
                return
            new = self._new_instance(candidate, manifest)
            await self._launch_successor(new)
            if self._instance is not old:  # it died meanwhile: the new one is what would follow
                self._call_off_revival()
                self._move(State.STARTING)
            self._replace(old, new)

    async def _launch_successor(self, new: Instance) -> None:
        """Until it is ready, and of a running one that died meanwhile nothing is left."""
        try:
            await self._launching.run(new)
        except asyncio.CancelledError:
            if not self._launching.was_called_off():
                raise
            text = f"plugin `{self.plugin.id}` was stopped while its successor started"
            raise LaunchError(text, plugin=self.plugin.id) from None
        try:
            await self._wait_cleared()
        except BaseException:
            self._retirement.begin(new)
            raise

    def _replace(self, old: Instance, new: Instance) -> None:
        old_version = self.plugin.version
        self._look_away()
        self._ledger.policy = self._policy_of(new.candidate)
        self._adopt(new)
        if old is not self._last:
            self._retirement.begin(old)
            if old.exec is not None and new.exec is not None:
                new.exec.follow(old.exec)
        self._facilities.emit(
            PluginSwapped(
                plugin=self.plugin.id, old_version=old_version, new_version=self.plugin.version, pid=new.pid
            )
        )

    async def reconfigure(self, settings: Mapping[str, Any], timeout: float) -> bool:
        """Settings for this run, if it takes them, and for every later one; False when it has to restart.

        Raises CallFailed when the plugin refuses them: then nothing has changed. CallTimeout, and to be
        cancelled, leave it in doubt, which `resolve_doubt` ends.
        """
        since = self.stops
        while self.plugin.state is State.STARTING:  # with its old ones, and it has to hear of the new
            await self.next_move()
        link = self.link
        try:
            outcome = "applied" if link is None else await reconfigure(link, settings, timeout)
        except (CallTimeout, asyncio.CancelledError):
            self._doubtful = link, since
            raise
        self.plugin.candidate = replace(self.plugin.candidate, settings=settings)
        if self.stops != since:
            return True  # whoever starts it again, that has them
        return outcome == "applied" and self.link is link  # one that took its place has not heard

    async def resolve_doubt(self) -> None:
        """Start the plugin anew with its settings if it may have others; its state says what came of it."""
        (link, since), self._doubtful = self._doubtful, (None, 0)
        if link is not None and self.link is link:
            try:
                await self.restart(since)
            except PluginHostError:
                pass

    # Being used.

    async def admit(self, timeout: float | None, *, fail_fast: bool) -> tuple[Link, float | None]:
        """The link once the plugin is ready, and what is left of `timeout` (seconds) then.

        Starts a lazy plugin, and counts as a use of it. Raises PluginNotReady when it will not be ready by
        itself, or is not now and `fail_fast`; CallTimeout.
        """
        way = await admitted(self, timeout, fail_fast=fail_fast)
        if self.idleness is not None:
            self.idleness.uses += 1
        return way

    def wake(self) -> None:
        """Start a lazy plugin, once however many ask."""
        self._laziness.wake()

    async def next_move(self) -> None:
        """Wait until the plugin's state changes."""
        if self._moved is None:
            self._moved = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._moved)

    def _move(self, state: State, reason: str = "") -> None:
        self.is_due = False
        self.plugin.move(state, reason)
        self.wake_callers()

    def wake_callers(self) -> None:
        """Have those that wait for a move look again."""
        if self._moved is not None:
            moved, self._moved = self._moved, None
            moved.set_result(None)

    def unresponsive(self, instance: Instance, verdict: HealthVerdict) -> None:
        if instance is self._instance:
            self._intervention.begin(instance, verdict)
        elif instance in self._retirement:
            self._retirement.unresponsive(instance, verdict)

    def recovered(self, instance: Instance) -> None:
        if instance is self._instance:
            self._intervention.recovered()
        else:
            self._retirement.spare(instance)

    def commands_changed(self, instance: Instance, offered: Any) -> None:
        if instance is self._instance:
            self.plugin.capabilities["command"] = offered

    def exec_of(self, link: Link) -> ExecProxy:
        """The exec sessions of the instance behind `link`. Raises HandlerNotFound when it has none."""
        return exec_of(self.plugin, self._instance, link)

    def tasks_of(self, link: Link) -> TaskProxy:
        """The tasks of the instance behind `link`. Raises NoSuchEndPoint when it takes none."""
        return tasks_of(self.plugin, self._instance, link)

    @property
    def instances(self) -> list[Instance]:
        """The instance that serves and those that only finish."""
        return [*self._retirement, *([self._instance] if self._instance is not None else [])]

    @property
    def log_dropped(self) -> int:
        """How many of the plugin's log records were dropped, because there were too many."""
        return self._journal.dropped

    def exec_proxies(self) -> list[ExecProxy]:
        """Where sessions may be: in the instance that serves and in those that only finish."""
        serving = [] if self._instance is None else [self._instance]
        if "exec" not in self.plugin.capabilities:  # but it may have a shell beside a task
            serving = [one for one in serving if one.exec is not None and one.exec.known()]
        return [one.exec for one in (*self._retirement, *serving) if one.exec is not None]
