"""Structs that may hold secrets, and how they are shown to people who read logs.

Owns their `repr`. Invariant: of variables and settings the names are shown and never the values, of keys
and data nothing but that they are there, however the Struct is printed; encoding it is another matter and
gives everything.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

__all__ = ["Discreet", "Names"]

_MAPS = frozenset({"env", "environment", "settings", "params", "resource_data", "metadata"})
_SECRET = frozenset({"key", "proof", "token"})


class Names:
    """The keys of a map, as what stands for it in print."""

    __slots__ = ("names",)

    def __init__(self, table: Any) -> None:
        self.names = sorted(map(str, table)) if isinstance(table, dict) else []

    def __repr__(self) -> str:
        return f"<{', '.join(self.names)}>"


class _Words:
    """Words that stand for a value."""

    __slots__ = ("_words",)

    def __init__(self, words: str) -> None:
        self._words = words

    def __repr__(self) -> str:
        return f"<{self._words}>"


class Discreet(Struct, frozen=True):
    """Shows the names and keeps the values of `env`, `environment`, `settings`, `params`, `metadata` and
    `resource_data`.

    Of `key`, `proof` and `token` it shows only that they are there, of bytes how many.
    """

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, _shown(name, getattr(self, name))) for name in self.__struct_fields__]

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({parts})"


def _shown(name: str, value: Any) -> Any:
    if name in _MAPS:
        return Names(value)
    if name in _SECRET and value is not None:
        return _Words("secret")
    return _Words(f"{len(value)} bytes") if isinstance(value, bytes) else value
