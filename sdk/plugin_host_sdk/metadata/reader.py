"""Reading and watching the host's metadata, on behalf of the call being served.

In an async handler everything that asks the host is awaited; in a plain one, and on a thread that an async
one has for its work, it waits there. What it waits for ends with the call: its deadline and its
cancellation go along.
"""

from __future__ import annotations

from plugin_host_sdk.errors import MetadataNotFound
from plugin_host_sdk.loopside import on_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from typing import Any

__all__ = ["MetadataEntry", "MetadataReader", "Watch"]

_REQUIRED: Any = object()


class MetadataEntry:
    """What is at a path: `value`, a folder as a map, and its `version`. Nothing has `exists` False."""

    __slots__ = ("exists", "value", "version")

    def __init__(self, value: Any, version: int, exists: bool = True) -> None:
        self.value = value
        self.version = version
        self.exists = exists

    def __repr__(self) -> str:
        return f"MetadataEntry({self.value!r}, version={self.version}, exists={self.exists})"


class MetadataReader:
    """The metadata as one call sees it; made by `Context.metadata`."""

    __slots__ = ("_ask", "_is_async")

    def __init__(self, ask: Callable[[str, dict[str, Any]], Any], is_async: bool) -> None:
        self._ask = ask
        self._is_async = is_async

    def get(self, path: str, default: Any = _REQUIRED) -> Any:
        """The value at `path`; a folder is a map. `default` is for nothing there.

        Raises MetadataNotFound without a default, CallFailed named `host.permission_denied` for what the
        manifest's `permissions` do not cover, InvalidPayload for what is no path.
        """
        params = {"path": path}
        if self._is_async and on_loop():
            return self._get_async(params, default)
        try:
            return self._ask("metadata.get", params)["value"]
        except MetadataNotFound:
            if default is _REQUIRED:
                raise
            return default

    async def _get_async(self, params: dict[str, Any], default: Any) -> Any:
        try:
            return (await self._ask("metadata.get", params))["value"]
        except MetadataNotFound:
            if default is _REQUIRED:
                raise
            return default

    def wait_for_change(
        self, path: str, *, last: int | None = None, recursive: bool = True, timeout: float | None = None
    ) -> Any:
        """The `MetadataEntry` at `path` once its version is another than `last`.

        None waits for the next change; after `timeout` seconds it is given as it is. A folder that is not
        watched `recursive` is the list of its names, and changes when one comes or goes. Raises as `get`
        does, though nothing at `path` is no error.
        """
        params = {
            "path": path,
            "last": last,
            "recursive": recursive,
            "timeout_ms": None if timeout is None else timeout * 1000,
        }
        if self._is_async and on_loop():
            return self._wait_async(params)
        return MetadataEntry(**self._ask("metadata.wait", params))

    async def _wait_async(self, params: dict[str, Any]) -> MetadataEntry:
        return MetadataEntry(**(await self._ask("metadata.wait", params)))

    def watch(self, path: str, *, recursive: bool = True) -> Watch:
        """What is at `path`, now and after every change; `for` in a plain handler, else `async for`.

        Changes that follow each other faster than they are looked at are seen as one.
        """
        return Watch(self, path, recursive)


class Watch:
    """An endless iterator of `MetadataEntry`, the first at once."""

    __slots__ = ("_last", "_path", "_reader", "_recursive")

    def __init__(self, reader: MetadataReader, path: str, recursive: bool) -> None:
        self._reader = reader
        self._path = path
        self._recursive = recursive
        self._last = -1  # no version

    def _next(self) -> Any:
        return self._reader.wait_for_change(self._path, last=self._last, recursive=self._recursive)

    def __iter__(self) -> Iterator[MetadataEntry]:
        return self

    def __next__(self) -> MetadataEntry:
        entry: MetadataEntry = self._next()
        self._last = entry.version
        return entry

    def __aiter__(self) -> AsyncIterator[MetadataEntry]:
        return self

    async def __anext__(self) -> MetadataEntry:
        waiting: Coroutine[Any, Any, MetadataEntry] = self._next()
        entry = await waiting
        self._last = entry.version
        return entry
