"""A server for one guest, and what tests need to be that guest: requests on plain sockets.

Times are short where a test waits for them and long where it does not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from websockets.asyncio.client import ClientConnection, connect

from plugin_host.event import HostEvent
from plugin_host.guest import GuestServer, GuestTimes
from plugin_host.task.task import Task
from plugin_host.task.tasks import Tasks

BASE = "/engine/v1/"

TIMES = GuestTimes(close=0.5)


def offered(*command: str, emit: Callable[[HostEvent], None] = lambda event: None, **given: Any) -> Task:
    """A task that nobody has."""
    return Tasks(_no_plugin, emit).offer(list(command), **given)


def _no_plugin(plugin: str) -> NoReturn:
    raise KeyError(plugin)


@dataclass
class Answer:
    """The answer to a request; `headers` by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The name of the refusal."""
        assert set(self.json) == {"code", "message"}
        assert self.json["message"]
        return str(self.json["code"])


class Line:
    """One connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, method: str, route: str, body: bytes | None = None, **headers: str) -> None:
        """A whole request."""
        length = {} if body is None else {"Content-Length": str(len(body))}
        self.begin(method, route, **length, **headers)
        self.writer.write(body or b"")

    def begin(self, method: str, route: str, **headers: str) -> None:
        """A request up to its body; `_` in the name of a header stands for `-`."""
        path = route if route.startswith("/") else BASE + route
        given = {"Host": "169.254.169.254"} | {name.replace("_", "-"): one for name, one in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {one}" for name, one in given.items()), "", ""]
        self.writer.write("\r\n".join(lines).encode())

    def chunk(self, data: bytes) -> None:
        """A part of a body that was begun with `Transfer_Encoding="chunked"`; b"" ends it."""
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def answer(self) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(status.split()[1]), headers, body)

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass

    def abort(self) -> None:
        """Break the connection, as the end of a machine does."""
        self.writer.transport.abort()


@dataclass
class Place:
    """A served task; the guest is whoever uses this."""

    server: GuestServer
    task: Task
    lines: list[Line] = field(default_factory=list)

    async def line(self) -> Line:
        """Another connection, closed at the end."""
        if self.server.path is not None:
            streams = await asyncio.open_unix_connection(self.server.path)
        else:
            streams = await asyncio.open_connection("127.0.0.1", self.server.port)
        line = Line(*streams)
        self.lines.append(line)
        return line

    async def ask(self, method: str, route: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        line = await self.line()
        line.send(method, route, body, **headers)
        answer = await line.answer()
        await line.close()
        return answer

    async def poll(self) -> dict[str, Any]:
        answer = await self.ask("GET", "poll")
        assert answer.status == 200
        action: dict[str, Any] = answer.json
        return action

    @asynccontextmanager
    async def websocket(self, route: str, **headers: str) -> AsyncIterator[ClientConnection]:
        """A websocket of a real client."""
        url = f"ws://127.0.0.1:{self.server.port}{BASE}{route}"
        async with connect(url, additional_headers=headers, compression=None, ping_interval=None) as socket:
            yield socket


@asynccontextmanager
async def serving(
    *command: str,
    times: GuestTimes = TIMES,
    path: str | None = None,
    token: str | None = None,
    **given: Any,
) -> AsyncIterator[Place]:
    """A task and the server of its guest."""
    task = offered(*command, **given)
    server = GuestServer(task, times=times, path=path, token=token)
    async with server:
        place = Place(server, task)
        try:
            yield place
        finally:
            for line in place.lines:
                await line.close()


async def partly(place: Place, action: str, data: bytes, size: int) -> Line:
    """A reply whose guest breaks off after `data`."""
    line = await place.line()
    line.begin("POST", f"reply?id={action}", Content_Length=str(size))
    line.writer.write(data)
    await line.writer.drain()
    return line
