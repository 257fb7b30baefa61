"""How a user names a session: its id, the beginning of it, or either behind its plugin, `PLUGIN/ID`.

Pure. Invariant: a name stands for one session or for an error; a whole id goes before the beginnings of
others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plugin_host.errors import CallFailed, SessionNotFound
from plugin_host.wording import suggestion

__all__ = ["Key", "brief_ids", "chosen_session"]

Key = tuple[str, str]  # plugin and session

_SHORTEST = 12
_SHOWN = 8


def chosen_session(name: str, known: Sequence[Key]) -> Key:
    """The session that `name` stands for. Raises SessionNotFound, CallFailed when there are several."""
    plugin, slash, rest = name.partition("/")
    readings: list[Callable[[Key], bool]] = [lambda key: key[1] == name]
    if slash:
        readings.append(lambda key: key == (plugin, rest))
    if name:
        readings.append(lambda key: key[1].startswith(name))
    if slash and rest:
        readings.append(lambda key: key[0] == plugin and key[1].startswith(rest))
    for reading in readings:
        found = [key for key in known if reading(key)]
        if len(found) == 1:
            return found[0]
        if found:
            raise CallFailed(_ambiguous(name, found), name="rpc.invalid_params")
    near = suggestion(name, [id for _, id in known])
    hint = near or "; `plugin-host sessions` lists those there are"
    raise SessionNotFound(f"no session `{name}`{hint}")


def _ambiguous(name: str, found: Sequence[Key]) -> str:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    listed = ", ".join(f"{plugin}/{id}" for plugin, id in found[:_SHOWN])
    return f"`{name}` stands for several sessions: {listed}{more}"


def brief_ids(known: Sequence[Key]) -> dict[Key, str]:
    """The beginning of each id by which it can be named, at least 12 characters, in every plugin."""
    ids = sorted(id for _, id in known)
    brief: dict[str, str] = {}
    for before, id, after in zip(["", *ids], ids, [*ids[1:], ""], strict=False):
        size = max(_SHORTEST, 1 + max(_common(before, id), _common(id, after)))
        brief[id] = id[:size]
    return {key: brief[key[1]] for key in known}


def _common(one: str, other: str) -> int:
    """How many characters they begin with alike."""
    alike = 0
    for mine, yours in zip(one, other, strict=False):
        if mine != yours:
            break
        alike += 1
    return alike
