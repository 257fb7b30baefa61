"""What the instance that serves a plugin offers beside commands, for who holds the link to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .admittance import not_ready
from .errors import HandlerNotFound, NoSuchEndPoint

if TYPE_CHECKING:
    from .exec.proxy import ExecProxy
    from .instance import Instance
    from .link import Link
    from .plugin import Plugin
    from .task.proxy import TaskProxy

__all__ = ["exec_of", "tasks_of"]


def exec_of(plugin: Plugin, serving: Instance | None, link: Link) -> ExecProxy:
    """Its exec sessions. Raises HandlerNotFound when it has none, PluginNotReady when it is another."""
    if serving is None or serving.link is not link:
        raise not_ready(plugin)
    if "exec" not in plugin.capabilities or serving.exec is None:
        raise HandlerNotFound(f"plugin `{plugin.id}` offers no exec sessions", data={"handlers": []})
    return serving.exec


def tasks_of(plugin: Plugin, serving: Instance | None, link: Link) -> TaskProxy:
    """Its tasks. Raises NoSuchEndPoint when it takes none, PluginNotReady when it is another."""
    if serving is None or serving.link is not link:
        raise not_ready(plugin)
    if "metadata" not in plugin.capabilities or serving.tasks is None:
        raise NoSuchEndPoint(f"plugin `{plugin.id}` takes no tasks: it has no such capability")
    return serving.tasks
