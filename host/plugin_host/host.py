"""The embeddable host: finds plugins, starts them, calls them, stops them."""

from __future__ import annotations

import asyncio
import contextvars
import os
import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .action.actions import Actions
from .admission import launch_gate
from .admittance import not_found, not_ready
from .batch import call_batch
from .bytecode import BytecodeFolders
from .command import call_command
from .configuration import Configuration
from .errors import CallTimeout, PluginHostError
from .event import EventHub, EventStream, HostEvent, StateChanged
from .exec.opening import list_sessions, open_session
from .facility import Facilities
from .homeloop import HomeLoop
from .keeper.handle import Keeper
from .link import Link
from .logbook import Logbook
from .measurement import Measurement
from .metadata.desk import MetadataDesk
from .metadata.face import Metadata
from .plugin import Plugin
from .search import Search
from .service import ServiceTable, current_caller
from .settings import settled
from .state import State
from .supervisor import Supervisor
from .task.tasks import Tasks
from .undertaking import Undertakings, all_done
from .version import VERSION
from .warm.forkserver import Forkserver
from .warm.switch import switch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
    from types import TracebackType

    from opentelemetry.trace import TracerProvider

    from plugin_host_sdk.types.session import HandlerInfo

    from .exec.session import Session
    from .link import LinkMaker
    from .metric.snapshot import Snapshot
    from .service import Service

__all__ = ["PluginHost"]


