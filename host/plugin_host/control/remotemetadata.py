"""The metadata of a host that runs elsewhere, as its clients hold it: the face of `PluginHost.metadata`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.errors import CallFailed
from plugin_host.metadata.tree import MetadataEntry

if TYPE_CHECKING:
    from .follower import Follower
    from .remote import Remote

__all__ = ["RemoteMetadata"]


class RemoteMetadata:
    """`ControlClient.metadata`. Every method raises HostLost when the connection has ended."""

    def __init__(self, host: Remote) -> None:
        self._host = host

    async def set(self, path: str, value: Any) -> int:
        """See `Metadata.set`."""
        answer = await self._host.ask("metadata.set", {"path": path, "value": value})
        version: int = answer["version"]
        return version

    async def get(self, path: str) -> Any:
        """See `Metadata.get`."""
        return _entry(await self._host.ask("metadata.get", {"path": path})).value

    async def look(self, path: str, *, recursive: bool = True) -> MetadataEntry:
        """See `Metadata.look`."""
        asked = {"path": path, "recursive": recursive, "missing_ok": True}
        return _entry(await self._host.ask("metadata.get", asked))

    async def delete(self, path: str) -> None:
        """See `Metadata.delete`."""
        await self._host.ask("metadata.delete", {"path": path})

    async def wait_for_change(
        self,
        path: str,
        *,
        last: int | None = None,
        recursive: bool = True,
        timeout: float | None = None,
    ) -> MetadataEntry:
        """See `Metadata.wait_for_change`."""
        asked = {"path": path, "last": last, "recursive": recursive}
        limit = {} if timeout is None else {"timeout_ms": timeout * 1000}
        return _entry(await self._host.ask("metadata.wait", asked | limit))

    async def watch(
        self, path: str, *, last: int | None = None, recursive: bool = True
    ) -> Follower[MetadataEntry]:
        """What is at `path` now, unless that is version `last`, and then whenever it changes.

        An async iterator, to be closed by the caller. Who reads slowly gets the newest, and not every step.
        """
        asked = {"path": path, "last": last, "recursive": recursive}
        return await self._host.follow("metadata.watch", asked, _entry)


def _entry(told: Any) -> MetadataEntry:
    if not isinstance(told, Mapping):
        raise CallFailed("the host answered oddly about metadata", name="rpc.foreign")
    try:
        return msgspec.convert(told, MetadataEntry)
    except msgspec.ValidationError as error:
        raise CallFailed(f"the host answered oddly about metadata: {error}", name="rpc.foreign") from None
