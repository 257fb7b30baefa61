"""The embeddable host: finds plugins, starts them, calls them, stops them."""

from __future__ import annotations

import asyncio
import contextvars
import os
import secrets
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from . import configuration as _configuration
from . import discovery
from .admission import launch_gate
from .bytecode import BytecodeFolders
from .command import call_command
from .configuration import Configuration
from .errors import PluginHostError, PluginNotFound
from .event import EventHub, EventStream, StateChanged
from .exec.opening import list_sessions, open_session
from .extension import Extensions
from .plugin import Plugin
from .service import ServiceTable, current_caller
from .state import State
from .supervisor import Supervisor, not_ready
from .version import VERSION
from .wording import near, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
    from types import TracebackType

    from plugin_host_sdk.types.session import HandlerInfo

    from .exec.session import Session
    from .service import Service

__all__ = ["PluginHost"]


class PluginHost:
    """A host of plugins, used as an async context manager from one event loop.

    `plugin_dirs` are folders of plugin folders; `entry_points` says whether installed plugins are found;
    `only` and `block` choose by id; `config` is a `Configuration` or the path of one (None reads none);
    `services` maps names to functions `fn(caller, **params)` that plugins with the permission
    `host.NAME` may call: async ones run on the loop, plain ones in a thread.

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
    ) -> None:
        for name, value in (("plugin_dirs", plugin_dirs), ("only", only), ("block", block)):
            if isinstance(value, (str, bytes)):
                raise TypeError(f"{name} is a list of texts, not the text {value!r}")
        self._plugin_dirs = tuple(plugin_dirs)
        self._entry_points = entry_points
        self._only = only
        self._block = block
        self._config = config
        self._services = ServiceTable(services or {})
        self._extensions = Extensions(block=block)
        self._plugins: dict[str, Plugin] = {}
        self._supervisors: dict[str, Supervisor] = {}
        self._events = EventHub()
        self._bytecode = BytecodeFolders()
        self._is_discovered = False
        self._besides: set[asyncio.Task[None]] = set()
        self._is_closed = False

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

    # Life.

    def discover(self) -> None:
        """Fill `plugins` without starting any; entering the host does this first."""
        if self._is_discovered:
            return
        self._is_discovered = True
        config = self._config
        if config is not None and not isinstance(config, Configuration):
            config = _configuration.load(config)
        self._extensions.load()
        gate = launch_gate()
        run = secrets.token_hex(8)
        for candidate in discovery.discover(
            plugin_dirs=self._plugin_dirs,
            entry_points=self._entry_points,
            only=self._only,
            block=self._block,
            configuration=config,
            extensions=self._extensions,
        ):
            if candidate.id in self._plugins:
                continue  # sound ones come first; of several broken ones of a name, the first explains it
            plugin = Plugin(candidate, self._changed)
            self._plugins[plugin.id] = plugin
            self._supervisors[plugin.id] = Supervisor(
                plugin,
                run=run,
                version=VERSION,
                gate=gate,
                services=self._services,
                emit=self._events.put,
                bytecode=self._bytecode,
            )

    async def __aenter__(self) -> PluginHost:
        self._check_open()
        try:
            self.discover()
            await asyncio.gather(*(self._start_quietly(one) for one in self._startable()))
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop every plugin and end every event stream, for good."""
        self._is_closed = True
        stops = [asyncio.create_task(one.stop()) for one in self._supervisors.values()]
        try:
            if stops:
                await _all_done([*stops, *self._besides])
        finally:
            self._bytecode.close()
            self._services.close()
            self._events.close()

    def _startable(self) -> list[Supervisor]:
        return [
            one
            for one in self._supervisors.values()
            if one.plugin.candidate.error is None and one.plugin.candidate.skipped is None
        ]

    async def _start_quietly(self, supervisor: Supervisor) -> None:
        """A plugin that does not start explains itself in `error`; the others are not its business."""
        try:
            await supervisor.start()
        except PluginHostError:
            pass

    def _changed(self, event: StateChanged) -> None:
        self._events.put(event)
        self._extensions.state_changed(event.plugin, str(event.old), str(event.new))

    # Using it.

    async def call(
        self,
        plugin: str,
        command: str,
        params: Any = None,
        *,
        timeout: float | None = None,
        on_progress: Callable[[float, float | None, str], None] | None = None,
    ) -> Any:
        """Call a command and return its result.

        `params` is a map of named parameters; for raw peers a list. `timeout` is in seconds, None waits
        for as long as it takes. `on_progress(done, total, message)` is called on the loop.

        Raises PluginNotFound, PluginNotReady, CallFailed (its `code` is the handler's status, or 101 and
        up for the system's), CallTimeout, CallCancelled (the plugin or a stopping host cancelled it) and
        PluginDied. Cancelling the task that awaits cancels the call.
        """
        supervisor = self._supervisors.get(plugin) or self._find(plugin)
        return await call_command(
            supervisor.plugin, supervisor.ensure_link(), command, params, timeout, on_progress
        )

    async def call_text(
        self,
        plugin: str,
        command: str,
        params: Mapping[str, Any],
        *,
        timeout: float | None = None,
        on_progress: Callable[[float, float | None, str], None] | None = None,
    ) -> Any:
        """Like `call`, for parameters that a person wrote: a text is converted to the handler's type.

        Values that are no text are converted leniently as well. Raises CallFailed for raw peers, which
        have no named parameters.
        """
        supervisor = self._find(plugin)
        return await call_command(
            supervisor.plugin, supervisor.ensure_link(), command, params, timeout, on_progress, text=True
        )

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
    ) -> Session:
        """Open a session in a plugin: a terminal, or with `tty=False` pipes with stderr apart.

        `command` is a list of words; without one the handler's default runs. `resource` names the handler
        when there are several. `id` is chosen when none is given. `cwd` and `env`, added to the handler's,
        are the plugin's to use; `labels`, `params` and `resource_data` are for it to read.

        Unless it is `detached`, a session whose ring of `replay_bytes` is full waits for its first viewer,
        so nothing is lost before `attach`. It ends with its program, by `close`, or with its plugin, and
        never because of this call, which when cancelled leaves nothing behind.

        Raises PluginNotFound, PluginNotReady, HandlerNotFound (which lists the handlers), SessionExists,
        TerminalError (its `data` has a `reason`), CallFailed named `rpc.invalid_params`, PluginDied.
        """
        return await open_session(
            self._find(plugin).ensure_exec(),
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
        )

    async def sessions(self) -> list[Session]:
        """The exec sessions of every plugin that is ready, the oldest of each first; also ended ones that
        are still kept."""
        proxies = [
            one.ensure_exec()
            for one in self._supervisors.values()
            if one.plugin.state is State.READY and "exec" in one.plugin.capabilities
        ]
        return await list_sessions(proxies)

    async def exec_handlers(self, plugin: str) -> list[HandlerInfo]:
        """What sessions can be opened in a plugin. Raises as `exec` does."""
        return await self._find(plugin).ensure_exec().handlers()

    async def start(self, plugin: str) -> None:
        """Start a plugin unless it runs. Raises PluginNotFound, ManifestError, LaunchError."""
        supervisor = self._find(plugin)
        self._check_open()
        if supervisor.plugin.candidate.skipped:
            raise not_ready(supervisor.plugin)
        await supervisor.start()

    async def stop(self, plugin: str) -> None:
        """Stop a plugin and everything it started; its calls in flight are cancelled."""
        await self._beside(plugin, self._find(plugin).stop())

    async def restart(self, plugin: str) -> None:
        """Stop and start a plugin. Raises as `start` does."""
        supervisor = self._find(plugin)
        self._check_open()
        await self._beside(plugin, self._restart(supervisor))

    async def _restart(self, supervisor: Supervisor) -> None:
        await supervisor.stop()
        await self.start(supervisor.plugin.id)

    async def _beside(self, plugin: str, work: Coroutine[Any, Any, None]) -> None:
        """Do what stops `plugin`, to its end, also when the plugin itself asked for it through a service.

        Such a service is cancelled with the plugin's call.
        """
        caller = current_caller.get()
        if caller is None or plugin not in caller.chain:
            await work
            return
        task = asyncio.create_task(work, context=contextvars.Context())
        self._besides.add(task)
        task.add_done_callback(self._besides.discard)
        await asyncio.shield(task)

    def _check_open(self) -> None:
        if self._is_closed:
            raise PluginHostError("this host is closed, and so stays: make another one")

    def _find(self, plugin: str) -> Supervisor:
        supervisor = self._supervisors.get(plugin)
        if supervisor is None:
            raise self._not_found(plugin)
        return supervisor

    def _not_found(self, plugin: str) -> PluginNotFound:
        known = list(self._plugins)
        hint = suggestion(plugin, known) or f" (found: {', '.join(known) or 'none'})"
        return PluginNotFound(f"no plugin `{plugin}`{hint}", plugin=plugin, near=near(plugin, known))


async def _all_done(tasks: list[asyncio.Task[None]]) -> None:
    """Wait for all of them, also when this task is cancelled; then raise what the first of them raised."""
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
    for task in tasks:
        if (error := task.exception()) is not None:
            raise error
