"""The hooks that host extensions may implement, and the markers to do it with.

An extension is a module or object named by an entry point of the group `plugin_host`; its functions
marked `hookimpl` are called in the host's own process. Invariant: nothing here runs; the guard around
each implementation is in `extension`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from .candidate import Candidate
    from .configuration import Configuration

__all__ = [
    "PROJECT_NAME",
    "hookimpl",
    "hookspec",
    "plugin_host_discover",
    "plugin_host_state_changed",
]

PROJECT_NAME = "plugin_host"

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)


@hookspec
def plugin_host_discover(configuration: Configuration) -> list[Candidate]:  # type: ignore[empty-body]
    """Plugins from a source of the extension's own, sound or broken; called once per discovery,
    on whatever thread that is made.

    Every `source` is replaced by the extension's name, and every manifest is validated as if read.
    """


@hookspec
def plugin_host_state_changed(plugin: str, old: str, new: str) -> None:
    """The plugin of the id `plugin` moved from the state `old` to `new`; called after the move."""
