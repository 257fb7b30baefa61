"""What a handler is given: the call it serves, and the way to its host.

A `Context` is valid while its handler runs. It calls into the runtime only through `Session`, so that
capabilities and tests need no runtime.
"""

from __future__ import annotations

import time

from .cancellation import Cancellation
from .errors import CallCancelled, CallTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    from .action.action import Action
    from .errors import CallError
    from .later import Listener
    from .metadata.face import MetadataFace
    from .tracecontext import TraceContext

    class Together(Protocol):
        """Calls that came in one request."""

        def split(self) -> dict[str, Any] | None:
            """What has ended before the call that runs, which is by itself from now on."""

    class Session(Protocol):
        """The runtime as a context needs it."""

        @property
        def plugin_id(self) -> str: ...
        @property
        def settings(self) -> Mapping[str, Any]: ...
        @property
        def capabilities(self) -> Mapping[str, Any]: ...
        def log(self, level: str, logger: str, message: str, fields: Mapping[str, Any]) -> None: ...
        def progress(self, msgid: int, done: float, total: float | None, message: str) -> None: ...
        def call_host(self, ctx: Context, method: str, params: dict[str, Any]) -> Any: ...
        def start_call(
            self, ctx: Context, method: str, params: dict[str, Any], answered: Listener
        ) -> Callable[[CallError], None]: ...


__all__ = ["Context", "HostServices", "Log"]


class Context:
    """One call, as its handler sees it.

    `name` is the command. `deadline` is the `time.monotonic()` at which the caller stops waiting, or
    None. `cancelled` is set when the caller gave up or the host stops. `chain` are the plugins through
    which the call came. `settings` are the operator's for this plugin. `trace` is the trace that the call
    is part of, None when it is part of none. `task` is the newest task that it has taken, and is not there
    before.
    """

    task: Any

    # What most calls leave as it is, is not set for each.
    deadline: float | None = None
    chain: tuple[str, ...] = ()
    is_async = False
    has_begun = False
    arrived = 0.0  # by the runtime's clock
    trace: TraceContext | None = None
    bundle: Together | None = None  # the calls that it stands for
    _action: Action | None = None
    _cancelled: Cancellation | None = None
    _settings: Mapping[str, Any] | None = None

    def __init__(
        self,
        session: Session,
        name: str,
        msgid: int = -1,
        deadline: float | None = None,
        chain: tuple[str, ...] = (),
        is_async: bool = False,
    ) -> None:
        self._session = session
        self.name = name
        self.msgid = msgid
        if deadline is not None:
            self.deadline = deadline
        if chain:
            self.chain = chain
        if is_async:
            self.is_async = True

    def __repr__(self) -> str:
        return f"<Context of {self.name!r} in {self._session.plugin_id}>"

    @property
    def awaits(self) -> bool:
        """Whether what asks the host is awaited here: in an async handler, but for threads of its own."""
        if not self.is_async:
            return False
        from .loopside import on_loop

        return on_loop()

    @property
    def cancelled(self) -> Cancellation:
        """Set when nobody waits for the answer any more; `wait(seconds)` sleeps until then."""
        if self._cancelled is None:
            self._cancelled = Cancellation()
        return self._cancelled

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings an operator gave this plugin: those in force when the call started."""
        return self._session.settings if self._settings is None else self._settings

    @property
    def log(self) -> Log:
        """Log records that arrive at the host under this command's name."""
        return Log(self._session, f"{self._session.plugin_id}.{self.name}")

    @property
    def host(self) -> HostServices:
        """The services of the host: `ctx.host.call("name", **params)`."""
        return HostServices(self)

    @property
    def metadata(self) -> MetadataFace:
        """The metadata that the host keeps for its plugins, `ctx.metadata.get("/path")`, and tasks,
        `ctx.metadata.execute()`."""
        from .metadata.face import MetadataFace

        session = self._session
        return MetadataFace(
            lambda method, params: session.call_host(self, method, params), self.is_async, self
        )

    @property
    def action(self) -> Action:
        """The action that is being done: its output, its data. Raises RuntimeError where none is."""
        if self._action is None:
            raise RuntimeError(f"{self.name!r} is no action")
        return self._action

    @property
    def traceparent(self) -> str | None:
        """The W3C `traceparent` of the call, for requests that are made on its behalf; None without one."""
        return None if self.trace is None else self.trace.outgoing().traceparent

    @property
    def tracestate(self) -> str:
        """The W3C `tracestate` that goes with it; empty without one."""
        return "" if self.trace is None else self.trace.outgoing().tracestate

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Used by the runtime: the call starts, with these settings to its end."""
        self._settings = settings
        self.has_begun = True

    def parts(self) -> Callable[[], Context]:
        """Used by the command capability: makes a context for each of the calls that came in this request.

        They are cancelled together: what is given up is the request.
        """
        session, name, msgid, settings = self._session, self.name, self.msgid, self._settings
        cancelled = self.cancelled
        rare = ("deadline", "chain", "trace")
        own: dict[str, Any] = {key: value for key, value in self.__dict__.items() if key in rare}
        new = object.__new__

        def part() -> Context:
            one = new(Context)
            one._session = session
            one.name = name
            one.msgid = msgid
            one._settings = settings
            one._cancelled = cancelled
            one.has_begun = True
            if own:
                one.__dict__.update(own)
            return one

        return part

    def serve_action(self, action: Action) -> None:
        """Used by the action capability: the context is that of this action."""
        self._action = action

    def remaining(self) -> float | None:
        """Seconds until the deadline, never negative; None when there is no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Tell the caller how far the work is. Raises TypeError for what is no number or no text."""
        if (
            not isinstance(done, (int, float))
            or not (total is None or isinstance(total, (int, float)))
            or not isinstance(message, str)
        ):  # the host would take it for a broken plugin
            raise TypeError(f"progress takes numbers and a text, not {done!r}, {total!r}, {message!r}")
        self._session.progress(self.msgid, done, total, message)

    def check(self) -> None:
        """Raise CallCancelled when the call was cancelled, CallTimeout when its deadline has passed."""
        if self.cancelled:
            raise CallCancelled(
                f"{self.name!r} was cancelled: {self.cancelled.reason}", name="rpc.cancelled"
            )
        if self.remaining() == 0.0:
            raise CallTimeout(f"the deadline of {self.name!r} has passed", name="rpc.deadline_exceeded")


class HostServices:
    """Calls back to the host, on behalf of the call being served: deadline and chain go along."""

    __slots__ = ("_ctx",)

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def call(self, service: str, /, **params: Any) -> Any:
        """The service's result; in an async handler, `await` it, unless on a thread without a loop.

        Raises CallFailed (no such service, not granted, the service failed), CallTimeout, CallCancelled.
        """
        return self._ctx._session.call_host(self._ctx, f"host.{service}", params)


class Log:
    """Sends log records to the host. `fields` are further values that travel beside the message."""

    __slots__ = ("_logger", "_session")

    def __init__(self, session: Session, logger: str) -> None:
        self._session = session
        self._logger = logger

    def debug(self, message: str, /, **fields: Any) -> None:
        self._session.log("debug", self._logger, message, fields)

    def info(self, message: str, /, **fields: Any) -> None:
        self._session.log("info", self._logger, message, fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        self._session.log("warning", self._logger, message, fields)

    def error(self, message: str, /, **fields: Any) -> None:
        self._session.log("error", self._logger, message, fields)

    def critical(self, message: str, /, **fields: Any) -> None:
        self._session.log("critical", self._logger, message, fields)
