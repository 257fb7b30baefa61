"""The `action` capability as the runtime sees it: the requests it answers, and when it begins and ends.

Light until the first request: a plugin that was asked for no action loads nothing for them.
"""

from __future__ import annotations

import threading

from plugin_host_sdk.endpoint import Endpoint, is_async
from plugin_host_sdk.errors import ActionNotSupported, CallFailed, RegistrationError, excerpt

from .handler import Handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.endpoint import Resolver, Runtime
    from plugin_host_sdk.exec.clock import Clock

    from .desk import Desk
    from .handler import PluginOpts

__all__ = ["KEEPALIVE_S", "ActionCapability"]

KEEPALIVE_S = 10.0


class ActionCapability:
    """The kinds of actions that a plugin has. `keepalive` in seconds, by `clock` or the system's."""

    name = "action"

    def __init__(self) -> None:
        self.keepalive = KEEPALIVE_S
        self.clock: Clock | None = None
        self.handlers: dict[str, Handler] = {}
        self._triggers: dict[str, Endpoint] = {}
        self._runtime: Runtime | None = None
        self._desk: Desk | None = None
        self._making = threading.Lock()
        kinds = Endpoint("action.kinds", lambda ctx, params: self.describe(), is_urgent=True)
        cancel = Endpoint("action.cancel", self._run_cancel, is_urgent=True)
        self.routes: dict[str, Resolver] = {
            "action.trigger": self._resolve_trigger,
            "action.cancel": lambda params: (cancel, params),
            "action.kinds": lambda params: (kinds, params),
        }

    def add(self, handlers: Iterable[Handler]) -> None:
        """Register several; none is when one of them cannot be. Raises RegistrationError."""
        table = dict(self.handlers)
        for handler in handlers:
            if handler.kind in table:
                raise RegistrationError(f"action {handler.kind!r} is registered already")
            table[handler.kind] = handler
        self.handlers = table
        self._triggers = {kind: self._trigger(handler) for kind, handler in table.items()}

    def configure(self, opts: PluginOpts | None) -> None:
        """Take what an author declares. Raises RegistrationError."""
        if opts is not None:
            self.add(opts.handlers)
            self.keepalive = opts.keepalive or self.keepalive

    def describe(self) -> dict[str, Any]:
        return {"kinds": sorted(self.handlers)}

    # Serving.

    def open(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._desk = None  # of a runtime before

    def close(self, grace: float) -> None:
        with self._making:
            desk = self._desk
        if desk is not None:
            desk.close(grace)

    def _trigger(self, handler: Handler) -> Endpoint:
        """Without a check nothing of the author's runs before the answer."""
        if is_async(handler.check):
            return Endpoint("action.trigger", self._run_trigger_async, is_async=True)
        return Endpoint("action.trigger", self._run_trigger, is_urgent=handler.check is None)

    def _resolve_trigger(self, params: dict[str, Any]) -> tuple[Endpoint, Any]:
        kind = params.get("kind")
        endpoint = self._triggers.get(kind) if type(kind) is str else None
        if endpoint is None:
            self._forget(params)
            kinds = sorted(self.handlers)
            raise ActionNotSupported(
                f"the plugin has no action {excerpt(kind)} (it has: {', '.join(kinds) or 'none'})",
                data={"kinds": kinds},
            )
        return endpoint, params

    def _forget(self, params: dict[str, Any]) -> None:
        """What a caller still sends on the streams of an action that is refused is no fault of its."""
        for name in ("stdout", "stderr", "data"):
            number = params.get(name)
            if type(number) is int and self._runtime is not None:
                self._runtime.sink.forget(number)

    def _run_trigger(self, ctx: Context, params: dict[str, Any]) -> Any:
        return self._made_desk().trigger(ctx, params)

    async def _run_trigger_async(self, ctx: Context, params: dict[str, Any]) -> Any:
        return await self._made_desk().trigger_async(ctx, params)

    def _run_cancel(self, ctx: Context, params: dict[str, Any]) -> Any:
        return self._made_desk().cancel(params)

    def _made_desk(self) -> Desk:
        if self._desk is None:
            with self._making:
                if self._desk is None:
                    if self._runtime is None:
                        raise CallFailed("the plugin is not served", name="rpc.internal")
                    from .desk import Desk

                    self._desk = Desk(
                        lambda kind: self.handlers[kind], self._runtime, self.keepalive, self.clock
                    )
        return self._desk
