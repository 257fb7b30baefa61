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

__all__ = ["host_methods"]


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


def host_methods(host: PluginHost, finish: Finish, status_map: Callable[[], Any]) -> dict[str, Method]:
    """The methods by name. `finish` does what must be done to its end, whoever leaves."""

    async def status(ask: Ask) -> Any:
        return status_map()

    async def plugins(ask: Ask) -> Any:
        wanted = ask.read(_List).plugins
        shown = [one for one in host.plugins.values() if not wanted or one.id in wanted]
        return {"plugins": [plugin_map(one) for one in shown]}

    async def call(ask: Ask) -> Any:
        asked = ask.read(_Call)
        function = host.call_text if asked.text else host.call
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

    def change(name: str) -> Method:
        function: Callable[[str], Coroutine[Any, Any, None]] = getattr(host, name)

        async def changed(ask: Ask) -> Any:
            plugin = ask.read(_Named).plugin
            await finish(function(plugin))
            return {"plugin": plugin_map(host.plugins[plugin])}

        return changed

    async def reconfigure(ask: Ask) -> Any:
        asked = ask.read(_Reconfigure)
        await finish(host.reconfigure(asked.plugin, asked.settings, timeout=ask.timeout))
        return {"plugin": plugin_map(host.plugins[asked.plugin])}

    async def metrics(ask: Ask) -> Any:
        if ask.read(_Metrics).format == "json":
            return {"metrics": await host.metrics()}
        return {"content_type": CONTENT_TYPE, "text": await expose(host)}

    return {
        "host.metrics": metrics,
        "host.status": status,
        "host.list": plugins,
        "host.call": call,
        "host.reconfigure": reconfigure,
        **{f"host.{name}": change(name) for name in ("start", "stop", "restart", "reload")},
    }
