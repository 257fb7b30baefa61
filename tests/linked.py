"""A link of the host with the test as the plugin at the other end: no process, a real socket.

``async with linked() as (link, plugin, owner)``: the link and its `Owner`, which remembers what it was
told, and the `PluginEnd`, which sends what the test says and hears what the link wrote.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from plugin_host.channel import open_socketpair
from plugin_host.link import Link
from plugin_host.linkowner import LinkOwner
from plugin_host_sdk.connection import HOST, PLUGIN, Connection
from plugin_host_sdk.events import Event, RequestReceived
from plugin_host_sdk.handshake import initialize_params
from tests.pair import ANSWER

_E = TypeVar("_E", bound=Event)

WAIT_S = 5.0


class Owner(LinkOwner):
    """Remembers what the link tells."""

    def __init__(self) -> None:
        self.stray: list[bytes] = []
        self.requests: list[RequestReceived] = []
        self.cancels: list[int] = []
        self.notices: list[tuple[str, Any]] = []
        self.ends: list[Exception | None] = []

    def stray_output(self, data: bytes) -> None:
        self.stray.append(data)

    def requested(self, event: RequestReceived) -> None:
        self.requests.append(event)

    def cancelled(self, msgid: int) -> None:
        self.cancels.append(msgid)

    def notified(self, method: str, params: Any) -> None:
        self.notices.append((method, params))

    def ended(self, error: Exception | None) -> None:
        self.ends.append(error)


class PluginEnd:
    """The plugin's side. `socket` is for what a connection would not send."""

    def __init__(self, sock: socket.socket, *, raw: bool) -> None:
        self.socket = sock
        self.connection = Connection(PLUGIN, raw=raw)
        self.events: list[Event] = []

    async def send(self, data: bytes) -> None:
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self.socket, data), WAIT_S)

    async def hear(self) -> bytes:
        """Read once; what came, b"" at the host's end."""
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 1 << 20), WAIT_S)
        self.events += self.connection.receive_data(data)
        return data

    async def expect(self, kind: type[_E], wanted: Callable[[_E], bool] = lambda _: True) -> _E:
        """Wait for an event of this kind, and take it."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and wanted(event):
                    self.events.remove(event)
                    return event
            if not await self.hear():
                raise AssertionError(f"the host closed, and {kind.__name__} did not come: {self.events}")

    async def ask(self, owner: Owner, method: str = "host.echo") -> int:
        """Send a request and wait until the owner has it; its id."""
        before = len(owner.requests)
        msgid, data = self.connection.send_request(method, [] if self.connection.raw else {})
        await self.send(data)
        async with asyncio.timeout(WAIT_S):
            while len(owner.requests) == before:  # noqa: ASYNC110 - the link is what is waited for
                await asyncio.sleep(0.001)
        return msgid

    async def request(self, method: str = "work") -> RequestReceived:
        return await self.expect(RequestReceived, lambda event: event.method == method)

    async def answer(self, msgid: int, result: Any = None) -> None:
        await self.send(self.connection.send_response(msgid, result))


@asynccontextmanager
async def linked(
    *, raw: bool = False, ready: bool = True, room: int | None = None, owner: Owner | None = None
) -> AsyncIterator[tuple[Link, PluginEnd, Owner]]:
    """Both ends, initialized unless told otherwise; `room` is the size of the socket's buffer in bytes."""
    channel, ends = open_socketpair()
    theirs = socket.socket(fileno=os.dup(ends.stdin))
    ends.close()
    theirs.setblocking(False)
    if room is not None:
        with socket.socket(fileno=os.dup(channel.write_fd)) as ours:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
    owner = owner or Owner()
    link = Link(channel, Connection(HOST, raw=raw), owner)
    plugin = PluginEnd(theirs, raw=raw)
    try:
        if ready and not raw:
            await initialize(link, plugin)
        yield link, plugin, owner
    finally:
        link.close()
        for call in link._futures.values():
            assert isinstance(call, asyncio.Future)
            call.cancel()
        channel.close()
        theirs.close()
        await asyncio.sleep(0)


async def initialize(link: Link, plugin: PluginEnd, answer: dict[str, Any] | None = None) -> None:
    """Bring both to ready."""
    params = initialize_params(plugin="demo", host={"name": "test"}, limits=link.connection.limits)
    link.initialize(params)
    asked = await plugin.request("initialize")
    await plugin.answer(asked.msgid, ANSWER | (answer or {}))
    await asyncio.wait_for(asyncio.shield(link.initialized), WAIT_S)
