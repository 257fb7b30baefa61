"""All command listeners of one host: its own and one for each plugin, as sockets in one folder.

Invariants: the listener named `host` is the host's and every other one is that of the plugin with its
name; either the host's and all that were named listen or, after an error, none. Of the plugins that nobody
named, one that cannot have a listener is without, and the others are not.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING

from plugin_host.errors import PluginNotFound, SocketError
from plugin_host.hostnote import HostNotes
from plugin_host.localsocket import LocalSocket, check_group, unlink_dead
from plugin_host.undertaking import all_done
from plugin_host.version import VERSION
from plugin_host.wording import suggestion

from .builtin import register_built_in
from .folder import HOST_LISTENER
from .forwarder import Forwarder
from .limit import Limits
from .monitor import Monitor
from .option import option_tree
from .server import CommandServer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from plugin_host.configuration import Configuration
    from plugin_host.host import PluginHost

__all__ = ["CommandListeners"]

_SETTING = "--command-dir, or `dir` under [commands] in the configuration"


class CommandListeners:
    """Used as an async context manager around a host that has found its plugins.

    `folder` is made when it is missing. `mode` and `group` say who may connect, as for `LocalSocket`.
    `plugins` are those that get a listener: by default all that can be started. `configuration` is what
    `host.getoption` reads. With `debug` clients are sent the tracebacks of handlers that fail. `monitor`
    takes further commands of the host's own.
    """

    def __init__(
        self,
        host: PluginHost,
        folder: str | os.PathLike[str],
        *,
        mode: int | None = None,
        group: str | int | None = None,
        plugins: Iterable[str] | None = None,
        configuration: Configuration | None = None,
        limits: Limits | None = None,
        debug: bool = False,
    ) -> None:
        self.folder = os.path.abspath(folder)
        self._host = host
        self._mode, self._group = mode, group
        self._wanted = None if plugins is None else tuple(plugins)
        self._limits = limits if limits is not None else Limits()
        self._debug = debug
        self._servers: dict[str, CommandServer] = {}
        self._makes_folder = False
        self._note = HostNotes(host.logs, __name__)
        self.monitor = Monitor(
            self._place(HOST_LISTENER), self._limits, deferred=True, debug=debug, note=self._note
        )
        place = self._place("")
        commands = {"dir": self.folder, "mode": f"{place.mode:04o}", "group": group, "debug": debug}
        options = option_tree(
            configuration, commands=commands, version=VERSION, limits=dataclasses.asdict(self._limits)
        )
        register_built_in(self.monitor, host, options, self._limits.event_s, debug=debug)

    def __repr__(self) -> str:
        return f"<CommandListeners {self.folder} {', '.join(self.names) or 'none'}>"

    @property
    def names(self) -> list[str]:
        """Those that listen now, the host's first."""
        own = [HOST_LISTENER] if self.monitor.is_listening else []
        return own + sorted(name for name, server in self._servers.items() if server.is_listening)

    async def start(self) -> None:
        """Listen; raises SocketError, and PluginNotFound for one that was wanted and is nowhere."""
        try:
            await asyncio.to_thread(check_group, self._place(HOST_LISTENER))
            self._start()
        except BaseException:
            await self.aclose()
            raise

    def _start(self) -> None:
        self._makes_folder = not os.path.lexists(self.folder) or self._swept()
        self.monitor.start()
        if self._wanted is None:
            self._listen_where_possible()
        else:
            for plugin in self._wanted:
                self.listen(plugin)

    def _listen_where_possible(self) -> None:
        for plugin in self._startable():
            try:
                self.listen(plugin)
            except SocketError as error:
                self._note(f"plugin `{plugin}` has no command listener: {error}")

    def _swept(self) -> bool:
        """Remove the sockets that a host left here when it was killed; whether nothing else is here."""
        with contextlib.suppress(OSError):  # it is no folder, as who makes a socket in it will say
            names = os.listdir(self.folder)
            left = [name for name in names if not unlink_dead(os.path.join(self.folder, name))]
            return bool(names) and not left
        return False

    def listen(self, plugin: str) -> None:
        """Have a listener for this plugin, too. Raises SocketError, and PluginNotFound."""
        if plugin not in self._host.plugins:
            hint = suggestion(plugin, self._host.plugins)
            raise PluginNotFound(f"no plugin `{plugin}`{hint}", plugin=plugin)
        if plugin == HOST_LISTENER:
            self._note("plugin `host` has no command listener: that name is the host's own")
            return
        server = self._servers.get(plugin)
        if server is None:
            forwarder = Forwarder(self._host, plugin, self._limits.handle_s)
            place = self._place(plugin)
            server = CommandServer(
                place, forwarder.answer, self._limits, debug=self._debug, note=self._note
            )
            self._servers[plugin] = server
        server.start()

    async def aclose(self, grace_s: float | None = None) -> None:
        """Take no more requests, give those that run `grace_s` seconds, and remove the sockets."""
        closing = [self.monitor.aclose(grace_s)]
        closing += [server.aclose(grace_s) for server in self._servers.values()]
        try:
            await all_done([asyncio.create_task(one) for one in closing])
        finally:
            self._note.close()
            if self._makes_folder:
                with contextlib.suppress(OSError):  # somebody else's listeners are there, or it is gone
                    os.rmdir(self.folder)

    async def __aenter__(self) -> CommandListeners:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _startable(self) -> list[str]:
        return [plugin.id for plugin in self._host.plugins.values() if plugin.candidate.is_startable]

    def _place(self, name: str) -> LocalSocket:
        path = os.path.join(self.folder, name)
        return LocalSocket.configured(path, self._mode, self._group, setting=_SETTING)
