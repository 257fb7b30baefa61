"""How a user names a task: its id, or the beginning of one. Pure.

Invariant: a name stands for one task or for an error; a whole id goes before the beginnings of others.
"""

from __future__ import annotations

from collections.abc import Sequence

from plugin_host.errors import CallFailed, TaskNotFound
from plugin_host.wording import suggestion

__all__ = ["chosen_task"]

_SHOWN = 8


def chosen_task(name: str, known: Sequence[str]) -> str:
    """The id that `name` stands for. Raises TaskNotFound, CallFailed when there are several."""
    if name in known:
        return name
    found = [id for id in known if name and id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        text = f"`{name}` stands for several tasks: {', '.join(found[:_SHOWN])}{more}"
        raise CallFailed(text, name="rpc.invalid_params")
    hint = suggestion(name, known) or "; `plugin-host task list` lists those there are"
    raise TaskNotFound(f"no task `{name}`{hint}", task=name)
