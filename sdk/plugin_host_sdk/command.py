"""The `command` capability on the plugin's side: named handlers that take parameters and give a result.

`Monitor` is the registry; handlers may come and go while the plugin runs, and the host is told at once.
A handler's return value, of any type, is the result; it ends with a status of its own by raising
`CommandError`. Status 0 is success, 1 to 99 belong to handlers, 101 and up to the system.
"""

from __future__ import annotations

import threading

from .endpoint import Endpoint, is_async, is_generator
from .errors import (
    CallCancelled,
    CallError,
    CallFailed,
    CallTimeout,
    CommandError,
    RegistrationError,
    excerpt,
)
from .excerpt import encodable, said
from .parameter import BadParameters, Signature, near

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from .bundle import Snapshot
    from .endpoint import CapabilityHolder, Resolver, Runtime

    RunBundle = Callable[..., dict[str, Any]]

__all__ = ["CommandError", "Handler", "Monitor", "PluginOpts", "register_plugin"]


# The host's clock of the same deadline may be ahead of this one by so much.
_ROUNDING_S = 0.05


class Handler:
    """One command: its name, the function `function(ctx, ...)`, plain or async, and a line of help."""

    __slots__ = ("bundle", "endpoint", "function", "help", "name", "plain", "signature")

    def __init__(self, name: str, function: Callable[..., Any], help: str | None = None) -> None:
        if not isinstance(name, str) or not name:
            raise RegistrationError(f"a command's name is a text, not {name!r}")
        if not callable(function):
            raise RegistrationError(f"the handler of {name!r} cannot be called: {function!r}")
        if is_generator(function):
            raise RegistrationError(
                f"the handler of {name!r} is a generator, and a command gives one result: return a list"
            )
        self.name = name
        self.function = function
        self.help = help if help is not None else _first_line(function.__doc__)
        try:
            self.signature = Signature(function)
        except (TypeError, ValueError) as error:
            raise RegistrationError(f"the handler of {name!r} cannot serve: {error}") from None
        # Exactly these parameters need no look at each.
        self.plain = None if self.signature.typed else frozenset(self.signature.names)
        awaits = is_async(function)
        self.endpoint = Endpoint(name, self._run_async if awaits else self._run, is_async=awaits)
        self.bundle = _BundleEndpoint(name, self._run_bundle)

    def __repr__(self) -> str:
        return f"Handler({self.name!r})"

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "help": self.help, "params": self.signature.describe()}

    def _run(self, ctx: Any, params: dict[str, Any]) -> dict[str, Any]:
        """`params` are those of `command.call`, with the handler's own in its `params`."""
        keywords = params.get("params")
        if keywords is None or keywords.keys() != self.plain:
            keywords = self.bind(params)
        try:
            return {"status": 0, "status_message": "", "result": self.function(ctx, **keywords)}
        except CommandError as error:
            return self.own_status(error)
        except BaseException as error:
            raise self.failure(ctx, error) from None

    async def _run_async(self, ctx: Any, params: dict[str, Any]) -> dict[str, Any]:
        keywords = self.bind(params)
        try:
            return self.success(await self.function(ctx, **keywords))
        except CommandError as error:
            return self.own_status(error)
        except BaseException as error:
            if type(error).__name__ == "CancelledError" and ctx.cancelled:
                raise
            raise self.failure(ctx, error) from None

    def _run_bundle(
        self, ctx: Any, arguments: tuple[RunBundle, list[Any], Snapshot, bool]
    ) -> dict[str, Any]:
        run, *rest = arguments
        return run(self, ctx, *rest)

    def bind(self, params: dict[str, Any]) -> dict[str, Any]:
        """The keywords of the function, from those of `command.call`. Raises CallFailed."""
        try:
            return self.signature.bind(params.get("params") or {}, params.get("text") is True)
        except BadParameters as error:
            message = f"command {self.name!r}: {error.message}"
            raise CallFailed(message, name="command.bad_request", data={"path": error.path}) from None
        except RegistrationError as error:
            raise self._described(f"command {self.name!r}: {error}", error.__cause__ or error) from None

    @staticmethod
    def success(result: Any) -> dict[str, Any]:
        """The answer with what a handler has returned."""
        return {"status": 0, "status_message": "", "result": result}

    @staticmethod
    def own_status(error: CommandError) -> dict[str, Any]:
        """The answer that the author's code has chosen itself."""
        return {"status": error.status, "status_message": error.message, "result": dict(error.fields)}

    def no_map(self, params: Any) -> CallFailed:
        """What a call with such parameters ends with."""
        return CallFailed(
            f"command {self.name!r}: parameters are a map, not {type(params).__name__}",
            name="command.bad_request",
            data={"path": "$"},
        )

    def failure(self, ctx: Any, error: BaseException) -> CallError:
        """What an exception of the author's code becomes.

        Those by which a handler gives up a call that nobody waits for stay what they are.
        """
        if type(error) is CallCancelled:
            return error
        if type(error) is CallTimeout and (left := ctx.remaining()) is not None and left < _ROUNDING_S:
            return error
        return self._described(f"command {self.name!r} raised {type(error).__name__}: {said(error)}", error)

    def _described(self, message: str, error: BaseException) -> CallFailed:
        """Type, message and traceback of `error` as text."""
        import traceback

        frames = error.__traceback__.tb_next if error.__traceback__ is not None else None
        text = encodable("".join(traceback.format_exception(type(error), error, frames)))
        return CallFailed(
            message,
            name="command.handler_failed",
            data={"type": type(error).__name__, "message": said(error), "traceback": text},
        )


