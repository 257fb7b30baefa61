"""What clients ask of the host itself and of its plugins: `host.status`, `host.call`, `host.stop`, …

What changes a plugin's life is done to its end, also when the client that asked for it goes away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct, field

from plugin_host.errors import CallFailed
from plugin_host.exposition import CONTENT_TYPE, expose

from .overview import plugin_map

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from plugin_host.host import PluginHost

    from .ask import Ask, Method

    Finish = Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, Any]]

__all__ = ["HostMethods"]


class _Call(Struct, kw_only=True):
    plugin: str
    command: str
    params: Any = None
    text: bool = False
    progress: bool = False
    fail_fast: bool = False


class _Named(Struct):
    plugin: str


class _Reconfigure(_Named):
    settings: dict[str, Any]


class _Metrics(Struct):
    format: Literal["json", "prometheus"] = "json"


class _List(Struct, kw_only=True):
    plugins: list[Annotated[str, Meta(min_length=1)]] = field(default_factory=list)


class HostMethods:
    """The methods of one host. `finish` does what must be done to its end, whoever leaves."""

    def __init__(self, host: PluginHost, finish: Finish, status_map: Callable[[], Any]) -> None:
        self._host = host
        self._finish = finish
        self._status_map = status_map

    def table(self) -> dict[str, Method]:
        """The methods by name."""
        host = self._host
        return {
            "host.metrics": self._metrics,
            "host.status": self._status,
            "host.list": self._list,
            "host.call": self._call,
            "host.start": self._changing(host.start),
            "host.stop": self._changing(host.stop),
            "host.restart": self._changing(host.restart),
            "host.reload": self._changing(host.reload),
            "host.reconfigure": self._reconfigure,
        }

    async def _status(self, ask: Ask) -> Any:
        return self._status_map()

    async def _list(self, ask: Ask) -> Any:
        wanted = ask.read(_List).plugins
        shown = [one for one in self._host.plugins.values() if not wanted or one.id in wanted]
        return {"plugins": [plugin_map(one) for one in shown]}

    async def _call(self, ask: Ask) -> Any:
        asked = ask.read(_Call)
        function = self._host.call_text if asked.text else self._host.call
        if asked.text and not isinstance(asked.params, dict):
            raise CallFailed("host.call: parameters that are text are a map", name="rpc.invalid_params")
        result = await function(
            asked.plugin,
            asked.command,
            asked.params,
            timeout=ask.timeout,
            on_progress=ask.progress if asked.progress else None,
            fail_fast=asked.fail_fast,
        )
        return {"result": result}

    def _changing(self, function: Callable[[str], Coroutine[Any, Any, None]]) -> Method:
        async def change(ask: Ask) -> Any:
            plugin = ask.read(_Named).plugin
            await self._finish(function(plugin))
            return {"plugin": plugin_map(self._host.plugins[plugin])}

        return change

    async def _reconfigure(self, ask: Ask) -> Any:
        asked = ask.read(_Reconfigure)
        await self._finish(self._host.reconfigure(asked.plugin, asked.settings, timeout=ask.timeout))
        return {"plugin": plugin_map(self._host.plugins[asked.plugin])}

    async def _metrics(self, ask: Ask) -> Any:
        if ask.read(_Metrics).format == "json":
            return {"metrics": await self._host.metrics()}
        return {"content_type": CONTENT_TYPE, "text": await expose(self._host)}
