"""A client of a running host: what an embedder can do with its own host, over the control socket."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from plugin_host.errors import ConfigurationError, PluginHostError
from plugin_host.exec.opening import open_session
from plugin_host.logbook import LogRecord

from .address import SCHEME, parse_address, unreachable
from .clientlink import ClientLink
from .descriptor import IoTicket
from .localaddress import reach_local, socket_path, unreachable_local
from .remotemetadata import RemoteMetadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from plugin_host.channel import Channel
    from plugin_host.exec.session import Session
    from plugin_host.metric.snapshot import Snapshot
    from plugin_host_sdk.types.session import HandlerInfo

    from .follower import Follower

__all__ = ["ControlClient", "connect", "socket_path"]

_CONNECT_S = 5.0


async def connect(
    path: str | os.PathLike[str] | None = None,
    *,
    name: str = "",
    keep: bool = False,
    token: str | None = None,
    timeout: float = _CONNECT_S,
    psk_file: str | os.PathLike[str] | None = None,
) -> ControlClient:
    """A client of the host that listens at `path`, by default the user's own; to be closed by the caller.

    `tcp://HOST:PORT` is one that listens on a network, and `psk_file` the file of the key shared with it;
    KeyFileError and ConfigurationError are raised for what cannot be used of these.

    With `keep` the sessions that it opens live on when it goes; `token` is that of an earlier connection,
    which makes it the same client. Raises HostUnreachable, and SocketError for a path that cannot be one.
    """
    given = os.fspath(path) if path else ""
    is_remote = given.startswith(SCHEME)
    where = str(parse_address(given)) if is_remote else socket_path(path)
    client = None
    try:
        async with asyncio.timeout(timeout):
            client = await (_remote(where, psk_file) if is_remote else _local(where))
            await client.introduce(name, keep=keep, token=token)
        return client
    except ConfigurationError:
        raise
    except (OSError, PluginHostError) as error:
        raise (unreachable(where, error) if is_remote else unreachable_local(where, error)) from None
    finally:
        if client is not None and not client.info:
            await client.close()


async def _local(path: str) -> ControlClient:
    channel, pid = await reach_local(path)
    return ControlClient(channel, path, pid)


async def _remote(address: str, psk_file: str | os.PathLike[str] | None) -> ControlClient:
    if psk_file is None:
        text = f"{address}: a host on a network is reached with a pre-shared key: name its file"
        raise ConfigurationError(f"{text} (psk_file, --psk-file)")
    from .tcp import reach

    return ControlClient(await reach(parse_address(address), psk_file), f"{SCHEME}{address}", 0)


class ControlClient(ClientLink):
    """One connection; made by `connect`, and an async context manager.

    `info` is what the host said of itself, `token` what makes a later connection the same client;
    `metadata`, `tasks` and `actions` are the host's. Methods raise what `PluginHost`'s do, and HostLost
    when the connection has ended.
    """

    def __init__(self, channel: Channel, path: str, pid: int) -> None:
        super().__init__(channel, path, pid)
        self.metadata = RemoteMetadata(self)

    async def status(self) -> dict[str, Any]:
        """The host at this moment."""
        status: dict[str, Any] = await self.ask("host.status")
        return status

    async def plugins(self, *ids: str) -> list[dict[str, Any]]:
        """The plugins, or those that are named, in order of their ids."""
        plugins: list[dict[str, Any]] = (await self.ask("host.list", {"plugins": list(ids)}))["plugins"]
        return plugins

    async def call(
        self,
        plugin: str,
        command: str,
        params: Any = None,
        *,
        timeout: float | None = None,
        on_progress: Callable[[float, float | None, str], None] | None = None,
        fail_fast: bool = False,
        text: bool = False,
    ) -> Any:
        """Call a command; see `PluginHost.call`, and `PluginHost.call_text` for `text`."""
        asked = {"plugin": plugin, "command": command, "params": params}
        options = {"text": text, "fail_fast": fail_fast, "progress": on_progress is not None}
        answer = await self.ask("host.call", asked | options, timeout=timeout, on_progress=on_progress)
        return answer["result"]

    async def start(self, plugin: str) -> dict[str, Any]:
        """See `PluginHost.start`; the plugin as it is then."""
        return await self._change("host.start", plugin)

    async def stop(self, plugin: str) -> dict[str, Any]:
        """See `PluginHost.stop`."""
        return await self._change("host.stop", plugin)

    async def restart(self, plugin: str) -> dict[str, Any]:
        """See `PluginHost.restart`."""
        return await self._change("host.restart", plugin)

    async def reload(self, plugin: str) -> dict[str, Any]:
        """See `PluginHost.reload`."""
        return await self._change("host.reload", plugin)

    async def _change(self, method: str, plugin: str) -> dict[str, Any]:
        changed: dict[str, Any] = (await self.ask(method, {"plugin": plugin}))["plugin"]
        return changed

    async def reconfigure(
        self, plugin: str, settings: Mapping[str, Any], *, timeout: float | None = None
    ) -> dict[str, Any]:
        """See `PluginHost.reconfigure`."""
        asked = {"plugin": plugin, "settings": dict(settings)}
        answer: dict[str, Any] = (await self.ask("host.reconfigure", asked, timeout=timeout))["plugin"]
        return answer

    async def metrics(self) -> Snapshot:
        """See `PluginHost.metrics`."""
        snapshot: Snapshot = (await self.ask("host.metrics", {"format": "json"}))["metrics"]
        return snapshot

    async def metrics_text(self) -> str:
        """The metrics as Prometheus reads them."""
        text: str = (await self.ask("host.metrics", {"format": "prometheus"}))["text"]
        return text

    # Following.

    async def logs(
        self,
        plugin: str | None = None,
        *,
        level: str = "info",
        tail: int | None = None,
        follow: bool = False,
    ) -> Follower[LogRecord]:
        """What is kept of the log, of one plugin or of all, from `level` on: the last `tail` records.

        With `follow` it goes on with what is logged from then on. To be closed by the caller. Raises
        PluginNotFound, and CallFailed for a level that there is not.
        """
        asked = {"plugin": plugin, "level": level, "tail": tail, "follow": follow}
        return await self.follow("host.logs", asked, LogRecord.from_map)

    async def events(self, *, tail: int | None = 0, follow: bool = True) -> Follower[dict[str, Any]]:
        """What happens from now on, as the maps of `run --json`; to be closed by the caller.

        `tail` is how many of the events before come first, None for all that are kept; without `follow`
        nothing else comes.
        """
        return await self.follow("host.events", {"tail": tail, "follow": follow}, dict)

    # Sessions.

    async def exec(
        self,
        plugin: str,
        command: Sequence[str] | None = None,
        *,
        resource: str | None = None,
        keep: bool | None = None,
        fail_fast: bool = False,
        **options: Any,
    ) -> Session:
        """Open a session; see `PluginHost.exec` for the options. `keep` overrides the connection's."""
        proxy = self._sessions.proxy(plugin)
        create = proxy.creator(keep=keep, fail_fast=fail_fast)
        if (cwd := options.get("cwd")) is not None:
            options["cwd"] = os.fspath(cwd)
        return await open_session(proxy, command=command, create=create, handler=resource, **options)

    async def sessions(self, plugin: str | None = None) -> list[Session]:
        """The sessions that this client may use, in order of plugin and time."""
        found = (await self.ask("host.sessions", {"plugin": plugin}))["sessions"]
        return [self._sessions.session(one["plugin"], one["session"]) for one in found]

    async def session(self, id: str, plugin: str | None = None, *, token: str | None = None) -> Session:
        """One session. This client becomes its owner if it has none and the token is the right one.

        Raises SessionNotFound, and CallFailed when it is another's or in several plugins.
        """
        found = await self.ask("host.attach", {"session": id, "plugin": plugin, "token": token})
        return self._sessions.session(found["plugin"], found["session"])

    async def keep(self, session: Session, *, keep: bool = True) -> None:
        """Choose anew whether a session of this client lives on without it."""
        await self.ask("host.keep", {"session": session.id, "plugin": session.plugin, "keep": keep})

    async def release(self, session: Session) -> None:
        """End a session of this client and forget it."""
        await self.ask("host.release", {"session": session.id, "plugin": session.plugin})

    async def exec_handlers(self, plugin: str) -> list[HandlerInfo]:
        """What sessions can be opened in a plugin."""
        return await self._sessions.proxy(plugin).handlers()

    async def open_io(
        self,
        session: Session,
        streams: Sequence[str],
        *,
        lossless: bool | None = None,
        offset: int | Mapping[str, int | None] | None = None,
        close_stdin: bool | None = None,
    ) -> IoTicket:
        """A ticket for raw descriptors, which `open_descriptors` exchanges for them.

        `streams` are one to three of "stdin", "stdout", "stderr"; "stdio" is the first two in one. `offset`
        is as of `Session.attach`. A lossless output slows the session down, as one does unless told
        otherwise that comes with input or is the session's only viewer; another that falls behind is cut.
        The end of what is written is the end of the session's input on pipes, or as `close_stdin` says.
        """
        asked = {"session": session.id, "plugin": session.plugin, "streams": list(streams)}
        terms = {"lossless": lossless, "offset": offset, "close_stdin": close_stdin}
        answer = await self.ask("host.open_io", asked | terms)
        return IoTicket(answer["token"], answer["socket"], answer["expires_s"])
