"""The metadata of a host, for threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_host.metadata import face
    from plugin_host.metadata.tree import MetadataEntry

    from .loopthread import LoopThread

__all__ = ["Metadata"]


class Metadata:
    """See `plugin_host.PluginHost.metadata`."""

    def __init__(self, thread: LoopThread, metadata: face.Metadata) -> None:
        self._thread = thread
        self._metadata = metadata

    def __repr__(self) -> str:
        return repr(self._metadata)

    def set(self, path: str, value: Any) -> int:
        """Put `value` at `path`, in place of all that is there; returns its version."""
        return self._thread.run(self._set(path, value))

    async def _set(self, path: str, value: Any) -> int:
        return self._metadata.set(path, value)

    def get(self, path: str) -> Any:
        """A copy of what is at `path`; a folder is a map. Raises MetadataNotFound, InvalidPayload."""
        return self._thread.run(self._get(path))

    async def _get(self, path: str) -> Any:
        return self._metadata.get(path)

    def look(self, path: str, *, recursive: bool = True) -> MetadataEntry:
        """What is at `path`, with its version, also when that is nothing."""
        return self._thread.run(self._look(path, recursive))

    async def _look(self, path: str, recursive: bool) -> MetadataEntry:
        return self._metadata.look(path, recursive=recursive)

    def delete(self, path: str) -> None:
        """Remove what is at `path`. Raises MetadataNotFound, and InvalidPayload for the root."""
        self._thread.run(self._delete(path))

    async def _delete(self, path: str) -> None:
        self._metadata.delete(path)

    def wait_for_change(
        self,
        path: str,
        *,
        last: int | None = None,
        recursive: bool = True,
        timeout: float | None = None,
    ) -> MetadataEntry:
        """What is at `path` once its version is another than `last`; None waits for the next change."""
        waiting = self._metadata.wait_for_change(path, last=last, recursive=recursive, timeout=timeout)
        return self._thread.run(waiting)
