"""A plugin's tasks over a real link, with the test as the plugin: no process.

``async with tasked() as scene``: ``scene.give(...)`` makes a task and puts it to the proxy, and the rest is
what a plugin does by hand.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from plugin_host.event import HostEvent
from plugin_host.exec.proxy import ExecProxy
from plugin_host.link import Link
from plugin_host.metric.meter import Meter
from plugin_host.task.order import make_order
from plugin_host.task.proxy import TaskProxy
from plugin_host.task.task import Task
from plugin_host_sdk.events import (
    CreditReceived,
    ErrorReceived,
    RequestReceived,
    ResponseReceived,
    StopReceived,
)
from tests.linked import WAIT_S, Owner, PluginEnd, linked


class TaskOwner(Owner):
    """Passes on what the link tells, as an instance does."""

    proxy: TaskProxy

    def requested(self, event: RequestReceived) -> None:
        super().requested(event)
        if self.proxy.serves(event.method):
            self.proxy.serve(event)

    def cancelled(self, msgid: int) -> None:
        super().cancelled(msgid)
        self.proxy.cancel(msgid)

    def notified(self, method: str, params: Any) -> None:
        super().notified(method, params)
        self.proxy.hear(method, params)


class Scene:
    """The two ends, and what a plugin does."""

    def __init__(self, link: Link, plugin: PluginEnd) -> None:
        self.link = link
        self.plugin = plugin
        self.events: list[HostEvent] = []
        self.exec = ExecProxy("demo", link, Meter().sessions)
        self.proxy = TaskProxy("demo", link, self.exec)
        self.streams = plugin.connection.streams

    def give(self, *command: str, id: str | None = None, **given: Any) -> Task:
        order = make_order(command, id=id, timeout=given.pop("timeout", None), **given)
        self.proxy.check(order)
        task = Task(order, "demo", emit=self.events.append)
        self.proxy.put(task)
        return task

    async def send(self, method: str, **params: Any) -> int:
        msgid, data = self.plugin.connection.send_request(f"metadata.{method}", params)
        await self.plugin.send(data)
        return msgid

    async def notify(self, method: str, **params: Any) -> None:
        await self.plugin.send(self.plugin.connection.send_notification(f"metadata.{method}", params))

    async def answer(self, msgid: int) -> Any:
        """The result of a request of the plugin's."""
        event = await self.plugin.expect(ResponseReceived, lambda event: event.msgid == msgid)
        return event.result

    async def error(self, msgid: int) -> str:
        """The name of the error that a request of the plugin's was answered with."""
        event = await self.plugin.expect(ErrorReceived, lambda event: event.msgid == msgid)
        name: str = event.error["name"]
        return name

    async def ask(self, method: str, **params: Any) -> Any:
        return await self.answer(await self.send(method, **params))

    async def refused(self, method: str, **params: Any) -> str:
        return await self.error(await self.send(method, **params))

    async def execute(self) -> tuple[int, int]:
        """Ask for a task: the request and the stream that it names."""
        log = self.streams.reserve()
        return await self.send("execute", log=log), log

    async def taken(self) -> tuple[dict[str, Any], int]:
        """Take a task and begin with it: the order and the stream of its log."""
        msgid, log = await self.execute()
        order = await self.answer(msgid)
        self.streams.open_send(log, order["log_window"])
        await self.ask("start", task=order["task"])
        return order, log

    async def write(self, stream: int, data: bytes) -> None:
        """Send bytes within the credit there is."""
        view = memoryview(data)
        while view:
            outbound = self.streams.sending[stream]
            size = min(outbound.window.credit, self.streams.peer_frame_bytes, len(view))
            if size == 0:
                await self.plugin.expect(CreditReceived, lambda event: event.stream == stream)
                continue
            await self.plugin.send(b"".join(self.streams.send_data(stream, view[:size])))
            view = view[size:]

    async def fill(self, stream: int, data: bytes) -> int:
        """Send as much as there is credit for until there is no more; how much that was."""
        outbound = self.streams.sending[stream]
        begin = outbound.offset
        while size := min(outbound.window.credit, len(data) - outbound.offset + begin):
            await self.write(stream, data[outbound.offset - begin :][:size])
            await self.ping()
        return outbound.offset - begin

    async def ping(self) -> None:
        """Until the host has heard all that was sent, and the test what it wrote for that."""
        msgid, data = self.plugin.connection.send_request("ping", {})
        await self.plugin.send(data)
        await self.answer(msgid)

    async def end(self, stream: int, error: Any = None) -> None:
        await self.plugin.send(self.streams.send_end(stream, error))

    async def serve_file(self, data: bytes, *, sha256: str | None = None, size: int | None = None) -> int:
        """Answer one request for a file with `data`, and lie as told; the stream."""
        asked = await self.plugin.request("metadata.get_artifact")
        stream: int = asked.params["stream"]
        self.streams.open_send(stream, asked.params["window"])
        await self.plugin.answer(asked.msgid, {"size": len(data), "mode": 0o600, "mtime": 1.5})
        await self.write(stream, data)
        await self.end(stream)
        digest = hashlib.sha256(data).hexdigest() if sha256 is None else sha256
        told = {"task": asked.params["task"], "stream": stream, "sha256": digest}
        await self.notify("artifact_sent", size=len(data) if size is None else size, **told)
        return stream

    async def stopped(self, stream: int) -> None:
        """The host has given a stream up."""
        await self.plugin.expect(StopReceived, lambda event: event.stream == stream)


@asynccontextmanager
async def tasked() -> AsyncIterator[Scene]:
    async with linked(owner=TaskOwner()) as (link, plugin, owner):
        assert isinstance(owner, TaskOwner)
        scene = Scene(link, plugin)
        owner.proxy = scene.proxy
        async with asyncio.timeout(WAIT_S * 3):
            yield scene
