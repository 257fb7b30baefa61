"""The sessions of a host that runs elsewhere, as its clients hold them.

The same `Session` as an embedder has, over a proxy that names the plugin in every request. A plugin that
dies takes its own sessions along and no others. Invariant: a session ends here once: with its exit, with
the death of its plugin, or with the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from plugin_host.errors import CallError, CallFailed, PluginHostError
from plugin_host.exec.opening import session_of
from plugin_host.exec.proxy import ExecProxy
from plugin_host.metric.meter import SessionMeter
from plugin_host_sdk.types.session import SessionInfo

from .errormap import from_map

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from plugin_host.exec.session import Session
    from plugin_host.link import Link
    from plugin_host_sdk.types.session import Created, SessionOptions

__all__ = ["RemoteProxy", "RemoteSessions"]

_T = TypeVar("_T")

_KEPT_LOSSES = 1024


class _Window(msgspec.Struct):
    window: int


class RemoteProxy(ExecProxy):
    """The sessions of one plugin of the host behind `link`."""

    def __init__(self, plugin: str, link: Link) -> None:
        super().__init__(plugin, link, SessionMeter())  # they are counted where they run
        self._lost: dict[str, PluginHostError] = {}

    def creator(
        self, *, method: str = "exec.create", **more: Any
    ) -> Callable[[SessionOptions, int], Awaitable[Created]]:
        """Opens a session with options that only a host knows."""

        def create(options: SessionOptions, stdin: int) -> Awaitable[Created]:
            self._lost.pop(options.id, None)
            return self.create_by(method, options, stdin, more)

        return create

    async def join_input(self, session: str, stdin: int) -> int:
        return (await self._ask("exec.join", {"session": session, "stdin": stdin}, _Window)).window

    async def _ask(
        self, method: str, params: dict[str, Any], kind: type[_T], meta: dict[str, Any] | None = None
    ) -> _T:
        try:
            return await super()._ask(method, params, kind, meta)
        except CallError as error:
            raise from_map(error) from None

    def _scoped(self, params: dict[str, Any]) -> dict[str, Any]:
        return params | {"plugin": self.plugin}

    def failure(self, error: Any) -> PluginHostError:
        return from_map(error)

    def check(self, session: str = "") -> None:
        if (error := self._lost.get(session)) is not None:
            raise error
        super().check(session)

    def lost(self, session: str, error: Any) -> None:
        """The host says that a session is gone with its plugin."""
        self._lost[session] = from_map(error)
        if len(self._lost) > _KEPT_LOSSES:
            del self._lost[next(iter(self._lost))]
        held = self.held(session)
        if held is not None:
            self._running.discard(held)
            held.lose()


class RemoteSessions:
    """All sessions behind one link, by plugin."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._proxies: dict[str, RemoteProxy] = {}

    def proxy(self, plugin: str) -> RemoteProxy:
        """The sessions of a plugin."""
        if plugin not in self._proxies:
            self._proxies[plugin] = RemoteProxy(plugin, self._link)
        return self._proxies[plugin]

    def session(self, plugin: str, info: Any) -> Session:
        """The one object for a session that the host has described. Raises CallFailed."""
        try:
            described = msgspec.convert(info, SessionInfo)
        except msgspec.ValidationError as error:
            raise CallFailed(f"the host described a session oddly: {error}", name="rpc.foreign") from None
        return session_of(self.proxy(plugin), described)

    def told(self, method: str, params: Any) -> None:
        """The host tells of a session, perhaps before the answer by which this side hears of it first."""
        proxy = self.proxy(str(params.get("plugin")))
        if method == "exec.exited":
            proxy.exited(params)
        elif method == "exec.lost":
            proxy.lost(str(params.get("session")), params.get("error"))

    def fail(self, make_error: Callable[[str], Exception]) -> None:
        """The connection is over."""
        for proxy in self._proxies.values():
            proxy.fail(make_error)
