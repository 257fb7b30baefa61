"""Structs that may hold secrets, and how they are shown to people who read logs.

Owns their `repr`. Invariant: of variables and settings the names are shown and never the values, however
the Struct is printed; encoding it is another matter and gives everything.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

__all__ = ["Discreet", "Names"]

_SECRET = frozenset({"env", "settings", "params", "resource_data", "metadata"})


class Names:
    """The keys of a map, as what stands for it in print."""

    __slots__ = ("names",)

    def __init__(self, table: Any) -> None:
        self.names = sorted(map(str, table)) if isinstance(table, dict) else []

    def __repr__(self) -> str:
        return f"<{', '.join(self.names)}>"


class Discreet(Struct, frozen=True):
    """Shows the names and keeps the values of `env`, `settings`, `params`, `resource_data`, `metadata`."""

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(name, Names(value) if name in _SECRET else value) for name, value in shown]

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({parts})"
