"""What an author declares: which resources can be opened, and what serves them.

Declared at import, so these are plain slotted classes that load nothing. A handler without functions runs
its default command, or the one that is asked for.
"""

from __future__ import annotations

from plugin_host_sdk.endpoint import is_generator
from plugin_host_sdk.errors import HandlerNotFound, RegistrationError, excerpt
from plugin_host_sdk.protocol import MOST_REPLAY_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from .configuration import SessionLimits, SessionSettings

__all__ = ["ActionTargetBuilder", "ExecSpec", "Handler", "PluginOpts", "find_handler", "takes_terminal"]

_TERMINAL_PARAMETERS = 4
_VARARGS = 0x04


class ActionTargetBuilder:
    """How a caller finds the targets of a resource. All parts are optional; an absent one is empty.

    `paths` are places in a resource's data, `selectors` and `label_selector` say which of them count.
    """

    __slots__ = ("label", "label_selector", "paths", "selectors")

    def __init__(
        self,
        label: str = "",
        label_selector: str = "",
        paths: Sequence[str] = (),
        selectors: Mapping[str, str] | None = None,
    ) -> None:
        self.label = label
        self.label_selector = label_selector
        self.paths = tuple(paths)
        self.selectors = dict(selectors or {})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActionTargetBuilder) and self.to_wire() == other.to_wire()

    def __hash__(self) -> int:
        return hash((self.label, self.label_selector, self.paths, tuple(sorted(self.selectors.items()))))

    def __repr__(self) -> str:
        return f"ActionTargetBuilder({self.to_wire()})"

    def to_wire(self) -> dict[str, Any]:
        """The builder as a map."""
        return {
            "label": self.label,
            "label_selector": self.label_selector,
            "paths": list(self.paths),
            "selectors": dict(self.selectors),
        }

    @classmethod
    def from_wire(cls, value: Mapping[str, Any]) -> ActionTargetBuilder:
        """The builder of a map; what is absent is empty."""
        return cls(
            value.get("label") or "",
            value.get("label_selector") or "",
            value.get("paths") or (),
            value.get("selectors"),
        )


class ExecSpec:
    """A program to run: returned by a handler that leaves the rest to the SDK.

    `argv` is the program and its arguments, `cwd` where it starts, `env` what is added to the plugin's
    environment; a None there takes a variable away. `user`, a name or a number, is whom it runs as; a
    plugin that is not privileged can run it as its own user only. `raw` is whether its terminal starts in
    raw mode, None for the handler's choice.
    """

    __slots__ = ("argv", "cwd", "env", "raw", "user")

    def __init__(
        self,
        argv: Sequence[str],
        cwd: str | None = None,
        env: Mapping[str, str | None] | None = None,
        user: str | int | None = None,
        raw: bool | None = None,
    ) -> None:
        self.argv = _words("argv of an ExecSpec", argv)
        if not self.argv:
            raise ValueError("argv of an ExecSpec is empty: name a program")
        self.cwd = cwd
        self.env = dict(env or {})
        self.user = user
        self.raw = raw

    def __repr__(self) -> str:
        # The environment may hold what nobody should read in a log.
        return f"ExecSpec({list(self.argv)!r}, cwd={self.cwd!r}, env={sorted(self.env)})"


class Handler:
    """One resource. Its key is `plugin/resource`; `plugin` is the serving plugin's own id unless given.

    `tty_handler(ctx, opts, tty, resize)` has the terminal's descriptor, an unbuffered binary file;
    returning, or for a coroutine function ending, ends the session with the int it returns.
    `command_handler(ctx, opts)` gives `(stdout, stderr)` and `session_handler(ctx, opts)` gives
    `(stdin, stdout, stderr)`, binary files or None. Each may instead return an `ExecSpec`, or a Popen.
    Without any of them the command that is asked for is run, `default_command` when none is.
    With `handles_resize` sizes go to the handler's `resize` only. `tty` False says that nothing here is
    for a terminal, as of a function that gives files only: who asks for one is refused before anything
    is called. With `raw` terminals start in raw mode: they echo nothing, gather no lines, send no signals.
    """

    __slots__ = (
        "command_handler",
        "default_command",
        "handles_resize",
        "plugin",
        "raw",
        "resource",
        "session_handler",
        "target_builder",
        "tty",
        "tty_handler",
    )

    def __init__(
        self,
        resource: str,
        plugin: str | None = None,
        target_builder: ActionTargetBuilder | None = None,
        default_command: Sequence[str] = (),
        tty_handler: Callable[..., Any] | None = None,
        command_handler: Callable[..., Any] | None = None,
        session_handler: Callable[..., Any] | None = None,
        handles_resize: bool = False,
        tty: bool = True,
        raw: bool = False,
    ) -> None:
        if not isinstance(resource, str) or not resource:
            raise RegistrationError(f"an exec handler's resource is a text, not {resource!r}")
        if plugin is not None and (not isinstance(plugin, str) or not plugin or "/" in plugin):
            raise RegistrationError(f"the plugin of {resource!r} is an id without '/', not {plugin!r}")
        if target_builder is not None and not isinstance(target_builder, ActionTargetBuilder):
            raise RegistrationError(
                f"the target builder of {resource!r} is an ActionTargetBuilder, not {target_builder!r}"
            )
        _check_function(resource, tty_handler, ("ctx", "opts", "tty", "resize"))
        for function in (command_handler, session_handler):
            _check_function(resource, function, ("ctx", "opts"))
        if handles_resize and tty_handler is None:
            raise RegistrationError(f"{resource!r} handles resizes and has no tty_handler to do it")
        if not tty and (raw or tty_handler is not None):
            what = "a tty_handler" if tty_handler is not None else "terminals in raw mode"
            raise RegistrationError(f"{resource!r} has {what}, and serves no terminals: tty is False")
        try:
            self.default_command = _words(f"default_command of {resource!r}", default_command)
        except (TypeError, ValueError) as error:
            raise RegistrationError(str(error)) from None
        self.resource = resource
        self.plugin = plugin
        self.target_builder = target_builder
        self.tty_handler = tty_handler
        self.command_handler = command_handler
        self.session_handler = session_handler
        self.handles_resize = bool(handles_resize)
        self.tty = bool(tty)
        self.raw = bool(raw)

    def __repr__(self) -> str:
        return f"Handler({self.resource!r})" if self.plugin is None else f"Handler({self.key!r})"

    @property
    def key(self) -> str:
        """`plugin/resource`; the plugin is filled in when the handler is registered."""
        return f"{self.plugin or ''}/{self.resource}"

    @property
    def runs_commands(self) -> bool:
        """Whether it has no function of its own."""
        return self.tty_handler is self.command_handler is self.session_handler is None

    @property
    def serves_pipes(self) -> bool:
        """Whether a session without a terminal can be opened."""
        return self.runs_commands or bool(self.command_handler or self.session_handler)

    def describe(self) -> dict[str, Any]:
        """The handler as a map, as `exec.handlers` and `initialize` tell it."""
        return {
            "key": self.key,
            "plugin": self.plugin,
            "resource": self.resource,
            "default_command": list(self.default_command),
            "target_builder": self.target_builder.to_wire() if self.target_builder else None,
            "tty": self.tty,
            "pipes": self.serves_pipes,
            "handles_resize": self.handles_resize,
        }


