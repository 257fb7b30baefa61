"""A host that serves clients, and clients of it, for one test."""

from __future__ import annotations

import asyncio
import socket
import textwrap
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from plugin_host import PluginHost
from plugin_host.control import ControlClient, ControlServer, connect
from plugin_host.control.claim import Share
from plugin_host.localsocket import LocalSocket
from plugin_host_sdk.connection import HOST, Connection
from plugin_host_sdk.events import Event
from tests.session import runner

__all__ = ["Arena", "RawClient", "arena"]

CODE = """
    import time

    @plugin.command("work")
    def work(ctx, steps: int = 3):
        for step in range(steps):
            ctx.progress(step + 1, steps, "step")
        return steps

    @plugin.command("wait")
    def wait(ctx):
        ctx.log.info("waiting")
        ctx.cancelled.wait()
        ctx.log.warning("cancelled")
        return "gave up"

    @plugin.command("trace")
    def trace(ctx):
        return ctx.traceparent, ctx.tracestate

    @plugin.command("die")
    def die(ctx):
        import os
        os._exit(7)

    @plugin.command("refuse")
    def refuse(ctx):
        raise sdk.CommandError(5, "not today", why="tired")
"""


class Arena:
    """`host` and its `server`; clients made by `client` are closed at the end."""

    def __init__(self, host: PluginHost, server: ControlServer, stack: AsyncExitStack) -> None:
        self.host = host
        self.server = server
        self._stack = stack

    async def client(self, name: str = "", **options: Any) -> ControlClient:
        """One more client."""
        return await self._stack.enter_async_context(await connect(self.server.path, name=name, **options))

    async def raw(self) -> RawClient:
        """A client that says what it likes."""
        raw = RawClient(self.server.path)
        self._stack.callback(raw.close)
        return raw


@asynccontextmanager
async def arena(
    folder: Path,
    path: str,
    *,
    share: Share = "user",
    code: str = "",
    mode: int = 0o600,
    group: int | None = None,
    **keys: Any,
) -> AsyncIterator[Arena]:
    """A host with the plugin `desk`, which runs programs and has more `code`, served at `path`."""
    place = LocalSocket(path=path, mode=mode, group=group)
    async with (
        runner(folder, textwrap.dedent(CODE) + textwrap.dedent(code), **keys) as host,
        ControlServer(host, place, share=share) as server,
        AsyncExitStack() as stack,
    ):
        yield Arena(host, server, stack)


class RawClient:
    """A connection over which anything can be sent."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.setblocking(False)
        self.socket.connect(path)
        self.connection = Connection(HOST)

    def close(self) -> None:
        self.socket.close()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def events(self) -> list[Event]:
        """What one read brings."""
        data = await asyncio.get_running_loop().sock_recv(self.socket, 65536)
        return self.connection.receive_data(data)

    async def initialize(self, **params: Any) -> list[Event]:
        """The first message, and what it is answered."""
        await self.send(self.connection.send_initialize({"protocols": [1], **params}))
        return await self.events()

    async def ended(self) -> None:
        """Wait until the host has closed the connection."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            try:
                while await loop.sock_recv(self.socket, 65536):
                    pass
            except ConnectionResetError:
                pass
