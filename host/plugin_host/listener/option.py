"""The command `host.getoption`: one value of what the host was told, by its dotted path.

Pure. Invariants: no path ends in an exception; what stands in `env` and `settings` is never shown, only
that it is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.notation import to_json
from plugin_host.wording import shown, suggestion
from plugin_host_sdk.errors import CommandError

if TYPE_CHECKING:
    from plugin_host.configuration import Configuration

    from .request import Request

__all__ = ["HIDDEN", "Options", "option_tree"]

HIDDEN = "(not shown)"

_SECRET = frozenset({"env", "settings"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?![\s\S])")
_MISSING, _NONE_GIVEN, _BAD_NAME = 1, 2, 3


def option_tree(configuration: Configuration | None, **others: Any) -> dict[str, Any]:
    """The configuration as maps, with what is secret hidden, and the maps `others` over it."""
    tree: dict[str, Any] = msgspec.to_builtins(configuration) if configuration is not None else {}
    for plugin in tree.get("plugins", {}).values():
        for name in _SECRET & plugin.keys():
            plugin[name] = dict.fromkeys(plugin[name], HIDDEN)
    for name, values in others.items():
        known = tree.get(name)
        tree[name] = {**known, **values} if isinstance(known, dict) and isinstance(values, dict) else values
    return tree


class Options:
    """`Option` names what is wanted, without regard to case; the reply has `Option` and `Value`, a text.

    Ends with status 1 when it does not exist, 2 when none was named, 3 when the name can be none.
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self._tree = tree

    async def __call__(self, request: Request) -> dict[str, str]:
        path = request.get("Option", "")
        if path == "":
            known = ", ".join(self._tree)
            raise CommandError(_NONE_GIVEN, f"no Option was given; there are: {known}")
        parts = path.split(".") if isinstance(path, str) else [""]
        if not all(_NAME.match(part) for part in parts):
            rule = "names of letters, digits, _ and -, with dots between them"
            raise CommandError(_BAD_NAME, f"expected {rule}, found {shown(str(path)[:60])!r}", Option=path)
        value: Any = self._tree
        for depth, part in enumerate(parts):
            value = _step(value, part, parts[:depth], path)
        return {"Option": path, "Value": value if isinstance(value, str) else to_json(value)}


def _step(value: Any, part: str, before: list[str], path: str) -> Any:
    names = {str(name).casefold(): name for name in value} if isinstance(value, Mapping) else {}
    if part in names.values():
        return value[part]
    name = names.get(part.casefold())
    if name is not None:
        return value[name]
    where = ".".join(before) or "the host"
    hint = suggestion(part, map(str, names.values())) if names else f": {where} has no parts"
    raise CommandError(_MISSING, f"option {shown(path)} does not exist{hint}", Option=path)
