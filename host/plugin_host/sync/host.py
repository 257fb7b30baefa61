"""The host for threads: calls go straight to the plugin's link, the rest is done by a loop in a thread.

That loop runs the asyncio host, which launches, watches and restarts as ever; a call meets it only when
its plugin is not ready.
"""

from __future__ import annotations

import atexit
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from plugin_host import fork, host
from plugin_host.admittance import not_ready
from plugin_host.askedlink import LinkGone
from plugin_host.command import ask_command
from plugin_host.errors import PluginHostError
from plugin_host.sharedlink import SharedLink

from .actions import Actions
from .events import EventStream
from .logs import Logbook
from .loopthread import LoopThread
from .metadata import Metadata
from .session import Session
from .tasks import Tasks

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from types import TracebackType

    from opentelemetry.trace import TracerProvider

    from plugin_host import event
    from plugin_host.configuration import Configuration
    from plugin_host.event import HostEvent
    from plugin_host.exec import session
    from plugin_host.link import Link
    from plugin_host.metric.snapshot import Snapshot
    from plugin_host.plugin import Plugin
    from plugin_host.service import Service
    from plugin_host.supervisor import Supervisor
    from plugin_host_sdk.types.session import HandlerInfo

__all__ = ["PluginHost"]


class _LoopHost(host.PluginHost):
    """The asyncio host, with links that threads may ask; `ask_command` is how they do."""

    def __init__(self, **options: Any) -> None:
        self.ask_command = ask_command
        super().__init__(**options)
        self._make_link = SharedLink

    def _make_spans(self, provider: TracerProvider | None) -> None:
        from plugin_host.span import Spans

        super()._make_spans(provider)
        self.ask_command = Spans(provider).ask_command

    @property
    def supervisors(self) -> Mapping[str, Supervisor]:
        return self._supervisors

    def find(self, plugin: str) -> Supervisor:
        """Raises PluginNotFound."""
        return self._find(plugin)

    async def open_events(self) -> event.EventStream:
        return self.events()


