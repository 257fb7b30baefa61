"""What an author declares: which kinds of actions a plugin has, and what does them.

Declared at import, so these are plain slotted classes that load nothing.
"""

from __future__ import annotations

from plugin_host_sdk.endpoint import is_async, is_generator
from plugin_host_sdk.errors import RegistrationError
from plugin_host_sdk.parameter import Signature, near

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Function = Callable[..., Any]

__all__ = ["KINDS", "Handler", "PluginOpts"]

KINDS = (
    "run_script",
    "upload_file",
    "upload_file_and_exit",
    "reload_config",
    "exit",
    "reboot",
    "shutdown",
    "update_key",
    "register",
    "heartbeat",
)
"""Every kind there is; `types.action.KINDS` has their types."""


class Handler:
    """One kind of action: `function(ctx, request)`, plain or async, returns its result.

    `check(ctx, request)` is called before the action is accepted: what it raises is the answer, and nothing
    was begun. A plain `function` has a thread of its own for as long as it runs.
    """

    __slots__ = ("check", "function", "is_async", "kind")

    def __init__(self, kind: str, function: Function, *, check: Function | None = None) -> None:
        if kind not in KINDS:
            hint = near(kind, KINDS) if isinstance(kind, str) else ""
            raise RegistrationError(f"{kind!r} is no kind of action{hint} (there are: {', '.join(KINDS)})")
        for what, callee in (("handler", function), ("check", check)):
            if callee is not None or what == "handler":
                _take(what, kind, callee)
        self.kind = kind
        self.function = function
        self.check = check
        self.is_async = is_async(function)

    def __repr__(self) -> str:
        return f"Handler({self.kind!r})"


class PluginOpts:
    """What to register: for each kind of action a function `(ctx, request)`, or a `Handler`.

    `keepalive` is how many seconds lie between the signs that an action still runs.
    """

    __slots__ = ("handlers", "keepalive")

    def __init__(
        self,
        *,
        run_script: Function | Handler | None = None,
        upload_file: Function | Handler | None = None,
        upload_file_and_exit: Function | Handler | None = None,
        reload_config: Function | Handler | None = None,
        exit: Function | Handler | None = None,
        reboot: Function | Handler | None = None,
        shutdown: Function | Handler | None = None,
        update_key: Function | Handler | None = None,
        register: Function | Handler | None = None,
        heartbeat: Function | Handler | None = None,
        keepalive: float | None = None,
    ) -> None:
        given = (
            run_script, upload_file, upload_file_and_exit, reload_config, exit, reboot, shutdown,
            update_key, register, heartbeat,
        )  # fmt: skip
        if keepalive is not None and (not isinstance(keepalive, (int, float)) or keepalive <= 0):
            raise RegistrationError(f"keepalive is a number of seconds above 0, not {keepalive!r}")
        self.keepalive = keepalive
        self.handlers = tuple(
            _handler(kind, one) for kind, one in zip(KINDS, given, strict=True) if one is not None
        )


def _handler(kind: str, given: Function | Handler) -> Handler:
    if not isinstance(given, Handler):
        return Handler(kind, given)
    if given.kind != kind:
        raise RegistrationError(f"a handler of {given.kind!r} was given for {kind!r}")
    return given


def _take(what: str, kind: str, function: Any) -> None:
    """Raise RegistrationError for what cannot be called with a context and a request."""
    if not callable(function):
        raise RegistrationError(f"the {what} of {kind!r} cannot be called: {function!r}")
    if is_generator(function):
        raise RegistrationError(f"the {what} of {kind!r} is a generator: return the result instead")
    try:
        signature = Signature(function)
    except (TypeError, ValueError) as error:
        raise RegistrationError(f"the {what} of {kind!r} cannot serve: {error}") from None
    names = signature.names
    if not names or signature.required - {names[0]}:
        others = ", ".join(names) or "nothing else"
        raise RegistrationError(f"the {what} of {kind!r} takes a context and the request, not {others}")
