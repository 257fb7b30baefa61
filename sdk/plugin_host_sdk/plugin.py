"""The object an author makes: a plugin's id, version and capabilities.

It is declared when the author's module is imported, before the host is heard, so it holds no connection
and imports nothing heavy.
"""

from __future__ import annotations

from . import command as _command
from .errors import RegistrationError
from .protocol import WORKERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from .endpoint import Capability
    from .exec import ActionTargetBuilder
    from .reconfiguration import Reconfiguration

    Function = TypeVar("Function", bound=Callable[..., Any])

__all__ = ["Plugin"]

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyz")
_REST = _FIRST | frozenset("0123456789_-")


class Plugin:
    """A plugin. `workers` is how many plain handlers may run at the same time."""

    def __init__(self, id: str, *, version: str, workers: int = WORKERS) -> None:
        if (
            not isinstance(id, str)
            or not 1 <= len(id) <= 64
            or id[0] not in _FIRST
            or not _REST.issuperset(id)
        ):
            raise RegistrationError(
                f"{id!r} is no plugin id: a lower-case letter, then up to 63 of a-z 0-9 _ -"
            )
        if not isinstance(version, str) or not version:
            raise RegistrationError(f"the version of {id!r} is a text, not {version!r}")
        if type(workers) is not int or not 1 <= workers <= 1024:
            raise RegistrationError(f"workers of {id!r} are 1 to 1024, not {workers!r}")
        self.id = id
        self.version = version
        self.workers = workers
        self.capabilities: dict[str, Capability] = {}
        self.reconfiguration: Reconfiguration | None = None

    def __repr__(self) -> str:
        return f"Plugin({self.id!r}, version={self.version!r}, capabilities={sorted(self.capabilities)})"

    def add_capability(self, capability: Capability) -> None:
        """Used by the `register_plugin` of each capability; a second one of the same name raises."""
        if capability.name in self.capabilities:
            raise RegistrationError(f"{self.id} has the capability {capability.name!r} already")
        self.capabilities[capability.name] = capability

    @property
    def commands(self) -> _command.Monitor:
        """The monitor of the plugin's commands."""
        return _command.register_plugin(self)

    def command(
        self, name: str | None = None, *, help: str | None = None
    ) -> Callable[[Function], Function]:
        """Decorator: register a function as a command, under its own name unless one is given."""
        if callable(name):
            raise RegistrationError("write @plugin.command() or @plugin.command('name'), with parentheses")

        def register(function: Function) -> Function:
            self.commands.register_handler(name or function.__name__, function, help)
            return function

        return register

    def on_reconfigure(self, function: Function) -> Function:
        """Decorator: `function(ctx, settings)` takes new settings while the plugin runs.

        Plain or async. What it raises refuses them, and the old ones stay in force; so do they when it
        returns `RESTART`, which has the host restart the plugin, as it does when there is no function.
        Annotate `settings` with a type to have them checked and converted first.
        """
        from .reconfiguration import Reconfiguration

        if self.reconfiguration is not None:
            raise RegistrationError(f"{self.id} has a function for new settings already")
        self.reconfiguration = Reconfiguration(function)
        return function

    def action(
        self, kind: str, *, check: Callable[..., Any] | None = None
    ) -> Callable[[Function], Function]:
        """Decorator: register a function `(ctx, request)` as what does actions of `kind`.

        `check(ctx, request)` may refuse one before it is accepted; see `action.Handler`.
        """
        from . import action as _action

        if callable(kind):
            raise RegistrationError("write @plugin.action('kind'), with parentheses")

        def register(function: Function) -> Function:
            handler = _action.Handler(kind, function, check=check)
            _action.register_plugin(self).add([handler])
            return function

        return register

    def exec(
        self,
        resource: str,
        *,
        plugin: str | None = None,
        target_builder: ActionTargetBuilder | None = None,
        default_command: Sequence[str] = (),
        handles_resize: bool = False,
        tty: bool = True,
        raw: bool = False,
    ) -> Callable[[Function], Function]:
        """Decorator: register a function as the exec handler of a resource; see `exec.Handler`.

        One that takes `(ctx, opts, tty, resize)` has a terminal's descriptor; one that takes
        `(ctx, opts)` returns what to run, or files. Say `tty=False` of one that gives files only.
        """
        from . import exec as _exec

        if callable(resource):
            raise RegistrationError("write @plugin.exec('resource'), with parentheses")

        def register(function: Function) -> Function:
            kind = "tty_handler" if _exec.takes_terminal(function) else "session_handler"
            handler = _exec.Handler(
                resource,
                plugin,
                target_builder,
                default_command,
                handles_resize=handles_resize,
                tty=tty,
                raw=raw,
                **{kind: function},
            )
            _exec.register_plugin(self, _exec.PluginOpts([handler]))
            return function

        return register