class PluginHost:
    """A host of plugins for programs without asyncio, used as a context manager from any thread.

    The arguments are those of `plugin_host.PluginHost`; async services run on the host's own thread, plain
    ones in threads. A host that is not closed is when the interpreter ends, after its other threads. In a
    forked child it cannot be used: make one there.
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
        self._host = _LoopHost(
            plugin_dirs=plugin_dirs,
            entry_points=entry_points,
            only=only,
            block=block,
            config=config,
            services=services,
            restarts=restarts,
            tracing=tracing,
        )
        self._supervisors = self._host.supervisors
        # Kept alive by this from its first use to its end.
        self._thread = LoopThread("plugin-host", lambda: atexit.register(self._close_at_exit))
        self._generation = fork.generation
        self._lock = threading.Lock()
        self._closing = threading.Lock()
        self._sessions: WeakValueDictionary[int, Session] = WeakValueDictionary()
        self._tasks = Tasks(self._thread, self._host.tasks, self._session)

    def __repr__(self) -> str:
        return repr(self._host)

    @property
    def plugins(self) -> Mapping[str, Plugin]:
        """Every plugin that was found, by id, in order; also the broken ones, whose `error` says why."""
        return self._host.plugins

    def events(self) -> EventStream:
        """What happens from now on, as an iterator that waits; it ends with the host."""
        with self._lock:
            if not self._thread.is_begun:  # nobody else is there yet
                return EventStream(self._thread, self._host.events())
        return EventStream(self._thread, self._thread.run(self._host.open_events()))

    @property
    def recent_events(self) -> list[HostEvent]:
        """The newest events, the oldest first: 200 at most, and fewer when they are big."""
        return self._host.recent_events

    @property
    def logs(self) -> Logbook:
        """The newest of what the plugins have logged, and streams of what they log from now on."""
        return Logbook(self._thread, self._host.logs)

    @property
    def metadata(self) -> Metadata:
        """What plugins may read and watch: a tree of values by path."""
        return Metadata(self._thread, self._host.metadata)

    @property
    def actions(self) -> Actions:
        """What plugins are to do, such as running a script or writing a file: starting and finding it."""
        return Actions(self._thread, self._host.actions)

    @property
    def tasks(self) -> Tasks:
        """The work that plugins are given, with its logs and results."""
        return self._tasks

    def metrics(self) -> Snapshot:
        """Everything that is counted and measured; see `plugin_host.PluginHost.metrics`."""
        return self._thread.run(self._host.metrics())

    # Life.

    def discover(self) -> None:
        """Fill `plugins` without starting any; entering the host does this first."""
        self._look(self._host.discover)

    def expect(self) -> None:
        """Discover, and have calls of other threads wait for what entering the host will start."""
        self._look(self._host.expect)

    def _look(self, look: Callable[[], None]) -> None:
        """Call it where the host is: here, until it has a thread of its own."""

        async def look_there() -> None:
            look()

        self._thread.check()
        with self._lock:
            if not self._thread.is_begun:
                look()
                return
        self._thread.run(look_there())

    def __enter__(self) -> PluginHost:
        try:
            with self._lock:
                entering = self._thread.submit(self._host.__aenter__())
            try:
                self._thread.result(entering)
            except BaseException:
                entering.cancel()
                raise
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop every plugin and end every event stream, for good; calls in flight end as by `stop`.

        An interrupt waits until all is stopped, a second one does not. Does nothing in a forked child.
        """
        if self._thread.is_foreign:
            return
        self._thread.check()
        with self._closing:
            if self._thread.is_over:
                return
            try:
                self._stop()
            finally:
                self._thread.close()
                atexit.unregister(self._close_at_exit)

    def _stop(self) -> None:
        closing = None
        try:
            try:
                closing = self._thread.submit(self._host.close())
                self._thread.result(closing)
            except KeyboardInterrupt:
                if closing is None:
                    closing = self._thread.submit(self._host.close())
                self._thread.result(closing)
                raise
        except PluginHostError:
            if self._thread.is_begun:  # else nothing was started
                raise
        finally:
            if closing is not None:
                closing.cancel()

    def _close_at_exit(self) -> None:
        with suppress(KeyboardInterrupt):  # all is stopped, and who would be told of it is gone
            self.close()

    # Using it.

    def call(
        self,
        plugin: str,
        command: str,
        params: Any = None,
        *,
        timeout: float | None = None,
        on_progress: Callable[[float, float | None, str], None] | None = None,
        fail_fast: bool = False,
    ) -> Any:
        """Call a command and return its result; see `plugin_host.PluginHost.call` for arguments and errors.

        `on_progress` is called on the calling thread. An interrupt, such as Ctrl-C, cancels the call.
        """
        if fork.generation != self._generation:
            self._thread.check()
        supervisor = self._supervisors.get(plugin) or self._host.find(plugin)
        link: Any = supervisor.link
        if link is not None and supervisor.idleness is None:
            try:
                return self._host.ask_command(
                    supervisor.plugin, link, command, params, timeout, on_progress
                )
            except LinkGone:
                pass  # stopped, or dead, at this moment
        return self._call(supervisor, command, params, timeout, on_progress, fail_fast, False)

    def call_text(
        self,
        plugin: str,
        command: str,
        params: Mapping[str, Any],
        *,
        timeout: float | None = None,
        on_progress: Callable[[float, float | None, str], None] | None = None,
        fail_fast: bool = False,
    ) -> Any:
        """Like `call`, for parameters that a person wrote: a text is converted to the handler's type."""
        self._thread.check()
        supervisor = self._host.find(plugin)
        return self._call(supervisor, command, params, timeout, on_progress, fail_fast, True)

    def call_many(
        self,
        plugin: str,
        command: str,
        params: Iterable[Any],
        *,
        timeout: float | None = None,
        return_exceptions: bool = False,
        fail_fast: bool = False,
    ) -> list[Any]:
        """Call a command once for each of `params`; see `plugin_host.PluginHost.call_many`."""
        many = list(params)  # on this thread, as it is not ours
        return self._thread.run(
            self._host.call_many(
                plugin,
                command,
                many,
                timeout=timeout,
                return_exceptions=return_exceptions,
                fail_fast=fail_fast,
            )
        )

    def _call(
        self,
        supervisor: Supervisor,
        command: str,
        params: Any,
        timeout: float | None,
        on_progress: Callable[[float, float | None, str], None] | None,
        fail_fast: bool,
        text: bool,
    ) -> Any:
        while True:
            link: Any = supervisor.link
            if link is None:
                link, timeout = self._admit(supervisor, timeout, fail_fast)
            idleness = supervisor.idleness
            if idleness is not None:
                idleness.uses += 1
            try:
                return self._host.ask_command(
                    supervisor.plugin, link, command, params, timeout, on_progress, text
                )
            except LinkGone:
                pass  # it is seen what the plugin is now

    def _admit(
        self, supervisor: Supervisor, timeout: float | None, fail_fast: bool
    ) -> tuple[Link, float | None]:
        if self._thread.is_over:
            raise not_ready(supervisor.plugin)
        return self._thread.run(supervisor.admit(timeout, fail_fast=fail_fast))

    def exec(
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
        """Open a session in a plugin; see `plugin_host.PluginHost.exec` for arguments and errors.

        An interrupt while it is being opened leaves nothing behind.
        """
        opening = self._host.exec(
            plugin,
            command,
            resource=resource,
            tty=tty,
            rows=rows,
            cols=cols,
            id=id,
            cwd=cwd,
            env=env,
            labels=labels,
            params=params,
            resource_data=resource_data,
            replay_bytes=replay_bytes,
            detached=detached,
            direct=direct,
            fail_fast=fail_fast,
        )
        return self._session(self._thread.run(opening))

    def sessions(self) -> list[Session]:
        """The exec sessions of every plugin that is ready, the oldest of each first; also ended ones that
        are still kept."""
        return [self._session(one) for one in self._thread.run(self._host.sessions())]

    def _session(self, held: session.Session) -> Session:
        """The one object for a session."""
        with self._lock:
            known = self._sessions.get(id(held))
            if known is None:
                known = self._sessions[id(held)] = Session(self._thread, held)
            return known

    def exec_handlers(self, plugin: str) -> list[HandlerInfo]:
        """What sessions can be opened in a plugin. Raises as `exec` does."""
        return self._thread.run(self._host.exec_handlers(plugin))

    def start(self, plugin: str) -> None:
        """Start a plugin unless it runs. Raises PluginNotFound, ManifestError, LaunchError."""
        self._thread.run(self._host.start(plugin))

    def stop(self, plugin: str) -> None:
        """Stop a plugin and everything it started; its calls in flight are cancelled."""
        self._thread.run(self._host.stop(plugin))

    def restart(self, plugin: str) -> None:
        """Stop and start a plugin. Raises as `start` does."""
        self._thread.run(self._host.restart(plugin))

    def reload(self, plugin: str) -> None:
        """Look at a plugin's manifest and code anew and let them take over without a pause.

        See `plugin_host.PluginHost.reload`.
        """
        self._thread.run(self._host.reload(plugin))

    def reconfigure(
        self, plugin: str, settings: Mapping[str, Any], *, timeout: float | None = None
    ) -> None:
        """Give a plugin new settings, in place of all that it has; it keeps them until it is reloaded.

        See `plugin_host.PluginHost.reconfigure`.
        """
        self._thread.run(self._host.reconfigure(plugin, settings, timeout=timeout))
