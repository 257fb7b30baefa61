"""The actions of a host that runs elsewhere, as its clients hold them.

The same `ActionRun` as an embedder has, over a proxy that names the plugin in every request. Invariant: an
action ends here once: as the host says, which tells of the death of its plugin too, or with the connection.
"""

from __future__ import annotations

import builtins
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from plugin_host.action.actions import begin
from plugin_host.action.info import ActionInfo
from plugin_host.action.proxy import ActionProxy
from plugin_host.errors import CallFailed, PluginHostError
from plugin_host_sdk.types.action import Kinds

from .errormap import from_map

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from plugin_host.action.run import ActionRun
    from plugin_host.action.source import Data
    from plugin_host.link import Link
    from plugin_host_sdk.types.action import Request

__all__ = ["RemoteActions"]

_T = TypeVar("_T")


class _List(msgspec.Struct):
    actions: list[ActionInfo]


class _Joined(msgspec.Struct):
    info: ActionInfo


class _RemoteProxy(ActionProxy):
    """The actions of one plugin of the host behind `link`."""

    def _scoped(self, params: dict[str, Any]) -> dict[str, Any]:
        return params | {"plugin": self.plugin} if self.plugin else params

    def failure(self, error: Any) -> PluginHostError:
        return from_map(error)

    def held(self, id: str) -> ActionRun | None:
        """One that this client follows already."""
        return self._runs.get(id)

    async def ask(self, method: str, params: dict[str, Any], kind: type[_T]) -> _T:
        """Any request about actions."""
        return await self._ask(method, params, kind)

    async def join(self, info: ActionInfo, since: Mapping[str, int] | None, *, lossless: bool) -> ActionRun:
        """Follow an action that another client triggered, or an earlier connection."""
        run = self._adopt(info.kind, info.id)
        run.started_at = info.started_at
        asked = {"since": None if since is None else dict(since), "lossless": lossless}
        joined = await self._open(run, "action.output", asked, _Joined)
        run.last_sign = joined.info.last_sign
        self._accepted(run)
        return run


class RemoteActions:
    """`ControlClient.actions`: the face of `PluginHost.actions`, and what belongs to a client."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._proxies: dict[str, _RemoteProxy] = {}
        self._all = _RemoteProxy("", link)

    def __repr__(self) -> str:
        return f"<RemoteActions running={sum(len(one.running) for one in self._proxies.values())}>"

    async def trigger(
        self,
        plugin: str,
        request: Request,
        data: Data | None = None,
        *,
        id: str | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
        keep: bool | None = None,
        fail_fast: bool = False,
    ) -> ActionRun:
        """Have a plugin do something; see `Actions.trigger`.

        The action is cancelled when this client goes, unless it is to `keep`; None is as the connection.
        """
        more = {"keep": keep, "fail_fast": fail_fast}
        id = id or uuid.uuid4().hex
        proxy = self._proxy(plugin)
        return await begin(proxy, request, data, id=id, on_progress=on_progress, more=more)

    async def kinds(self, plugin: str) -> builtins.list[str]:
        """The kinds of actions that a plugin has."""
        return builtins.list((await self._proxy(plugin).ask("action.kinds", {}, Kinds)).kinds)

    async def list(self, plugin: str | None = None) -> builtins.list[ActionInfo]:
        """Those that this client may use: what runs, and the newest that has ended; the oldest first."""
        return (await self._plain("action.list", {"plugin": plugin}, _List)).actions

    async def get(
        self, id: str, *, since: Mapping[str, int] | None = None, lossless: bool = False
    ) -> ActionRun:
        """Follow an action by its id, from what is kept of its output on; see `ActionRun.output`.

        `since` gives the offsets from which its output is wanted. A lossless one makes the action wait for
        this client. Raises ActionNotFound, and CallFailed for another client's where that is not allowed.
        """
        found = [one for one in await self.list() if one.id == id]
        info = found[0] if found else ActionInfo(**_unknown(id))
        proxy = self._proxy(info.plugin)
        return proxy.held(id) or await proxy.join(info, since, lossless=lossless)

    async def cancel(self, id: str, reason: str = "", *, grace: float = 2.0) -> str:
        """Ask an action to end by its id; see `ActionRun.cancel`."""
        return await self._all.cancel(id, reason, grace)

    async def keep(self, run: ActionRun, *, keep: bool = True) -> None:
        """Choose anew whether an action of this client goes on without it."""
        await self._plain("action.keep", {"action": run.id, "keep": keep}, dict)

    async def _plain(self, method: str, params: dict[str, Any], kind: type[_T]) -> _T:
        return await self._all.ask(method, params, kind)

    def _proxy(self, plugin: str) -> _RemoteProxy:
        if plugin not in self._proxies:
            self._proxies[plugin] = _RemoteProxy(plugin, self._link)
        return self._proxies[plugin]

    # The client's.

    def told(self, method: str, params: Any) -> None:
        """The host tells of an action, perhaps before the answer by which this side hears of it first."""
        try:
            self._proxy(str(params.get("plugin"))).told(method, params)
        except CallFailed:
            pass  # its result says so

    def fail(self, make_error: Callable[[str], Exception]) -> None:
        """The connection is over."""
        for proxy in (self._all, *self._proxies.values()):
            proxy.fail(make_error)


def _unknown(id: str) -> dict[str, Any]:
    """For one that is not listed, of which the host shall say why."""
    return {"id": id, "plugin": "", "kind": "", "state": "", "started_at": 0.0, "last_sign": 0.0}
