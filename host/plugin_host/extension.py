"""Host extensions: code of others that runs in the host's own process, behind pluggy.

Owns their loading and the calling of their hooks, each in a guard of its own: pluggy alone lets the
first that raises stop the others. Invariant: no exception of an extension leaves this module; it is
logged with the extension's name, and everybody else's turn comes all the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from . import entry_point
from .candidate import Candidate
from .configuration import Configuration
from .wording import shown, suggestion

if TYPE_CHECKING:
    from pluggy import PluginManager

    from .distribution import Distribution

__all__ = ["GROUP", "SLOW_S", "Extensions"]

GROUP = "plugin_host"
SLOW_S = 0.05
"""A hook implementation that takes longer is named: the host does nothing else meanwhile."""

_log = logging.getLogger(__name__)


class Extensions:
    """The loaded extensions and the calls of their hooks.

    `problems` maps the name of each extension that could not be used to the reason; `blocked` are the
    names of those that the block list kept out.
    """

    def __init__(self, *, block: Iterable[str] = ()) -> None:
        self.problems: dict[str, str] = {}
        self.blocked: set[str] = set()
        self._block = frozenset(block)
        self._registry: PluginManager | None = None

    @property
    def _manager(self) -> PluginManager:
        """Made for the first extension: most hosts have none, and need no pluggy."""
        if self._registry is None:
            from pluggy import PluginManager

            from . import hookspecs

            self._registry = PluginManager(hookspecs.PROJECT_NAME)
            self._registry.add_hookspecs(hookspecs)
            for name in self._block:
                self._registry.set_blocked(name)
        return self._registry

    @property
    def names(self) -> list[str]:
        """The names of the extensions whose hooks are called, sorted."""
        registered = self._registry.list_name_plugin() if self._registry else ()
        return sorted(name for name, plugin in registered if plugin is not None)

    def load(self, among: Sequence[Distribution] | None = None) -> None:
        """Load every extension that installed distributions offer; none can stop another.

        `among` is what is installed, for who has looked already.
        """
        for entry in entry_point.entries(GROUP, among):
            if self._manager.is_blocked(entry.name):
                self.blocked.add(entry.name)
                continue
            try:
                extension = entry.load()
            except (Exception, SystemExit) as error:
                self._refuse(entry.name, f"could not be loaded: {_words(error)}", error)
            else:
                self.register(extension, entry.name)

    def register(self, extension: object, name: str) -> bool:
        """Add an extension that is already loaded; whether its hooks will be called.

        One that is blocked is put in `blocked`, one that cannot be used in `problems`.
        """
        if self._manager.is_blocked(name):
            self.blocked.add(name)
            return False
        if self._manager.has_plugin(name):
            self._refuse(name, "another extension of this name is loaded", None)
            return False
        try:
            self._manager.register(extension, name)
        except Exception as error:
            if self._manager.has_plugin(name):  # older versions of pluggy leave half of it behind
                self._manager.unregister(name=name)
            self._refuse(name, f"could not be registered: {_words(error)}", error)
            return False
        if reason := self._unsuited(extension):
            self._manager.unregister(extension, name)
            self._refuse(name, reason, None)
            return False
        return True

    def discover(self, configuration: Configuration) -> list[tuple[str, list[Candidate]]]:
        """What each extension's `plugin_host_discover` found, by the extension's name."""
        results = []
        for name, answer in self._call("plugin_host_discover", configuration=configuration):
            if answer is None:
                continue
            if isinstance(answer, list | tuple) and all(isinstance(c, Candidate) for c in answer):
                results.append((name, list(answer)))
            else:
                expected = "plugin_host_discover: expected a list of Candidate objects"
                _log.error("extension %s: %s, found %.200r", shown(name), expected, answer)
        return results

    def state_changed(self, plugin: str, old: str, new: str) -> None:
        """Tell every extension that the plugin of this id moved from one state to another."""
        self._call("plugin_host_state_changed", plugin=plugin, old=old, new=new)

    def _call(self, hook: str, **arguments: Any) -> list[tuple[str, Any]]:
        """The answers of all implementations, in pluggy's order: the last registered first."""
        results: list[tuple[str, Any]] = []
        if self._registry is None:
            return results
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            name = implementation.plugin_name
            given = [arguments[argument] for argument in implementation.argnames]
            started = time.perf_counter()
            try:
                answer = implementation.function(*given)
            except (Exception, SystemExit) as error:
                _log.error("extension %s: %s: %s", shown(name), hook, _words(error), exc_info=error)
            else:
                if isinstance(answer, CoroutineType):
                    answer.close()
                    _log.error("extension %s: %s must not be async", shown(name), hook)
                else:
                    results.append((name, answer))
            taken = time.perf_counter() - started
            if taken > SLOW_S:
                _log.warning("extension %s: %s took %.0f ms", shown(name), hook, taken * 1000)
        return results

    def _unsuited(self, extension: object) -> str | None:
        """Why an extension that pluggy accepted cannot be called in a guard of its own, if so."""
        from . import hookspecs

        callers = self._manager.get_hookcallers(extension) or []
        known = [caller.name for caller in callers if caller.has_spec()]
        for caller in callers:
            for implementation in caller.get_hookimpls():
                if implementation.plugin is not extension:
                    continue
                if implementation.wrapper or implementation.hookwrapper:
                    return f"{caller.name}: hook wrappers are not supported"
                if caller.name not in known and not implementation.optionalhook:
                    specified = [name for name in vars(hookspecs) if name.startswith("plugin_host_")]
                    return f"{caller.name}: no such hook{suggestion(caller.name, specified)}"
        return None

    def _refuse(self, name: str, reason: str, error: BaseException | None) -> None:
        self.problems[name] = reason
        _log.error("extension %s: %s", shown(name), reason, exc_info=error)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