def _check_function(resource: str, function: Any, parameters: tuple[str, ...]) -> None:
    """Raise RegistrationError for what cannot be called with these."""
    if function is None:
        return
    if not callable(function):
        raise RegistrationError(f"a handler of {resource!r} cannot be called: {function!r}")
    if is_generator(function):
        raise RegistrationError(f"a handler of {resource!r} is a generator: return what to run instead")
    plain = getattr(function, "__func__", function)
    code = getattr(plain, "__code__", None)
    if code is None or hasattr(plain, "__wrapped__"):
        return  # whoever calls it will see
    most = code.co_argcount - (plain is not function)
    least = most - len(plain.__defaults__ or ())
    if least > len(parameters) or (most < len(parameters) and not code.co_flags & _VARARGS):
        number = most if most < len(parameters) else least
        raise RegistrationError(
            f"a handler of {resource!r} is called with {', '.join(parameters)}; "
            f"{plain.__qualname__} takes {number} parameters"
        )


def takes_terminal(function: Any) -> bool:
    """Whether a function has room for `(ctx, opts, tty, resize)`.

    One that was wrapped is taken for what is inside, a partial or bound one for what it still takes.
    """
    given = 0
    while True:
        if hasattr(function, "__func__"):  # a bound method
            given, function = given + 1, function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif (code := getattr(function, "__code__", None)) is not None:
            return bool(code.co_argcount - given >= _TERMINAL_PARAMETERS)
        elif hasattr(function, "func"):  # functools.partial
            given, function = given + len(function.args), function.func
        elif hasattr(call := getattr(type(function), "__call__"), "__code__"):  # noqa: B004, B009
            given, function = given + 1, call
        else:
            return False


class PluginOpts:
    """What to register.

    `replay_bytes` is what each session keeps of its output unless a caller says, `settings` and `limits`
    hold for all sessions of the plugin. None leaves each as it is: at first 1,000,000 bytes, and defaults.
    """

    __slots__ = ("handlers", "limits", "replay_bytes", "settings")

    def __init__(
        self,
        handlers: Iterable[Handler] = (),
        replay_bytes: int | None = None,
        settings: SessionSettings | None = None,
        limits: SessionLimits | None = None,
    ) -> None:
        if replay_bytes is not None and (
            type(replay_bytes) is not int or not 0 <= replay_bytes <= MOST_REPLAY_BYTES
        ):
            raise RegistrationError(f"replay_bytes is 0 to {MOST_REPLAY_BYTES}, not {replay_bytes!r}")
        if settings is not None or limits is not None:
            from .configuration import check_kinds

            check_kinds(settings, limits)
        self.handlers = list(handlers)
        self.replay_bytes = replay_bytes
        self.settings = settings
        self.limits = limits


def find_handler(handlers: Mapping[str, Handler], wanted: object) -> Handler:
    """The handler of a key, of a resource, or the only one. Raises HandlerNotFound."""
    known = sorted(handlers)
    if wanted is None:
        if len(handlers) == 1:
            return handlers[known[0]]
        what = "no handler" if not handlers else "more than one handler: name one"
    else:
        if isinstance(wanted, str) and (exact := handlers.get(wanted)) is not None:
            return exact
        same = [handler for handler in handlers.values() if handler.resource == wanted]
        if len(same) == 1:
            return same[0]
        what = (
            f"no handler {excerpt(wanted)}" if not same else f"more than one handler of {excerpt(wanted)}"
        )
    raise HandlerNotFound(f"{what} (there are: {', '.join(known) or 'none'})", data={"handlers": known})


def _words(what: str, words: Sequence[str]) -> tuple[str, ...]:
    """A command as a tuple. Raises TypeError for what is none; a text alone would be its letters."""
    if isinstance(words, (str, bytes)):
        raise TypeError(f"{what} is a list of texts, not the text {words!r}")
    result = tuple(words)
    for word in result:
        if not isinstance(word, str):
            raise TypeError(f"{what} is a list of texts; {word!r} is none")
        if "\0" in word:
            raise ValueError(f"{what}: {word!r} holds a null character, which no program can be given")
    return result