class _BundleEndpoint(Endpoint):
    """Runs nothing but calls of a handler that is quick, and never long: on the reading thread at once.

    There a call that lasts loses the lead, which splits the request; elsewhere nobody would see it.
    """

    __slots__ = ()

    def __init__(self, name: str, run: Callable[[Any, Any], Any]) -> None:
        super().__init__(name, run)
        self.quick = True

    def ran_slow(self) -> None:
        pass  # it is the handler's, see `run_bundle`


class Monitor:
    """The commands of one plugin, by name. Safe to change from any thread at any time."""

    def __init__(self, handlers: Mapping[str, Callable[..., Any]] | Iterable[Handler] = ()) -> None:
        self.name = "command"
        self._runtime: Runtime | None = None
        self.routes: Mapping[str, Resolver] = {
            "command.call": self._resolve_call,
            "command.call_many": self._resolve_many,
            "command.list": self._resolve_list,
        }
        self._lock = threading.Lock()
        self._telling = threading.Lock()  # so that of two lists the host hears the newer one last
        self._handlers: dict[str, Handler] = {}  # replaced, never changed, so readers need no lock
        self._list = Endpoint("command.list", self._run_list)
        self.add(handlers)

    def add(self, handlers: Mapping[str, Callable[..., Any]] | Iterable[Handler]) -> None:
        """Register several; none is when one of them cannot be."""
        items = (
            [Handler(name, function) for name, function in handlers.items()]
            if hasattr(handlers, "items")
            else list(handlers)
        )
        with self._lock:
            table = dict(self._handlers)
            for handler in items:
                if not isinstance(handler, Handler):
                    raise RegistrationError(
                        f"{handler!r} is no command Handler: name it in a map, or make one"
                    )
                if handler.name in table:
                    raise RegistrationError(f"command {handler.name!r} is registered already")
                table[handler.name] = handler
            self._handlers = table
        if items:
            self._changed()

    def register_handler(self, name: str, function: Callable[..., Any], help: str | None = None) -> None:
        """Register one command; raises RegistrationError when the name is taken."""
        self.add([Handler(name, function, help)])

    def unregister_handler(self, name: str) -> None:
        """Remove one command; calls that run finish. Raises RegistrationError when there is none."""
        with self._lock:
            table = dict(self._handlers)
            if table.pop(name, None) is None:
                raise RegistrationError(f"command {name!r} is not registered{near(name, table)}")
            self._handlers = table
        self._changed()

    @property
    def names(self) -> list[str]:
        """The registered commands, sorted."""
        return sorted(self._handlers)

    def describe(self) -> dict[str, Any]:
        return {"commands": self.names}

    def open(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def close(self, grace: float) -> None:
        pass  # calls that run are the runtime's to end

    def _changed(self) -> None:
        runtime = self._runtime
        if runtime is not None:
            with self._telling:
                runtime.sink.notify("command.changed", self.describe())
                runtime.sink.flush()

    def _resolve_call(self, params: dict[str, Any]) -> tuple[Endpoint, Any]:
        name, arguments = params.get("name"), params.get("params")
        handler = self._handlers.get(name) if type(name) is str else None
        if handler is None:
            raise self._not_found(name)
        if type(arguments) is not dict and arguments is not None:
            raise handler.no_map(arguments)
        return handler.endpoint, params

    def _resolve_many(self, params: dict[str, Any]) -> tuple[Endpoint, Any]:
        name, many = params.get("name"), params.get("many")
        handler = self._handlers.get(name) if type(name) is str else None
        if handler is None:
            raise self._not_found(name)
        if type(many) is not list:
            raise CallFailed(
                f"command {handler.name!r}: the parameters of many calls are a list of maps",
                name="command.bad_request",
            )
        # Most plugins are never asked for one. Loaded here, where failing means that no call was begun.
        from .bundle import run_bundle

        assert self._runtime is not None
        return handler.bundle, (run_bundle, many, self._runtime.sink.snapshot, params.get("split") is True)

    def _not_found(self, name: Any) -> CallError:
        if type(name) is not str:
            text = f"a command's name is a text, not {excerpt(name)}"
            return CallFailed(text, name="command.bad_request")
        known = self.names
        suggestion = near(name, known) or f" (commands: {', '.join(known) or 'none'})"
        return CallFailed(
            f"no command {excerpt(name)}{suggestion}", name="command.not_found", data={"commands": known}
        )

    def _resolve_list(self, params: dict[str, Any]) -> tuple[Endpoint, Any]:
        return self._list, params

    def _run_list(self, ctx: Any, params: Any) -> dict[str, Any]:
        handlers = self._handlers
        return {"commands": [handlers[name].describe() for name in sorted(handlers)]}


class PluginOpts:
    """What to register: `handlers` is a map of name to function, or a list of `Handler`."""

    __slots__ = ("handlers",)

    def __init__(self, handlers: Mapping[str, Callable[..., Any]] | Iterable[Handler] = ()) -> None:
        self.handlers = handlers


def register_plugin(plugin: CapabilityHolder, opts: PluginOpts | None = None) -> Monitor:
    """Give `plugin` the command capability; returns its monitor. Registering again adds to it."""
    registered = plugin.capabilities.get("command")
    monitor = registered if isinstance(registered, Monitor) else Monitor()
    if monitor is not registered:
        plugin.add_capability(monitor)
    if opts is not None:
        monitor.add(opts.handlers)
    return monitor


def _first_line(text: str | None) -> str:
    return text.strip().partition("\n")[0] if text else ""
