"""HTTP in the host's loop: uvicorn's protocols on a listening socket, without uvicorn's server.

The server of uvicorn takes the signals of its process and wakes ten times a second; the host does neither.
Knows connections, and nothing of what is said on them. Invariants: a connection on which no request is
being served ends in time by itself, whatever comes on it; after `close` no connection, no task and no timer
of it is left.
"""

from __future__ import annotations

import asyncio
import logging
import select
from typing import TYPE_CHECKING, Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from .crowd import Crowd
from .shellframe import MESSAGE_BYTES

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    import h11
    from starlette.types import ASGIApp

    from .times import GuestTimes

__all__ = ["Connection", "Wire"]

# A guest asks again at once, and between two polls only what it answers takes time.
_KEEP_ALIVE_S = 60
# Of one peer, which would otherwise take all the descriptors of the host.
_CONNECTIONS = 256
# Of all peers together, that nobody has heard yet: a machine may have any number of addresses.
_UNHEARD = 512
# A request's line and headers; bodies are streamed.
_HEAD_BYTES = 64 * 1024
# From the acceptance of a connection until its protocol hears of it, and a little more.
_TURNS = 5
# To a head that is good for HTTP and not for a websocket, such as one with too many headers.
_NO_UPGRADE = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_LEFT = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR

# uvicorn logs the paths of requests, in which the ids of actions are the guest's only proof.
_log = logging.getLogger("plugin_host.guest.wire")
_log.setLevel(logging.WARNING)


class Connection(H11Protocol):
    """One connection of a guest; requests find it as `state["connection"]`."""

    def __init__(self, wire: Wire) -> None:
        state = {"connection": self}
        super().__init__(config=wire.config, server_state=wire.state, app_state=state)
        self.logger = _log
        self.close_s = wire.close_s
        self._wire = wire
        self._head_timer: asyncio.TimerHandle | None = None
        self._on_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        gone = self._wire.crowd.enter(self, self.client[0] if self.client else "")
        if gone is not None:
            gone.transport.abort()
        if self._wire.is_closed:
            transport.abort()
        self._time_head()

    def hear(self) -> None:
        """Its request is one that the guest may make: from now on it gives way to nobody."""
        self._wire.crowd.hear(self)

    @property
    def has_left(self) -> bool:
        """Whether the peer has closed the connection, as the kernel knows before the loop has been told."""
        if self.transport.is_closing():
            return True
        watch = select.poll()
        watch.register(self.transport.get_extra_info("socket").fileno(), _LEFT)
        return bool(watch.poll(0))

    def call_if_lost(self, callback: Callable[[], None]) -> None:
        """Have it called when the connection breaks before the guest is heard of again.

        A guest that goes away with something unread breaks it; one that has read closes it.
        """
        self._on_lost = callback

    def data_received(self, data: bytes) -> None:
        self._on_lost = None
        super().data_received(data)
        self._time_head()

    def _time_head(self) -> None:
        """What has begun to come has to become a request. uvicorn's timer ends with the first byte.

        Also the rest of a body whose request was answered before: nobody reads it.
        """
        is_served = self.cycle is not None and not self.cycle.response_complete
        if is_served or self.transport.get_protocol() is not self:
            self._stop_head_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self._wire.head_s, self._cut)

    def _cut(self) -> None:
        self._head_timer = None
        self.transport.abort()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._leave()
        on_lost, self._on_lost = self._on_lost, None
        if exc is not None:
            self._unset_keepalive_if_required()
            if on_lost is not None:
                on_lost()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        super().handle_websocket_upgrade(event)
        self._leave()  # this protocol hears no more of the connection
        upgraded = self.transport.get_protocol()
        if isinstance(upgraded, _Websocket) and not upgraded.handshake_initiated:
            self.transport.write(_NO_UPGRADE)
            self.transport.close()  # nobody would ever answer what that has not understood

    def _leave(self) -> None:
        self._stop_head_timer()
        self._wire.crowd.leave(self)


class _Websocket(WebSocketsSansIOProtocol):
    """A connection that was upgraded."""

    def __init__(self, *, app_state: dict[str, Any], **given: Any) -> None:
        super().__init__(app_state=app_state, **given)
        self.close_timeout = app_state["connection"].close_s
        self.logger = _log
        self.conn.logger, self.conn.debug = _log, False  # it would log what is typed


class Wire:
    """Serves `app` on `listening`, which it takes over."""

    def __init__(self, app: ASGIApp, listening: socket.socket, times: GuestTimes) -> None:
        self.state = ServerState()
        self.crowd: Crowd[Connection] = Crowd(_CONNECTIONS, _UNHEARD)
        self.head_s = times.head
        self.is_closed = False
        self.config = Config(
            app,
            interface="asgi3",
            http=Connection,
            ws=_Websocket,
            ws_max_size=MESSAGE_BYTES,
            ws_ping_interval=times.ping,
            # The next ping follows its pong, so that much later than a ping the last pong is too old.
            ws_ping_timeout=max(times.pong - times.ping, 0.0),
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            h11_max_incomplete_event_size=_HEAD_BYTES,
            workers=1,
        )
        self.config.load()
        self._listening = listening
        self.close_s = times.close
        self._server: asyncio.Server | None = None

    def __repr__(self) -> str:
        return f"<Wire connections={len(self.state.connections)}>"

    async def start(self) -> None:
        """Take connections."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), sock=self._listening)

    async def close(self) -> None:
        """Take no more; requests that are being served get a moment to end, and are cut then."""
        self.is_closed = True
        # A connection that was taken just now would be left open by a server that is closed.
        asyncio.get_running_loop().remove_reader(self._listening)
        await _turn()
        if self._server is not None:
            self._server.close()
        state = self.state
        for connection in list(state.connections):
            connection.shutdown()
        await self._wait_for_tasks()
        for connection in list(state.connections):
            connection.transport.abort()
        await _turn()  # they are told of that
        await self._wait_for_tasks()
        for task in (left := set(state.tasks)):
            task.cancel()
        if left:
            await asyncio.wait(left)

    async def _wait_for_tasks(self) -> None:
        if self.state.tasks:
            await asyncio.wait(set(self.state.tasks), timeout=self.close_s)


async def _turn() -> None:
    """Let the loop finish what it has begun about connections."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
