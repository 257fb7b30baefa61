"""Metadata as an embedder sets it and anybody waits for it to change.

Owns the tree and who waits. Used from the host's loop. Invariant: who waits is woken by the first change
of what it waits for, and by no other.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from plugin_host.errors import ConfigurationError, InvalidPayload, MetadataNotFound

from .path import check_name
from .tree import MetadataEntry, MetadataTree

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Metadata"]


class Metadata:
    """The metadata of one host, `PluginHost.metadata`: what it tells its plugins, by path.

    Plugins read what their manifest asks for as `metadata.read:/path`: that path and all below it.
    """

    def __init__(self) -> None:
        self._tree = MetadataTree()
        self._waiters: dict[asyncio.Future[None], tuple[str, bool, int]] = {}

    def __repr__(self) -> str:
        return f"<Metadata {self._tree!r} waiting={len(self._waiters)}>"

    def set(self, path: str, value: Any) -> int:
        """Put `value` at `path`, in place of all that is there; returns its version.

        A map is a folder, and its parts have paths of their own; other values are None, bools, numbers,
        texts, bytes and lists of those. A value that is set again is no change. Raises InvalidPayload.
        """
        version = self._tree.set(path, value)
        self._wake()
        return version

    def get(self, path: str) -> Any:
        """A copy of what is at `path`; a folder is a map. Raises MetadataNotFound, InvalidPayload."""
        entry = self.look(path)
        if not entry.exists:
            raise MetadataNotFound(f"there is no metadata {path}")
        return entry.value

    def look(self, path: str, *, recursive: bool = True) -> MetadataEntry:
        """What is at `path`, with its version, also when that is nothing.

        A folder that is not asked for `recursive` is the list of its names. Raises InvalidPayload.
        """
        return self._tree.look(path, recursive=recursive)

    def delete(self, path: str) -> None:
        """Remove what is at `path`. Raises MetadataNotFound, and InvalidPayload for the root."""
        self._tree.delete(path)
        self._wake()

    def fill(self, tree: Mapping[str, Any]) -> None:
        """Put in what is not there yet, by the names at the root. Raises InvalidPayload."""
        for name, value in tree.items():
            check_name(name, "/")
            if not self.look(f"/{name}").exists:
                self.set(f"/{name}", value)

    def begin_with(self, tree: Mapping[str, Any], file: str | None) -> None:
        """`fill` with what the configuration `file` says. Raises ConfigurationError."""
        try:
            self.fill(tree)
        except InvalidPayload as error:
            text = f"{file or 'configuration'}: $.metadata: {error}"
            raise ConfigurationError(text, file=file or "", path="$.metadata") from None

    async def wait_for_change(
        self,
        path: str,
        *,
        last: int | None = None,
        recursive: bool = True,
        timeout: float | None = None,
    ) -> MetadataEntry:
        """What is at `path` once its version is another than `last`; None waits for the next change.

        With a version that was seen before, no change between two waits is missed. After `timeout` seconds
        it is given as it is. Raises InvalidPayload.
        """
        version = self._tree.version_of(path, recursive=recursive)
        if last is None or last == version:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters[future] = (path, recursive, version)
            try:
                async with asyncio.timeout(timeout):
                    await future
            except TimeoutError:
                pass
            finally:
                del self._waiters[future]
        return self.look(path, recursive=recursive)

    def _wake(self) -> None:
        seen: dict[tuple[str, bool], int] = {}  # many wait for the same
        for future, (path, recursive, version) in self._waiters.items():
            key = (path, recursive)
            if key not in seen:
                seen[key] = self._tree.version_of(path, recursive=recursive)
            if seen[key] != version and not future.done():
                future.set_result(None)
