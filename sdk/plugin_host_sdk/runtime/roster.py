"""The capabilities of one plugin, as the runtime serves them from the first request to the end."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin_host_sdk.endpoint import Resolver, Runtime
    from plugin_host_sdk.plugin import Plugin

__all__ = ["Roster"]


class Roster:
    """What `plugin` declares."""

    __slots__ = ("_plugin",)

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin

    def open(self, runtime: Runtime) -> dict[str, Resolver]:
        """Serving begins; the methods that are answered."""
        routes: dict[str, Resolver] = {}
        for capability in self._plugin.capabilities.values():
            routes.update(capability.routes)
            capability.open(runtime)
        reconfiguration = self._plugin.reconfiguration
        if reconfiguration is not None:
            routes.update(reconfiguration.routes)
            reconfiguration.open(runtime)
        return routes

    def tell_ready(self) -> None:
        """The host hears from now on; capabilities that ask it of their own may begin."""
        for capability in self._plugin.capabilities.values():
            ready = getattr(capability, "ready", None)
            if ready is not None:
                ready()

    def close(self, grace: float) -> None:
        """Have every capability stop what it runs, within `grace` seconds."""
        for capability in self._plugin.capabilities.values():
            try:
                capability.close(grace)
            except Exception:  # the others still have to
                import traceback

                traceback.print_exc()