class PluginHost:
    """A host of plugins, used as an async context manager from one event loop.

    `plugin_dirs` are folders of plugin folders; `entry_points` says whether installed plugins are found;
    `only` and `block` choose by id; `config` is a `Configuration` or the path of one (None reads none);
    `services` maps names to functions `fn(caller, **params)` that plugins with the permission
    `host.NAME` may call: async ones run on the loop, plain ones in a thread. With `restarts=False` no
    plugin that died is started again, whatever its manifest says. `tracing` makes a span of every call, by
    OpenTelemetry: True with the program's tracer provider, or with the one that is given.

    Entering starts every plugin it may and waits until each is ready or explained. Leaving stops them
    all. Raises ConfigurationError, and PluginNotFound for an id in `only` that is nowhere.
    """

    def __init__(
        self,
        *,
        plugin_dirs: Iterable[str | os.PathLike[str]] = (),
        entry_points: bool = True,
        only: Sequence[str] | None = None,
        block: Collection[str] = (),
        config: Configuration | str | os.PathLike[str] | None = None,
        services: Mapping[str, Service] | None = None,
        restarts: bool = True,
        tracing: bool | TracerProvider = False,
    ) -> None:
        self._search = Search(
            plugin_dirs=plugin_dirs, entry_points=entry_points, only=only, block=block, config=config
        )
        self._services = ServiceTable(services or {})
        self._restarts = restarts
        self._call_command, self._open_session = call_command, open_session
        if tracing is not False:
            self._make_spans(None if tracing is True else tracing)
        self._make_link: LinkMaker = Link
        self._plugins: dict[str, Plugin] = {}
        self._supervisors: dict[str, Supervisor] = {}
        self._measurement = Measurement(self._supervisors)
        self._events = EventHub()
        self._logbook = Logbook()
        self._metadata = Metadata()
        self._actions = Actions(self._find)
        self._tasks = Tasks(self._find, self._emit)
        self._run = secrets.token_hex(8)
        self._keeper = Keeper(self._run)
        self._forkserver = Forkserver(self._run)
        self._facilities: Facilities | None = None
        self._bytecode = BytecodeFolders()
        self._is_discovered = False
        self._undertakings = Undertakings()
        self._home = HomeLoop(self._supervisors.clear)
        self._is_closed = False

    def _make_spans(self, provider: TracerProvider | None) -> None:
        from .span import Spans

        spans = Spans(provider)
        self._call_command, self._open_session = spans.call_command, spans.open_session
        self._services.adopt = spans.adopt

    def __repr__(self) -> str:
        ready = sum(plugin.state is State.READY for plugin in self._plugins.values())
        return f"<PluginHost plugins={len(self._plugins)} ready={ready}>"

    @property
    def plugins(self) -> Mapping[str, Plugin]:
        """Every plugin that was found, by id, in order; also the broken ones, whose `error` says why."""
        return MappingProxyType(self._plugins)

    def events(self) -> EventStream:
        """What happens from now on, as an async iterator; it ends with the host."""
        return self._events.open()

    @property
    def recent_events(self) -> list[HostEvent]:
        """The newest events, the oldest first: 200 at most, and fewer when they are big."""
        return self._events.recent

    @property
    def logs(self) -> Logbook:
        """The newest of what the plugins have logged, and streams of what they log from now on."""
        return self._logbook

    @property
    def metadata(self) -> Metadata:
        """What plugins may read and watch: a tree of values by path."""
        return self._metadata

    @property
    def actions(self) -> Actions:
        """What plugins are to do, such as running a script or writing a file: starting and finding it."""
        return self._actions

    @property
    def tasks(self) -> Tasks:
        """The work that plugins and others are given, with its logs and results."""
        return self._tasks

    async def metrics(self) -> Snapshot:
        """Everything that is counted and measured, as plain maps that JSON can hold.

        `metric.snapshot` says what is in it; two of them can be subtracted there. The processes of the
        plugins are looked at for it, on a thread.
        """
        return await self._measurement.take()

    # Life.

    def discover(self) -> None:
        """Fill `plugins` without starting any; entering the host does this first."""
        if self._is_discovered:
            return
        self._is_discovered = True
        self._search.extensions.load()
        config = self._search.configuration() or Configuration()
        warm = config.warm
        self._forkserver = Forkserver(self._run, switch(warm.launch, os.environ), warm.imports)
        self._facilities = facilities = Facilities(
            run=self._run,
            version=VERSION,
            gate=launch_gate(),
            services=self._services,
            metadata=MetadataDesk(self._metadata),
            emit=self._emit,
            keeper=self._keeper,
            bytecode=self._bytecode,
            forkserver=self._forkserver,
            restarts=self._restarts,
            logbook=self._logbook,
            make_link=self._make_link,
        )
        for candidate in self._search.find(config):
            if candidate.id in self._plugins:
                continue  # sound ones come first; of several broken ones of a name, the first explains it
            plugin = Plugin(candidate, self._changed)
            self._plugins[plugin.id] = plugin
            self._supervisors[plugin.id] = Supervisor(plugin, facilities)
        self._metadata.begin_with(config.metadata, config.file)

    def expect(self) -> None:
        """Discover, and have calls wait from now on for the plugins that entering the host will start.

        For hosts that others can reach before they are entered.
        """
        self._check_open()
        self.discover()
        for supervisor in self._supervisors.values():
            plugin = supervisor.plugin
            supervisor.is_due = plugin.state is State.DISCOVERED and plugin.candidate.is_startable

    async def __aenter__(self) -> PluginHost:
        self._check_open()
        try:
            self.discover()
            startable = [one for one in self._supervisors.values() if one.plugin.candidate.is_startable]
            for supervisor in startable:
                if supervisor.is_lazy:
                    supervisor.wait_for_calls()
            if startable:
                self._keeper.start()
            await all_done([asyncio.create_task(one.try_start()) for one in startable if not one.is_lazy])
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop every plugin and end every event stream, for good. Does nothing in a forked child."""
        if not self._home.check_closing():
            return
        self._home.leave()
        self._is_closed = True
        stops = [asyncio.create_task(one.close()) for one in self._supervisors.values()]
        try:
            if stops:
                await all_done([*stops, *self._undertakings.running])
        finally:
            self._bytecode.close()
            self._services.close()
            self._tasks.close()
            if self._facilities is not None:
                self._facilities.close()
            self._events.close()
            self._logbook.close()
            await all_done([asyncio.create_task(one.close()) for one in (self._keeper, self._forkserver)])
            self._home.forget()

    def _emit(self, event: HostEvent) -> None:
        self._measurement.count(event)
        self._events.put(event)

    def _changed(self, event: StateChanged) -> None:
        self._emit(event)
        self._search.extensions.state_changed(event.plugin, str(event.old), str(event.new))

    # Using it.

    async def call(
        self,
        plugin: str,
        command: str,
        params: Any = None,
        *,
        timeout: float | None = None,
        on_progress: Callable[[float, float | None, str], None] | None = None,
        fail_fast: bool = False,
    ) -> Any:
        """Call a command and return its result.

        `params` is a map of named parameters; for raw peers a list. `timeout` is in seconds, None waits
        for as long as it takes. `on_progress(done, total, message)` is called on the loop. A plugin that
        is starting, or about to be started again after a death, is waited for within `timeout`, unless
        `fail_fast`; a lazy one is started.

        Raises PluginNotFound, PluginNotReady, CallFailed (its `code` is the handler's status, or 101 and
        up for the system's), CallTimeout, CallCancelled (the plugin or a stopping host cancelled it) and
        PluginDied. Cancelling the task that awaits cancels the call.
        """
        supervisor = self._supervisors.get(plugin) or self._find(plugin)
        link = supervisor.link
        if link is None:
            self._home.check()
            link, timeout = await supervisor.admit(timeout, fail_fast=fail_fast)
        elif supervisor.idleness is not None:
            supervisor.idleness.uses += 1
        try:
            return await self._call_command(supervisor.plugin, link, command, params, timeout, on_progress)
        except RuntimeError:  # asyncio's own word for it; a call that succeeds is not to pay for a look
            self._home.check()
            raise

    async def call_text(
        self,
        plugin: str,
        command: str,
        params: Mapping[str, Any],
        *,
        timeout: float | None = None,
        on_progress: Callable[[float, float | None, str], None] | None = None,
        fail_fast: bool = False,
    ) -> Any:
        """Like `call`, for parameters that a person wrote: a text is converted to the handler's type.

        Values that are no text are converted leniently as well. Raises CallFailed for raw peers, which
        have no named parameters.
        """
        supervisor = self._find(plugin)
        link, timeout = await supervisor.admit(timeout, fail_fast=fail_fast)
        return await self._call_command(
            supervisor.plugin, link, command, params, timeout, on_progress, text=True
        )

    async def call_many(
        self,
        plugin: str,
        command: str,
        params: Iterable[Any],
        *,
        timeout: float | None = None,
        return_exceptions: bool = False,
        fail_fast: bool = False,
    ) -> list[Any]:
        """Call a command once for each of `params`, many at a time; the results in the same order.

        Made for many small calls: several times as fast as `call` for each. `timeout` is for all of them.
        The first call that fails cancels the others and is raised, with its place in a note; with
        `return_exceptions` the error stands in the list instead. Raises as `call` does.
        """
        supervisor = self._find(plugin)
        link, timeout = await supervisor.admit(timeout, fail_fast=fail_fast)
        return await call_batch(supervisor.plugin, link, command, params, timeout, return_exceptions)

    async def exec(
        self,
        plugin: str,
        command: Sequence[str] | None = None,
        *,
        resource: str | None = None,
        tty: bool = True,
        rows: int | None = None,
        cols: int | None = None,
        id: str | None = None,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        resource_data: Mapping[str, Any] | None = None,
        replay_bytes: int | None = None,
        detached: bool = False,
        direct: bool = False,
        fail_fast: bool = False,
    ) -> Session:
        """Open a session in a plugin: a terminal, or with `tty=False` pipes with stderr apart.

        `command` is a list of words; without one the handler's default runs. `resource` names the handler
        when there are several. `id` is chosen when none is given. `cwd` and `env`, added to the handler's,
        are the plugin's to use; `labels`, `params` and `resource_data` are for it to read.

        Unless it is `detached`, a session whose ring of `replay_bytes` is full waits for its first viewer,
        so nothing is lost before `attach`. It ends with its program, by `close`, or with its plugin, and
        never because of this call, which when cancelled leaves nothing behind. A plugin that is not ready
        yet is waited for as `call` does.

        With `direct` the plugin hands the terminal itself to this process: `session.terminal`, a
        `DirectTerminal`, reads it at the kernel's speed. Nothing is kept, and nobody can attach.

        Raises PluginNotFound, PluginNotReady, HandlerNotFound (which lists the handlers), SessionExists,
        TerminalError (its `data` has a `reason`), CallFailed named `rpc.invalid_params`, PluginDied.
        """
        supervisor = self._find(plugin)
        link, _ = await supervisor.admit(None, fail_fast=fail_fast)
        return await self._open_session(
            supervisor.exec_of(link),
            command=command,
            handler=resource,
            tty=tty,
            rows=rows,
            cols=cols,
            id=id,
            cwd=None if cwd is None else os.fspath(cwd),
            env=env,
            labels=labels,
            params=params,
            resource_data=resource_data,
            replay_bytes=replay_bytes,
            detached=detached,
            direct=direct,
        )

    async def sessions(self) -> list[Session]:
        """The exec sessions of every plugin that is ready, the oldest of each first; also ended ones that
        are still kept. Of a plugin that is silent for 2 s, or answers oddly, those that are held here."""
        self._home.check()
        proxies = [proxy for one in self._supervisors.values() for proxy in one.exec_proxies()]
        return await list_sessions(proxies)

    async def exec_handlers(self, plugin: str) -> list[HandlerInfo]:
        """What sessions can be opened in a plugin. Raises as `exec` does."""
        supervisor = self._find(plugin)
        link, _ = await supervisor.admit(None, fail_fast=False)
        return await supervisor.exec_of(link).handlers()

    async def start(self, plugin: str) -> None:
        """Start a plugin unless it runs. Raises PluginNotFound, ManifestError, LaunchError."""
        supervisor = self._find(plugin)
        self._check_startable(supervisor)
        await supervisor.start()

    def _check_startable(self, supervisor: Supervisor) -> None:
        self._check_open()
        if supervisor.plugin.candidate.skipped:
            raise not_ready(supervisor.plugin)
        self._keeper.start()

    async def stop(self, plugin: str) -> None:
        """Stop a plugin and everything it started; its calls in flight are cancelled."""
        await self._beside(plugin, self._find(plugin).stop())

    async def restart(self, plugin: str) -> None:
        """Stop and start a plugin. Raises as `start` does."""
        supervisor = self._find(plugin)
        self._check_startable(supervisor)
        await self._beside(plugin, supervisor.restart())

    async def reload(self, plugin: str) -> None:
        """Look at a plugin's manifest and code anew and let them take over without a pause.

        A new process is started beside the running one and takes new calls once it is ready. The old one
        finishes the calls and sessions it has, however long that takes, and is stopped then; it is ended
        when it hangs. If the new one does not come up, nothing has changed. A plugin that does not run is
        started.

        Raises PluginNotFound, also when it is no longer to be found, ManifestError, LaunchError.
        """
        supervisor = self._find(plugin)
        self._check_open()
        since = supervisor.stops
        candidate = await asyncio.to_thread(self._search.find_again, plugin)
        if candidate.skipped:
            raise not_ready(supervisor.plugin)
        self._keeper.start()
        await supervisor.swap(candidate, since)
        await supervisor.start(since)

    async def reconfigure(
        self, plugin: str, settings: Mapping[str, Any], *, timeout: float | None = None
    ) -> None:
        """Give a plugin new settings, in place of all that it has; it keeps them until it is reloaded.

        They are held against the manifest's schema first. A plugin that takes settings while it runs goes
        on with them; any other is restarted; one that does not run has them at its next start. `timeout`
        (seconds; the plugin's start_timeout_s unless given) bounds the plugin's answer. One that does not
        answer in time, or before the caller gives up, is restarted with its old ones: else nobody knew
        which it has.

        Raises PluginNotFound, ConfigurationError for settings that do not fit, CallFailed when the plugin
        refuses them (it goes on with its old ones), CallTimeout, PluginDied, and as `start` does.
        """
        supervisor = self._find(plugin)
        self._check_open()
        candidate = supervisor.plugin.candidate
        if candidate.manifest is None:
            assert candidate.error is not None
            raise candidate.error
        given = await asyncio.to_thread(settled, candidate.manifest, settings)
        try:
            is_done = await supervisor.reconfigure(
                given, timeout or candidate.manifest.launch.start_timeout_s
            )
        except (CallTimeout, asyncio.CancelledError):
            if not self._is_closed:
                self._undertakings.begin(supervisor.resolve_doubt(), contextvars.Context())
            raise
        if not is_done:
            await self.restart(plugin)

    async def _beside(self, plugin: str, work: Coroutine[Any, Any, None]) -> None:
        """Do what stops `plugin`, to its end, also when the plugin itself asked for it through a service.

        Such a service is cancelled with the plugin's call.
        """
        caller = current_caller.get()
        if caller is None or plugin not in caller.chain:
            await work
        else:
            await self._undertakings.finish(work, contextvars.Context())

    def _check_open(self) -> None:
        self._home.settle()
        if self._is_closed:
            raise PluginHostError("this host is closed, and so stays: make another one")

    def _find(self, plugin: str) -> Supervisor:
        self._home.check()
        supervisor = self._supervisors.get(plugin)
        if supervisor is None:
            raise not_found(plugin, self._plugins if self._is_discovered else None)
        return supervisor
