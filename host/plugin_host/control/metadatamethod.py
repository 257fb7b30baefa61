"""What clients ask of the host's metadata: `metadata.get`, `set`, `delete`, `wait` and `watch`.

Clients may read and change all of it; what plugins may read is for their permissions. Invariant: a watcher
is told the newest state there is each time that it can take one, so a slow one misses steps and never the
last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from plugin_host.errors import MetadataNotFound

from .delivery import Deliveries, Named
from .jsonline import json_line

if TYPE_CHECKING:
    from plugin_host.metadata.face import Metadata
    from plugin_host.metadata.tree import MetadataEntry
    from plugin_host.outbound import Outbound

    from .ask import Ask, Method

__all__ = ["metadata_methods"]


class _Path(Struct, kw_only=True):
    path: str


class _Look(_Path, kw_only=True):
    recursive: bool = True


class _Get(_Look, kw_only=True):
    missing_ok: bool = False


class _Set(_Path, kw_only=True):
    value: Any


class _Wait(_Look, kw_only=True):
    last: int | None = None
    timeout_ms: Annotated[float, Meta(ge=0, le=1e12)] | None = None


class _Watch(Named, kw_only=True):
    path: str
    recursive: bool = True
    last: int | None = None


def metadata_methods(metadata: Metadata) -> dict[str, Method]:
    """The methods by name."""
    watches = Deliveries()

    async def get(ask: Ask) -> Any:
        asked = ask.read(_Get)
        entry = metadata.look(asked.path, recursive=asked.recursive)
        if not entry.exists and not asked.missing_ok:
            raise MetadataNotFound(f"there is no metadata {asked.path}")
        return _told(entry)

    async def put(ask: Ask) -> Any:
        asked = ask.read(_Set)
        return {"version": metadata.set(asked.path, asked.value)}

    async def delete(ask: Ask) -> Any:
        metadata.delete(ask.read(_Path).path)
        return {}

    async def wait(ask: Ask) -> Any:
        asked = ask.read(_Wait)
        timeout = None if asked.timeout_ms is None else asked.timeout_ms / 1000
        entry = await metadata.wait_for_change(
            asked.path, last=asked.last, recursive=asked.recursive, timeout=timeout
        )
        return _told(entry)

    async def watch(ask: Ask) -> Any:
        asked = ask.read(_Watch)
        entry = metadata.look(asked.path, recursive=asked.recursive)

        async def tell(out: Outbound) -> None:
            now = entry
            if now.version == asked.last:
                now = await metadata.wait_for_change(asked.path, last=asked.last, recursive=asked.recursive)
            while True:
                await out.write(await json_line(_told(now)))
                now = await metadata.wait_for_change(
                    asked.path, last=now.version, recursive=asked.recursive
                )

        watches.begin(ask, asked, tell)
        return {}

    return {
        "metadata.get": get,
        "metadata.set": put,
        "metadata.delete": delete,
        "metadata.wait": wait,
        "metadata.watch": watch,
    }


def _told(entry: MetadataEntry) -> dict[str, Any]:
    return {"value": entry.value, "version": entry.version, "exists": entry.exists}
