"""The `exec` capability as the runtime sees it: the requests it answers, and when it begins and ends.

Light until the first request: a plugin that opens no session loads nothing for them. Parameters are checked
here, against the types of the wire, before anything happens.
"""

from __future__ import annotations

import threading

from plugin_host_sdk.endpoint import Endpoint, is_async
from plugin_host_sdk.errors import CallFailed, RegistrationError
from plugin_host_sdk.protocol import REPLAY_BYTES

from .handler import Handler, find_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.endpoint import Resolver, Runtime

    from .configuration import SessionLimits, SessionSettings
    from .desk import Desk
    from .handler import PluginOpts

__all__ = ["ExecCapability"]

_METHODS = (
    "handlers",
    "get",
    "list",
    "attach",
    "detach",
    "resize",
    "signal",
    "close_stdin",
    "close",
)


class ExecCapability:
    """The exec handlers of plugin `plugin`; `replay_bytes`, `settings` and `limits` as in `PluginOpts`."""

    name = "exec"

    def __init__(self, plugin: str) -> None:
        self.replay_bytes = REPLAY_BYTES
        self.settings: SessionSettings | None = None
        self.limits: SessionLimits | None = None
        self.handlers: dict[str, Handler] = {}
        self._plugin = plugin
        self._runtime: Runtime | None = None
        self._desk: Desk | None = None
        self._making = threading.Lock()
        self._create = Endpoint("exec.create", self._run_create)
        self._create_async = Endpoint("exec.create", self._run_create_async, is_async=True)
        self.routes: dict[str, Resolver] = {"exec.create": self._resolve_create}
        for method in _METHODS:
            self.routes[f"exec.{method}"] = self._resolver(method)

    def add(self, handlers: Iterable[Handler]) -> None:
        """Register several; none is when one of them cannot be. Raises RegistrationError."""
        table = dict(self.handlers)
        for handler in handlers:
            if not isinstance(handler, Handler):
                raise RegistrationError(f"{handler!r} is no exec Handler")
            handler.plugin = handler.plugin or self._plugin
            if handler.key in table:
                raise RegistrationError(f"exec handler {handler.key!r} is registered already")
            table[handler.key] = handler
        self.handlers = table

    def configure(self, opts: PluginOpts | None) -> None:
        """Take what an author declares. Raises RegistrationError."""
        if opts is None:
            return
        self.add(opts.handlers)
        if opts.replay_bytes is not None:
            self.replay_bytes = opts.replay_bytes
        self.settings = opts.settings or self.settings
        self.limits = opts.limits or self.limits

    def describe(self) -> dict[str, Any]:
        return {"handlers": [self.handlers[key].describe() for key in sorted(self.handlers)]}

    # Serving.

    def open(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._desk = None  # a test may serve a plugin more than once
        if threading.current_thread() is threading.main_thread():
            _survive_hangups()

    def close(self, grace: float) -> None:
        with self._making:
            desk = self._desk
        if desk is not None:
            desk.manager.shutdown(grace)

    def _resolver(self, method: str) -> Resolver:
        def run(ctx: Context, params: dict[str, Any]) -> Any:
            return getattr(self.desk(), method)(params)

        endpoint = Endpoint(f"exec.{method}", run, is_urgent=True)
        return lambda params: (endpoint, params)

    def _resolve_create(self, params: dict[str, Any]) -> tuple[Endpoint, Any]:
        handler = find_handler(self.handlers, params.get("handler"))
        tty = params.get("tty", True)
        function: Callable[..., Any] | None = handler.session_handler or handler.command_handler
        if tty and handler.tty_handler is not None:
            function = None  # it runs beside the session, whichever kind it is
        return self._create_async if is_async(function) else self._create, params

    def _run_create(self, ctx: Context, params: dict[str, Any]) -> Any:
        return self.desk().create(ctx, params)

    async def _run_create_async(self, ctx: Context, params: dict[str, Any]) -> Any:
        return await self.desk().create_async(ctx, params)

    def desk(self) -> Desk:
        """What answers; made when it is needed first. Raises CallFailed before serving has begun."""
        if self._desk is None:
            with self._making:
                if self._desk is None:
                    if self._runtime is None:
                        raise CallFailed("the plugin is not served", name="rpc.internal")
                    from .desk import Desk

                    self._desk = Desk(
                        self.handlers.values(),
                        self._runtime,
                        self.replay_bytes,
                        settings=self.settings,
                        limits=self.limits,
                    )
        return self._desk


def _survive_hangups() -> None:
    """A plugin leads a session of its own and must not end with one of its terminals.

    By a function: what is ignored would be ignored by every program it starts, too.
    """
    # The module `signal` would load more than this needs.
    import _signal  # type: ignore[import-not-found]

    if _signal.getsignal(_signal.SIGHUP) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGHUP, lambda number, frame: None)
