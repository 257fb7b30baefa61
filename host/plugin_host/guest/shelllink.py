"""One shell over its websocket: what is read goes to who listens, what is to be sent is sent in order.

Owns the websocket while it is open. Invariants: `exited` or `lost` is said once, after the last byte; the
reader never waits for anybody, because the window bounds what it may be given; nothing of it runs on after
`run`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from starlette.websockets import WebSocketDisconnect

from plugin_host.errors import RemoteProtocolError

from .shellframe import Abort, Size, encode
from .shellstate import Arrived, Credited, Ended, Event, Exited, ShellState

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from .times import GuestTimes

__all__ = ["ShellEars", "ShellLink"]

_NORMAL, _GOING = 1000, 1001
_GONE = "the guest closed the connection before the exit"


class ShellEars(Protocol):
    """Hears of one shell. Must not block."""

    def arrived(self, stream: int, data: bytes) -> None:
        """Output; to be given back to `ShellLink.consume` when it is used."""

    def ended(self, stream: int) -> None:
        """An output has no more."""

    def credited(self) -> None:
        """More input is taken."""

    def exited(self, code: int) -> None:
        """The shell has ended, after all its output."""

    def lost(self, reason: str) -> None:
        """It was not heard to its end."""


class ShellLink:
    """The host's end of a shell's websocket. Used from the loop only."""

    def __init__(self, times: GuestTimes, ears: ShellEars) -> None:
        self.state = ShellState()
        self._times = times
        self._ears = ears
        self._outgoing: deque[bytes] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._over = asyncio.Event()
        self._closing: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[str]] = set()
        self._dropped = ""

    def __repr__(self) -> str:
        return f"<ShellLink {self.state!r} outgoing={len(self._outgoing)}>"

    @property
    def is_over(self) -> bool:
        """Whether nothing is heard or sent any more."""
        return self._over.is_set()

    # What is sent.

    def send(self, data: bytes) -> None:
        """Input, within `state.credit`."""
        self._put(*self.state.send(data))

    def end_input(self) -> None:
        """No more input comes."""
        self._put(*self.state.end_input())

    def resize(self, rows: int, cols: int) -> None:
        """The terminal has another size. Of several that follow one another the last is sent."""
        message = encode(Size(cols, rows))
        if self._outgoing and self._outgoing[-1][0] == message[0]:
            self._outgoing.pop()
        self._put(message)

    def consume(self, stream: int, size: int) -> None:
        """So many bytes of an output were used."""
        self.state.consume(stream, size)
        self._ring()

    async def abort(self) -> None:
        """End the shell, and wait for that: the guest is asked to, and after a while is cut off."""
        if self._closing is None and not self.is_over and self.state.exit is None:
            self._put(encode(Abort()))
            loop = asyncio.get_running_loop()
            self._closing = loop.call_later(self._times.close, self.drop)
        await self._over.wait()

    def drop(self, reason: str = "it was closed") -> None:
        """Close the connection now."""
        self._dropped = self._dropped or reason
        for task in self._tasks:
            task.cancel()

    def _put(self, *messages: bytes) -> None:
        self._outgoing.extend(messages)
        self._ring()

    def _ring(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # The websocket.

    async def run(self, websocket: WebSocket) -> None:
        """Accept it, and converse until the shell, or its connection, has ended."""
        reason = "its connection was cut"
        try:
            await websocket.accept()
            reason = await self._converse(websocket)
        except WebSocketDisconnect:
            reason = _GONE
        finally:
            if self._closing is not None:
                self._closing.cancel()
            self._over.set()
            if self.state.exit is None:
                self._ears.lost(reason)
        await self._close(websocket)

    async def _converse(self, websocket: WebSocket) -> str:
        """Until one of the two directions has ended; why it did."""
        loop = asyncio.get_running_loop()
        reading = loop.create_task(self._read(websocket), name="a guest's shell: reading")
        writing = loop.create_task(self._write(websocket), name="a guest's shell: writing")
        self._tasks = {reading, writing}
        if self._dropped:
            self.drop()
        try:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            if reading in done and self.state.exit is not None:
                await self._part(websocket)
            return self._dropped or _reason(reading if reading in done else writing)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    async def _read(self, websocket: WebSocket) -> str:
        """Until the exit, or an end without one, which is told in words."""
        while self.state.exit is None:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return _GONE
            if (data := message.get("bytes")) is not None:  # texts mean nothing
                for event in self.state.receive(data):
                    self._tell(event)
        return ""

    def _tell(self, event: Event) -> None:
        match event:
            case Arrived(stream, data):
                self._ears.arrived(stream, data)
            case Ended(stream):
                self._ears.ended(stream)
            case Credited():
                self._ears.credited()
            case Exited(code):
                self._ears.exited(code)

    async def _write(self, websocket: WebSocket) -> str:
        try:
            while True:
                self._outgoing.extend(self.state.acks())
                while self._outgoing:
                    async with asyncio.timeout(self._times.write):
                        await websocket.send_bytes(self._outgoing.popleft())
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
        except (WebSocketDisconnect, RuntimeError):
            # What the guest said before it went away is still to be read.
            await asyncio.get_running_loop().create_future()
            raise

    async def _part(self, websocket: WebSocket) -> None:
        """The guest closes after its exit. What it still says does not count."""
        try:
            async with asyncio.timeout(self._times.close):
                while (await websocket.receive())["type"] != "websocket.disconnect":
                    pass
        except TimeoutError:
            pass

    async def _close(self, websocket: WebSocket) -> None:
        code = _NORMAL if self.state.exit is not None else _GOING
        try:
            await websocket.close(code)
        except (RuntimeError, WebSocketDisconnect):
            pass  # it is closed already


def _reason(task: asyncio.Task[str]) -> str:
    """Why a task of a connection has ended."""
    if task.cancelled():
        return "it was closed"
    error = task.exception()
    if isinstance(error, TimeoutError):
        return "the guest does not read"
    if isinstance(error, RemoteProtocolError):
        return f"the guest broke the protocol: {error}"
    return task.result()
