"""One running host for many clients: the control socket, who is connected, what is shared between them.

Speaks the protocol of `docs/control.md`, the same msgpack-RPC as between host and plugin, with the host in
the place of the plugin. Invariants: a client's trouble is its own; after `close` no client, task or name in
the file system is left.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

from plugin_host.channel import over_socket
from plugin_host.entrance import Entrance
from plugin_host.errors import CallFailed, PluginHostError, SocketError
from plugin_host.hostnote import HostNotes
from plugin_host.localsocket import LocalSocket, check_path, listen, rule_of, unlink_own
from plugin_host.undertaking import Undertakings, to_the_end
from plugin_host_sdk.protocol import INITIALIZE_ID, RESPONSE
from plugin_host_sdk.wire import Encoder

from .actionmethod import ActionMethods
from .admission import Admission
from .claim import ClaimTable
from .desk import Desk
from .directory import Directory
from .execmethod import ExecMethods
from .feed import FeedMethods
from .hostmethod import HostMethods
from .iomethod import IoMethods
from .iosocket import IoSocket, io_place
from .metadatamethod import metadata_methods
from .overview import status_map
from .taskmethod import TaskMethods

if TYPE_CHECKING:
    import socket
    from types import TracebackType

    from plugin_host.channel import Channel
    from plugin_host.host import PluginHost
    from plugin_host.peer import Peer, RemotePeer

    from .ask import Method
    from .claim import Key, Share

__all__ = ["ControlServer"]

# Clients that are connected at once; more are closed at once, with a line in the log, unless one of those
# that are connected has not said yet who it is: then that one is.
_CLIENTS = 1024
# How long a client may take to say who it is.
_GREETING_S = 10.0
# How long `close` waits for sessions of clients to end.
_CLOSE_S = 5.0

_log = logging.getLogger(__name__)


class ControlServer:
    """Serves `host` at `place`, or on a socket that is listening already; an async context manager.

    `share` says who may use sessions that another client opened: every client of the socket ("user"), who
    has the token of its owner ("token"), or the owner alone ("owner").
    """

    def __init__(
        self, host: PluginHost, place: LocalSocket | socket.socket, *, share: Share = "user"
    ) -> None:
        self.host = host
        self._started = time.time(), time.monotonic()
        self.claims = ClaimTable(share)
        self._undertakings = Undertakings()  # that no client's going may interrupt
        self.actions = ActionMethods(host, ClaimTable(share), self._undertakings.begin)
        self.directory = Directory(host, self._tell, self._session_gone)
        self.path = _path_of(place)
        self.listen: str | None = None  # the address of a port that admits clients beside the socket
        self.note = HostNotes(host.logs, __name__)  # what operators are to know of
        self.io = IoSocket(io_place(place, self.path), self.note)
        self._place = place
        self._socket: socket.socket | None = None
        self._entrance: Entrance | None = None
        self._admission = Admission(self.path, self.note)
        self._desks: dict[int, Desk] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._last = 0
        finish = self._undertakings.finish
        sessions = ExecMethods(host, self.directory, self.claims, finish)
        self.tasks = TaskMethods(host, ClaimTable(share), sessions, finish)
        self.methods: dict[str, Method] = {
            **HostMethods(host, finish, self._status).table(),
            **sessions.table(),
            **IoMethods(self.directory, self.claims, self.io).table(),
            **FeedMethods(host).table(),
            **self.tasks.table(),
            **self.actions.table(),
            **metadata_methods(host.metadata),
        }

    def __repr__(self) -> str:
        return f"<ControlServer {self.path or 'not started'} clients={len(self._desks)}>"

    def desks(self) -> list[Desk]:
        """The clients that have said who they are and have not left, in order."""
        return [desk for desk in self._desks.values() if desk.is_here]

    def _status(self) -> dict[str, Any]:
        clients = [
            {"client": desk.number, "name": desk.name, **desk.peer.to_map()} for desk in self.desks()
        ]
        shown = status_map(list(self.host.plugins.values()), *self._started)
        return (
            shown
            | {"socket": self.path, "listen": self.listen, "share": self.claims.share}
            | {"clients": clients}
        )

    # Life.

    async def start(self) -> None:
        """Listen. Raises SocketError; nothing is left then."""
        if isinstance(self._place, LocalSocket):
            self._socket = await asyncio.to_thread(listen, self._place, _CLIENTS)
        else:
            self._socket = self._place
            self._socket.setblocking(False)
        try:
            await self.io.start()
        except SocketError as error:
            if not isinstance(self._place, LocalSocket):  # who handed it over may allow no other beside it
                self.note(f"there will be no descriptors for clients: {error}")
            else:
                await asyncio.to_thread(unlink_own, self._socket)
                self._socket.close()
                self._socket = None
                raise
        rule = rule_of(self._socket)
        if rule.is_open and not isinstance(self._place, LocalSocket):
            text = (
                "this socket was handed over with a mode that lets every user of this machine run programs"
            )
            self.note(f"{self.path}: {text} through this host; with systemd, `SocketMode=0600` ends that")
        self._entrance = Entrance(self.path, rule, _refusal, self.note)
        self._admission.open(self._socket, self._admit)

    async def close(self) -> None:
        """Take no more clients, let those there are go, and remove the socket's name.

        Who is cancelled meanwhile learns of it when all of that is done.
        """
        await to_the_end(self._close())

    async def _close(self) -> None:
        if self._socket is None:
            return
        await asyncio.to_thread(unlink_own, self._socket)
        self._admission.close()
        self._socket.close()
        assert self._entrance is not None
        self._entrance.close()
        await self.io.close()
        for timer in self._timers.values():
            timer.cancel()
        desks = list(self._desks.values())
        for desk in desks:
            desk.leave(None)
        for desk in desks:
            await desk.wait_left()
        if running := self._undertakings.running:
            _, late = await asyncio.wait(running, timeout=_CLOSE_S)
            for one in late:
                one.cancel()
        await self.directory.close()
        self.note.close()
        self._socket = None

    async def __aenter__(self) -> ControlServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Clients.

    def _admit(self, connection: socket.socket) -> None:
        assert self._entrance is not None
        peer = self._entrance.admit(connection)
        if peer is not None:
            self.admit(over_socket(connection), peer)

    def admit(self, channel: Channel, peer: Peer | RemotePeer) -> None:
        """One more client, over a channel that is the server's from now on."""
        is_full = len(self._desks) >= _CLIENTS
        if self._socket is None or (is_full and not self._send_silent_away()):
            self.note(f"a client ({peer}) was turned away: {len(self._desks)} are connected")
            channel.close()
            return
        self._last += 1
        desk = self._desks[self._last] = Desk(self, channel, peer, self._last)
        self._timers[desk.number] = asyncio.get_running_loop().call_later(
            _GREETING_S, desk.leave, PluginHostError(f"it did not say who it is within {_GREETING_S:.0f} s")
        )

    def _send_silent_away(self) -> bool:
        """Let the client go that has been silent about itself for longest; False when all have spoken."""
        number = next(iter(self._timers), None)
        if number is None:
            return False
        self._timers.pop(number).cancel()
        self._desks[number].leave(PluginHostError("it had not said who it is when its place was needed"))
        return True

    def greeted(self, desk: Desk) -> None:
        """A client has said who it is."""
        self._timers.pop(desk.number).cancel()

    def left(self, desk: Desk) -> None:
        """A client has gone: end those of its sessions, tasks and actions that were not to be kept."""
        for key in self.claims.left(desk.number):
            self._undertakings.begin(self._close_session(key))
        for task in self.tasks.left(desk.number):
            self._undertakings.begin(task.close())
        self.actions.left(desk.number)

    def gone(self, desk: Desk) -> None:
        """Nothing of a client is left."""
        self._desks.pop(desk.number, None)
        if (timer := self._timers.pop(desk.number, None)) is not None:
            timer.cancel()

    async def _close_session(self, key: Key) -> None:
        plugin, id = key
        try:
            session = await self.directory.find(id, plugin)
            await session.close()
        except PluginHostError as error:
            _log.info("session %s, whose client has gone: %s", id, error)
        self.directory.forget(key)

    def new_token(self) -> str:
        """What a client is known by."""
        return secrets.token_urlsafe(24)

    def _tell(self, method: str, params: dict[str, Any]) -> None:
        """Tell every client that may use the session that is spoken of."""
        key = params["plugin"], params["session"]
        for desk in self.desks():
            if self.claims.may_use(key, desk.number, desk.token):
                desk.link.notify(method, params)
            if (seat := desk.seats.get(key)) is not None:
                seat.end_input()

    def _session_gone(self, key: Key) -> None:
        """Nobody can ask for a session any more."""
        self.claims.forget(key)
        for desk in self.desks():
            desk.leave_seat(key)


def _path_of(place: LocalSocket | socket.socket) -> str:
    if isinstance(place, LocalSocket):
        return check_path(place.path)
    name = place.getsockname()
    return name if isinstance(name, str) else ""


def _refusal(text: str) -> bytes:
    """The answer to the `initialize` that a client begins with: its id is always the same."""
    error = CallFailed(text, name="host.not_admitted").to_map()
    return Encoder().encode([RESPONSE, INITIALIZE_ID, error, None])
