"""Where a host looks for plugins: folders, entry points, the configuration, and which of them count.

It can be looked again at any time, for what has changed since.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import discovery
from .configuration import Configuration, load
from .errors import PluginNotFound
from .extension import Extensions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from .candidate import Candidate

__all__ = ["Search"]


class Search:
    """See `PluginHost` for the arguments. Raises TypeError for a text, or a path, where a list is due."""

    def __init__(
        self,
        *,
        plugin_dirs: Iterable[str | os.PathLike[str]],
        entry_points: bool,
        only: Sequence[str] | None,
        block: Collection[str],
        config: Configuration | str | os.PathLike[str] | None,
    ) -> None:
        for name, value in (("plugin_dirs", plugin_dirs), ("only", only), ("block", block)):
            if isinstance(value, (str, bytes, os.PathLike)):
                raise TypeError(f"{name} is a list of texts, not {value!r} alone")
        self.extensions = Extensions(block=block)
        self._plugin_dirs = tuple(_settled(one) for one in plugin_dirs)
        self._entry_points = entry_points
        self._only = only
        self._block = block
        self._config = config if config is None or isinstance(config, Configuration) else _settled(config)

    def configuration(self) -> Configuration | None:
        """The configuration as it is now; None when there is none. Raises ConfigurationError."""
        config = self._config
        return config if config is None or isinstance(config, Configuration) else load(config)

    def find(self, configuration: Configuration | None) -> list[Candidate]:
        """Every plugin that is there now. Raises what `discovery.discover` does."""
        return discovery.discover(
            plugin_dirs=self._plugin_dirs,
            entry_points=self._entry_points,
            only=self._only,
            block=self._block,
            configuration=configuration,
            extensions=self.extensions,
        )

    def find_again(self, plugin: str) -> Candidate:
        """One plugin as it is there now. Raises PluginNotFound, and as `configuration` and `find` do."""
        for candidate in self.find(self.configuration()):
            if candidate.id == plugin:
                return candidate
        raise PluginNotFound(f"plugin `{plugin}` is no longer where it was found", plugin=plugin)


def _settled(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The path as it is meant now: the program may have another working folder when it looks again."""
    try:
        return os.path.abspath(path)
    except FileNotFoundError:  # the working folder is gone; whoever looks there is told
        return path
