"""The parts of a metadata tree: folders and values, each with the version of its last change.

Pure. A value is None, a bool, a number, a text, bytes or a list of such; a map becomes a folder.
Invariants: a folder's version is at least that of everything in it; what is put in and given out is
copied, so nobody changes a value behind the tree's back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from plugin_host.errors import InvalidPayload
from plugin_host_sdk.errors import excerpt

from .path import DEEPEST, check_name, is_text

__all__ = ["Folder", "Leaf", "Node", "build", "name_size", "plain"]

_SCALARS = frozenset({type(None), bool, int, float})


class Leaf:
    """One value. `size` is about what it takes, in bytes."""

    __slots__ = ("count", "size", "value", "version")

    def __init__(self, value: Any, size: int, version: int, count: int) -> None:
        self.value = value
        self.size = size
        self.version = version
        self.count = count  # of entries: it, and those of its lists


class Folder:
    """Names and what they stand for. `listing` is the version at which a name last came or went.

    `size` and `count` are of all that is in it; whoever changes that calls `recount`, from the inside out.
    """

    __slots__ = ("children", "count", "listing", "size", "version")

    def __init__(self, version: int) -> None:
        self.children: dict[str, Node] = {}
        self.version = version
        self.listing = version
        self.size = 0
        self.count = 1

    def recount(self) -> None:
        """What is in it has changed."""
        self.size = sum(name_size(name) + child.size for name, child in self.children.items())
        self.count = 1 + sum(child.count for child in self.children.values())


Node = Leaf | Folder


def build(value: Any, before: Node | None, version: int, where: str, depth: int) -> Node:
    """The node for `value`; parts that `before` has already keep their versions.

    Raises InvalidPayload for a value that metadata cannot hold. `before` is not changed.
    """
    if isinstance(value, Mapping):
        return _build_folder(value, before, version, where, depth)
    copied = _copied(value, where, depth)
    if isinstance(before, Leaf) and _is_same(before.value, copied):
        return before
    return Leaf(copied, _size(copied), version, _count(copied))


def _build_folder(
    value: Mapping[Any, Any], before: Node | None, version: int, where: str, depth: int
) -> Folder:
    _check_depth(where, depth)
    old = before if isinstance(before, Folder) else None
    folder = Folder(version)
    for name, part in value.items():
        check_name(name, where)
        known = old.children.get(name) if old is not None else None
        folder.children[name] = build(part, known, version, f"{where.rstrip('/')}/{name}", depth + 1)
    folder.recount()
    if old is not None and old.children.keys() == folder.children.keys():
        folder.listing = old.listing
        if all(child is old.children[name] for name, child in folder.children.items()):
            return old
    return folder


def plain(node: Node) -> Any:
    """The value of a node, as a copy; a folder is a map."""
    if isinstance(node, Leaf):
        return _again(node.value) if type(node.value) is list else node.value
    return {name: plain(child) for name, child in node.children.items()}


def _again(value: list[Any]) -> list[Any]:
    return [_again(part) if type(part) is list else part for part in value]


def _copied(value: Any, where: str, depth: int) -> Any:
    kind = type(value)
    if kind is int and not -(2**63) <= value < 2**64:
        raise InvalidPayload(f"metadata {where}: an integer has at most 64 bits")
    if kind is float and not math.isfinite(value):
        raise InvalidPayload(f"metadata {where}: {value} is no number that can be compared")
    if kind in _SCALARS or kind is bytes:
        return value
    if kind is str:
        if not is_text(value):
            raise InvalidPayload(f"metadata {where}: {excerpt(value)} is no valid text")
        return value
    if kind in (list, tuple):
        _check_depth(where, depth)
        return [_copied(part, where, depth + 1) for part in value]
    raise InvalidPayload(
        f"metadata {where}: a value is None, a bool, a number, a text, bytes, a list of those or a map, "
        f"not {excerpt(value)}"
    )


def _check_depth(where: str, depth: int) -> None:
    if depth >= DEEPEST:
        raise InvalidPayload(f"metadata {where[:200]}: it is deeper than {DEEPEST} levels")


def _is_same(one: Any, other: Any) -> bool:
    """Equal, and of the same type all the way: 1 is not True, nor 1.0."""
    if type(one) is not type(other):
        return False
    if type(one) is list:
        return len(one) == len(other) and all(map(_is_same, one, other))
    return bool(one == other)


def name_size(name: str) -> int:
    """The bytes of a name."""
    return len(name.encode())


def _size(value: Any) -> int:
    if type(value) is str:
        return len(value.encode()) + 5
    if type(value) is bytes:
        return len(value) + 5
    if type(value) is list:
        return 5 + sum(map(_size, value))
    return 9


def _count(value: Any) -> int:
    return 1 + sum(map(_count, value)) if type(value) is list else 1
