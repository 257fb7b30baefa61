"""The tree of metadata: values by path, each with the version of its last change.

Pure; nobody waits here. Invariants: a change is made as a whole or not at all; every change has a new
version, which everything above it takes too; what was set to the same value has not changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plugin_host.errors import InvalidPayload, MetadataNotFound

from .node import Folder, Leaf, Node, build, name_size, plain
from .path import check_name, parse_path

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOST_BYTES", "MOST_ENTRIES", "MetadataEntry", "MetadataTree"]

# A whole tree fits into one message of the wire.
MOST_BYTES = 4 * 1024 * 1024
MOST_ENTRIES = 5_000


@dataclass(frozen=True, slots=True)
class MetadataEntry:
    """What is at a path: its value and its version. Nothing has `exists` False and version 0.

    A folder is a map, or, when it was not asked for as a whole, the list of its names.
    """

    value: Any
    version: int
    exists: bool = True


_NOTHING = MetadataEntry(None, 0, exists=False)


class MetadataTree:
    """All metadata of one host."""

    def __init__(self) -> None:
        self.version = 0
        self._root = Folder(0)

    def __repr__(self) -> str:
        return f"<MetadataTree version={self.version} entries={self._root.count}>"

    def look(self, path: str, *, recursive: bool = True) -> MetadataEntry:
        """What is at `path`. Raises InvalidPayload for what is no path."""
        node = self._find(parse_path(path))
        if node is None:
            return _NOTHING
        if isinstance(node, Folder) and not recursive:
            return MetadataEntry(sorted(node.children), max(1, node.listing))
        return MetadataEntry(plain(node), max(1, node.version))

    def version_of(self, path: str, *, recursive: bool = True) -> int:
        """The version that `look` would give."""
        node = self._find(parse_path(path))
        if node is None:
            return 0
        return max(1, node.listing if isinstance(node, Folder) and not recursive else node.version)

    def set(self, path: str, value: Any) -> int:
        """Put `value` at `path`, in place of all that is there; the version of it.

        Folders on the way are made. Raises InvalidPayload for a value or a path that cannot be, and for
        one that would be below a value that is no folder.
        """
        names = parse_path(path)
        before = self._find(names)
        version = self.version + 2  # 1 is the empty root's
        node = build(value, before, version, path, len(names))
        if node is before:
            return max(1, node.version)
        if not names and isinstance(node, Leaf):
            raise InvalidPayload("metadata /: the root is a map")
        self._check_way(names)
        self._check_limits(path, names, node, before)
        self._put(names, node, version)
        self.version += 1
        return version

    def fill(self, tree: Mapping[str, Any]) -> None:
        """Put in what is not there yet, by the names at the root. Raises InvalidPayload."""
        for name, value in tree.items():
            check_name(name, "/")
            if not self.look(f"/{name}").exists:
                self.set(f"/{name}", value)

    def delete(self, path: str) -> None:
        """Remove what is at `path`. Raises MetadataNotFound, InvalidPayload for the root."""
        names = parse_path(path)
        if not names:
            raise InvalidPayload("metadata /: the root cannot be deleted; set it to {}")
        parent = self._find(names[:-1])
        if not isinstance(parent, Folder) or names[-1] not in parent.children:
            raise MetadataNotFound(f"there is no metadata {path}")
        self.version += 1
        self._touch(names[:-1], self.version + 1)
        del parent.children[names[-1]]
        parent.listing = self.version + 1
        self._recount(names[:-1])

    def _find(self, names: tuple[str, ...]) -> Node | None:
        node: Node | None = self._root
        for name in names:
            node = node.children.get(name) if isinstance(node, Folder) else None
        return node

    def _check_way(self, names: tuple[str, ...]) -> None:
        """Raise InvalidPayload when a value is in the way."""
        for depth in range(len(names)):
            if isinstance(self._find(names[:depth]), Leaf):
                place = "/" + "/".join(names[:depth])
                raise InvalidPayload(f"metadata {place} is a value, with nothing below it; delete it first")

    def _check_limits(self, path: str, names: tuple[str, ...], node: Node, before: Node | None) -> None:
        """Raise InvalidPayload when it would be too much, unless it is no more than there is now."""
        root = self._root
        if before is not None:
            size, count = root.size + node.size - before.size, root.count + node.count - before.count
        else:
            missing = names[self._reach(names) :]  # folders on the way, and its own name
            size = root.size + node.size + sum(map(name_size, missing))
            count = root.count + node.count + len(missing) - 1
        if (size > MOST_BYTES and size > root.size) or (count > MOST_ENTRIES and count > root.count):
            raise InvalidPayload(
                f"metadata {path}: there would be {size} bytes in {count} entries; "
                f"a host keeps {MOST_BYTES} in {MOST_ENTRIES}"
            )

    def _reach(self, names: tuple[str, ...]) -> int:
        """How many of the names are there already."""
        return next(depth for depth in range(len(names), -1, -1) if self._find(names[:depth]) is not None)

    def _put(self, names: tuple[str, ...], node: Node, version: int) -> None:
        if not names:
            assert isinstance(node, Folder)
            self._root = node
            return
        folder = self._root
        folder.version = version
        for name in names[:-1]:
            child = folder.children.get(name)
            if child is None:
                child = folder.children[name] = Folder(version)
                folder.listing = version
            assert isinstance(child, Folder)
            child.version = version
            folder = child
        if names[-1] not in folder.children:
            folder.listing = version
        folder.children[names[-1]] = node
        self._recount(names[:-1])

    def _recount(self, names: tuple[str, ...]) -> None:
        """Of the folder and all above it."""
        for depth in range(len(names), -1, -1):
            folder = self._find(names[:depth])
            assert isinstance(folder, Folder)
            folder.recount()

    def _touch(self, names: tuple[str, ...], version: int) -> None:
        for depth in range(len(names) + 1):
            node = self._find(names[:depth])
            assert node is not None
            node.version = version
