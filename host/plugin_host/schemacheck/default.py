"""Filling in what settings leave out: the defaults of a schema's properties, on every level.

Owns which defaults count: those of `properties`, there or behind a local `$ref`, and of the properties
of these when they are maps. An absent map is made when its own defaults give all that it requires.
Invariant: what is filled in is a copy, and there is an end to it, whatever the schema says.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

__all__ = ["TooMuch", "filled", "properties_of", "resolved"]

_MOST = 1000
_DEEPEST = 32


class TooMuch(ValueError):
    """The defaults of a schema are too many, or lie too deep."""


def filled(schema: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """A copy of `settings` with defaults; raises TooMuch."""
    return _Filling(schema).fill(schema, settings, 0)


def resolved(root: dict[str, Any], schema: Any) -> dict[str, Any]:
    """What `schema` refers to inside `root`; a reference that leads nowhere allows anything."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        schema = _at(root, reference)
    return {}


def properties_of(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The properties that a schema names itself."""
    properties = schema.get("properties")
    yield from properties.items() if isinstance(properties, dict) else ()


def _at(root: Any, reference: str) -> Any:
    """The place of a JSON pointer (`#/$defs/size`); None when there is none."""
    if reference not in ("", "#") and not reference.startswith("#/"):
        return None
    for step in reference[2:].split("/") if len(reference) > 1 else ():
        name = step.replace("~1", "/").replace("~0", "~")
        root = root.get(name) if isinstance(root, dict) else None
    return root


class _Filling:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._left = _MOST
        self._being_made: list[int] = []  # schemas of absent maps, which may hold themselves

    def fill(self, schema: Any, value: dict[str, Any], depth: int) -> dict[str, Any]:
        if depth > _DEEPEST:
            raise TooMuch(f"expected defaults at most {_DEEPEST} levels deep, found more")
        result = dict(value)
        for name, inner in properties_of(resolved(self._root, schema)):
            own = inner if isinstance(inner, dict) else {}
            meant = resolved(self._root, inner)
            if name in result:
                present = result[name]
            elif "default" in own or "default" in meant:
                present = copy.deepcopy(own["default"] if "default" in own else meant["default"])
                self._count()
            else:
                self._make(result, name, meant, depth)
                continue
            result[name] = self.fill(meant, present, depth + 1) if isinstance(present, dict) else present
        return result

    def _make(self, result: dict[str, Any], name: str, schema: dict[str, Any], depth: int) -> None:
        """An absent map, if its defaults are all that it needs."""
        if id(schema) in self._being_made or not schema.get("properties"):
            return
        self._being_made.append(id(schema))
        made = self.fill(schema, {}, depth + 1)
        self._being_made.pop()
        required = schema.get("required")
        if made and made.keys() >= set(required if isinstance(required, list) else ()):
            result[name] = made

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise TooMuch(f"expected at most {_MOST} defaults to fill in, found more")
