"""What plugins ask about metadata: `metadata.get`, and `metadata.wait`, which is held until a change.

Every request is answered once, unless its link ends first. A fault of the host itself is logged under an
incident id, which the plugin is told, and nothing else of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.errors import (
    CallCancelled,
    CallError,
    CallFailed,
    InvalidPayload,
    MetadataNotFound,
    NoSuchEndPoint,
)
from plugin_host.permission import reading_denial
from plugin_host.wording import shown

from .incident import told
from .path import parse_path
from .payload import converted

if TYPE_CHECKING:
    from plugin_host.link import Link
    from plugin_host_sdk.events import RequestReceived

    from .face import Metadata
    from .tree import MetadataEntry

__all__ = ["MOST_WAITS", "MetadataDesk"]

MOST_WAITS = 256  # of one plugin


class _Get(msgspec.Struct):
    path: str
    recursive: bool = True


class _Wait(_Get):
    last: int | None = None
    timeout_ms: float | None = None


class MetadataDesk:
    """Answers plugins for `metadata`."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._waits: dict[Link, dict[int, asyncio.Task[None]]] = {}
        self._methods: dict[str, Callable[[Link, RequestReceived, _Reader], None]] = {
            "metadata.get": self._get,
            "metadata.wait": self._wait,
        }

    def __repr__(self) -> str:
        return f"<MetadataDesk waits={sum(map(len, self._waits.values()))}>"

    def serve(
        self,
        link: Link,
        plugin: str,
        granted: Collection[str],
        event: RequestReceived,
        asked: Collection[str] = (),
    ) -> None:
        """Answer one request of a plugin, now or later."""
        try:
            method = self._methods.get(event.method)
            if method is None:
                raise _unknown(event.method)
            method(link, event, _Reader(plugin, granted, asked))
        except Exception as error:
            link.refuse(event.msgid, told(error, event.method, plugin))

    def cancel(self, link: Link, msgid: int) -> None:
        """The plugin does not wait any more."""
        task = self._waits.get(link, {}).get(msgid)
        if task is not None:
            task.cancel()

    def waiting(self, link: Link) -> int:
        """How many requests of a link wait for a change."""
        return len(self._waits.get(link, ()))

    def forget(self, link: Link) -> None:
        """The link is over."""
        for task in self._waits.pop(link, {}).values():
            task.cancel()

    def _get(self, link: Link, event: RequestReceived, reader: _Reader) -> None:
        wanted = converted(event.method, event.params, _Get)
        reader.check(wanted.path)
        entry = self._metadata.look(wanted.path, recursive=wanted.recursive)
        if not entry.exists:
            raise MetadataNotFound(f"there is no metadata {wanted.path}")
        link.answer(event.msgid, _sent(entry))

    def _wait(self, link: Link, event: RequestReceived, reader: _Reader) -> None:
        wanted = converted(event.method, event.params, _Wait)
        reader.check(wanted.path)
        if wanted.timeout_ms is not None and not 0 <= wanted.timeout_ms <= 1e12:
            raise InvalidPayload(f"timeout_ms is a number from 0 on, not {wanted.timeout_ms}")
        waits = self._waits.setdefault(link, {})
        if len(waits) >= MOST_WAITS:
            raise CallFailed(f"{MOST_WAITS} requests of this plugin wait for changes", name="rpc.busy")
        task = asyncio.get_running_loop().create_task(
            self._answer_change(link, event, wanted, reader.plugin), name=f"metadata.wait {wanted.path}"
        )
        waits[event.msgid] = task

        def done(task: asyncio.Task[None]) -> None:
            waits.pop(event.msgid, None)
            if task.cancelled():  # perhaps before it had begun
                error = CallCancelled("metadata.wait was cancelled", name="rpc.cancelled")
                link.refuse(event.msgid, error)

        task.add_done_callback(done)

    async def _answer_change(self, link: Link, event: RequestReceived, wanted: _Wait, plugin: str) -> None:
        timeout = None if wanted.timeout_ms is None else wanted.timeout_ms / 1000
        try:
            entry = await self._metadata.wait_for_change(
                wanted.path, last=wanted.last, recursive=wanted.recursive, timeout=timeout
            )
        except Exception as error:
            link.refuse(event.msgid, told(error, event.method, plugin))
        else:
            link.answer(event.msgid, _sent(entry))


class _Reader:
    """Who asks, and what that plugin may read."""

    def __init__(self, plugin: str, granted: Collection[str], asked: Collection[str]) -> None:
        self.plugin = plugin
        self._granted = granted
        self._asked = asked

    def check(self, path: str) -> None:
        """Raise CallFailed for a path that the plugin may not read, InvalidPayload for what is none."""
        parse_path(path)
        reason = reading_denial(self.plugin, path, asked=self._asked, granted=self._granted)
        if reason is not None:
            raise CallFailed(reason, name="host.permission_denied")


def _unknown(method: str) -> CallError:
    name = shown(method[:200])
    return NoSuchEndPoint(f"the host has no method {name!r}")


def _sent(entry: MetadataEntry) -> dict[str, Any]:
    return {"value": entry.value, "version": entry.version, "exists": entry.exists}
