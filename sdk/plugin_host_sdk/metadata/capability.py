"""The `metadata` capability as the runtime sees it: the requests it answers, and when it begins and ends.

Light until the host is heard: what takes tasks and serves them is loaded when the plugin is ready, on a
thread of its own, and not at all by a plugin without tasks.
"""

from __future__ import annotations

import threading

from plugin_host_sdk.endpoint import Endpoint, is_async
from plugin_host_sdk.errors import CallFailed, RegistrationError

from .option import PluginOpts, check_at_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.endpoint import CapabilityHolder, Resolver, Runtime
    from plugin_host_sdk.exec import ExecCapability

    from .desk import Desk

__all__ = ["MetadataCapability", "register_plugin"]

_SERVICES = ("get_artifact", "list_folder", "exec_shell")
_OWN = ("kill_process", "close")
# Its shells are sessions like any other, also in a plugin that offers no sessions.
_OF_SESSIONS = ("get", "list", "attach", "detach", "resize", "signal", "close_stdin", "close")


class MetadataCapability:
    """The tasks of one plugin."""

    name = "metadata"

    def __init__(self, plugin: CapabilityHolder, opts: PluginOpts) -> None:
        self.opts = opts
        self._plugin = plugin
        self._runtime: Runtime | None = None
        self._desk: Desk | None = None
        self._making = threading.Lock()
        self._sessions: ExecCapability | None = None

    @property
    def routes(self) -> Mapping[str, Resolver]:
        """The methods it answers; those of sessions too where the plugin has no other that does."""
        routes = {f"metadata.{name}": self._resolver(name) for name in (*_SERVICES, *_OWN)}
        if "exec" not in self._plugin.capabilities:
            theirs = self._own_sessions().routes
            routes |= {f"exec.{name}": theirs[f"exec.{name}"] for name in _OF_SESSIONS}
        return routes

    def describe(self) -> dict[str, Any]:
        return {"tasks": True}

    # Serving.

    def open(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._desk = None  # a test may serve a plugin more than once
        if "exec" not in self._plugin.capabilities:
            self._own_sessions().open(runtime)

    def ready(self) -> None:
        if self.opts.run is not None or self.opts.on_task is not None:
            threading.Thread(target=self._begin, name="tasks begin", daemon=True).start()

    def close(self, grace: float) -> None:
        with self._making:
            desk = self._desk
        if desk is not None:
            desk.close(grace)
        if self._sessions is not None:
            self._sessions.close(grace)

    @property
    def at_once(self) -> int:
        """How many tasks run side by side; may be set while they do."""
        return self.desk().workers.width

    @at_once.setter
    def at_once(self, width: int) -> None:
        self.desk().workers.resize(check_at_once(width))

    def execute(self, ctx: Context) -> Any:
        """The next task; a coroutine for an async context."""
        intake = self.desk().intake
        return intake.take_async(ctx) if ctx.awaits else intake.take(ctx)

    def desk(self) -> Desk:
        """What serves tasks; made when it is needed first. Raises CallFailed before serving has begun."""
        with self._making:
            if self._desk is None:
                if self._runtime is None:
                    raise CallFailed("the plugin is not served", name="rpc.internal")
                from .desk import Desk

                self._desk = Desk(self._plugin.id, self.opts, self._runtime, self._find_sessions())
            return self._desk

    def _begin(self) -> None:
        assert self._runtime is not None
        try:
            self.desk().workers.begin()
        except Exception as error:
            text = f"tasks cannot be taken: {type(error).__name__}: {error}"
            self._runtime.log("error", "metadata", text, {})

    def _find_sessions(self) -> ExecCapability:
        registered: Any = self._plugin.capabilities.get("exec")
        return registered or self._own_sessions()

    def _own_sessions(self) -> ExecCapability:
        if self._sessions is None:
            from plugin_host_sdk.exec.capability import ExecCapability

            self._sessions = ExecCapability(self._plugin.id)
        return self._sessions

    def _resolver(self, name: str) -> Resolver:
        function = getattr(self.opts, name, None) if name in _SERVICES else None
        method = f"metadata.{name}"
        if is_async(function):
            endpoint = Endpoint(
                method, lambda ctx, params: self.desk().answer_async(name, ctx, params), is_async=True
            )
        else:
            endpoint = Endpoint(
                method,
                lambda ctx, params: self.desk().answer(name, ctx, params),
                is_urgent=function is None,
            )
        return lambda params: (endpoint, params)


def register_plugin(plugin: CapabilityHolder, opts: PluginOpts | None = None) -> MetadataCapability:
    """Give `plugin` the metadata capability, so that it can take tasks.

    Raises RegistrationError when it has it already.
    """
    if opts is not None and not isinstance(opts, PluginOpts):
        raise RegistrationError(f"{opts!r} are no PluginOpts of metadata")
    capability = MetadataCapability(plugin, opts or PluginOpts())
    plugin.add_capability(capability)
    return capability
