"""The TCP port of a host: who has the pre-shared key becomes a client, as at the control socket.

The key's file is read for every connection, so a key that was changed is in force at once. Invariants:
nobody is a client before both sides have proved a key that is valid then; who has not yet is one of a few,
has a few seconds, less when others want its place, and costs at most one derivation for each valid key:
one, and two during a change.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from plugin_host.errors import KeyFileError, KeyMismatch, SealError, SealRefused, SocketError
from plugin_host.peer import RemotePeer
from plugin_host.seal.agreement import agree
from plugin_host.seal.channel import RECORD_BYTES, SealedChannel
from plugin_host.seal.codec import require_cipher
from plugin_host.seal.connection import Role, SealedConnection, State
from plugin_host.seal.keyfile import read_keys
from plugin_host.seal.record import NONCE_BYTES
from plugin_host.seal.refusal import Refusal

from .address import Address
from .admission import Admission
from .tcp import resolved, tune

if TYPE_CHECKING:
    from types import TracebackType

    from plugin_host.seal.event import Event

    from .server import ControlServer

__all__ = ["SealedPort"]

# Connections that have not proved the key: in all, and of one address.
_UNPROVED = 64
_UNPROVED_OF_ONE = 16
# How long the proof may take.
_HANDSHAKE_S = 10.0
# How long it may take when the place is needed: one that answers at once is done by then.
_PATIENCE_S = 1.0
_BACKLOG = 128
# Before the key is proved nobody sends more than two short records.
_READ_BYTES = 256
# In these it is the client that is waited for.
_SLOW_STATES = (State.HELLO, State.PROOF)
_log = logging.getLogger(__name__)


class _Handshake(NamedTuple):
    """A connection that has not proved the key; `began` is in the loop's seconds."""

    host: str
    sock: socket.socket
    connection: SealedConnection
    began: float


class SealedPort:
    """Admits clients to `server`, which runs already; an async context manager, left before the server.

    `key_file` holds the pre-shared key, and a file called like it with `.new` behind that one that is about
    to take its place. `address` is where it listens, with the real port once it does.
    """

    def __init__(
        self,
        server: ControlServer,
        address: Address,
        key_file: str | os.PathLike[str],
        *,
        handshake_s: float = _HANDSHAKE_S,
    ) -> None:
        self.server = server
        self.address = address
        self._key_file = os.path.abspath(key_file)  # it is read for as long as the port is open
        self._handshake_s = handshake_s
        self._socket: socket.socket | None = None
        self._note = server.note
        self._admission: Admission | None = None
        self._unproved: Counter[str] = Counter()
        self._handshakes: dict[asyncio.Task[None], _Handshake] = {}  # the oldest first

    def __repr__(self) -> str:
        return f"<SealedPort {self.address} unproved={self._unproved.total()}>"

    async def start(self) -> None:
        """Listen. Raises SocketError, KeyFileError, and ConfigurationError where no cipher is installed."""
        require_cipher()
        await self._keys()
        try:
            family, place = await resolved(self.address, listens=True)
            self._socket = _listening(family, place)
        except OSError as error:
            text = f"{self.address}: cannot listen here: {error.strerror or error}"
            raise SocketError(text) from None
        self.address = Address(self.address.host, self._socket.getsockname()[1])
        self.server.listen = str(self.address)
        self._admission = Admission(str(self.address), self._note)
        self._admission.open(self._socket, self._admit)
        _log.info("clients with the pre-shared key are taken at %s", self.address)

    async def close(self) -> None:
        """Take no more; who has not proved the key is dropped, clients stay the server's."""
        if self._socket is None:
            return
        if self._admission is not None:
            self._admission.close()
        self._socket.close()
        self._socket = None
        self.server.listen = None
        handshakes = list(self._handshakes)
        for one in handshakes:
            one.cancel()
        if handshakes:
            await asyncio.wait(handshakes)

    async def __aenter__(self) -> SealedPort:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _admit(self, sock: socket.socket) -> None:
        try:
            name = sock.getpeername()
        except OSError:  # it has gone already
            sock.close()
            return
        host, peer = name[0], RemotePeer(str(Address(name[0], name[1])))
        connection = SealedConnection(Role.SERVER, os.urandom(NONCE_BYTES), limit=RECORD_BYTES)
        if not self._has_room(host):
            self._note(f"a connection {peer} was turned away: too many have not proved their key")
            _refuse(sock, connection, Refusal.BUSY)
            sock.close()
            return
        self._unproved[host] += 1
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._shake_hands(sock, connection, peer), name=f"handshake {peer}")
        self._handshakes[task] = _Handshake(host, sock, connection, loop.time())
        task.add_done_callback(lambda task: self._done(task, sock))

    def _has_room(self, host: str) -> bool:
        """Whether one more may come from there, also because one that takes its time gives its place up."""
        if self._unproved[host] >= _UNPROVED_OF_ONE:
            return self._send_slow_away(host)
        return self._unproved.total() < _UNPROVED or self._send_slow_away(None)

    def _send_slow_away(self, host: str | None) -> bool:
        """End the oldest handshake, of that address if one is given, that keeps this side waiting."""
        latest = asyncio.get_running_loop().time() - _PATIENCE_S
        for task, one in self._handshakes.items():
            if one.began > latest:
                return False
            if one.host == (host or one.host) and one.connection.state in _SLOW_STATES:
                _refuse(one.sock, one.connection, Refusal.SLOW)
                self._forget(task)
                task.cancel()
                return True
        return False

    def _forget(self, task: asyncio.Task[None]) -> None:
        """It does not count any more."""
        if (one := self._handshakes.pop(task, None)) is not None:
            self._unproved[one.host] -= 1
            self._unproved += Counter()  # forget who has none

    def _done(self, task: asyncio.Task[None], sock: socket.socket) -> None:
        self._forget(task)
        if task.cancelled():
            sock.close()
        elif (error := task.exception()) is not None:  # no memory for a derivation, for one
            _log.error("a connection was dropped, as its handshake failed", exc_info=error)
            sock.close()

    async def _shake_hands(
        self, sock: socket.socket, connection: SealedConnection, peer: RemotePeer
    ) -> None:
        try:
            tune(sock)
            async with asyncio.timeout(self._handshake_s):
                early = await self._agree(sock, connection)
        except TimeoutError:
            _refuse(sock, connection, Refusal.SLOW)
            text = f"it did not prove its key within {self._handshake_s:g} s"
            self._drop(sock, peer, SealRefused(text))
        except KeyFileError as error:
            _refuse(sock, connection, Refusal.NO_KEY)
            self._drop(sock, peer, error)
        except (SealError, OSError) as error:
            self._drop(sock, peer, error)
        else:
            self.server.admit(SealedChannel(sock, connection, early), peer)

    async def _agree(self, sock: socket.socket, connection: SealedConnection) -> list[Event]:
        """What came behind the handshake. Raises SealError, KeyFileError and OSError."""
        loop = asyncio.get_running_loop()
        agreed = await agree(
            connection,
            self._keys,
            lambda: loop.sock_recv(sock, _READ_BYTES),
            lambda data: loop.sock_sendall(sock, data),
        )
        # A client that took its time does not outlive a change of keys by that.
        if agreed.secret not in await self._keys():
            raise KeyMismatch("the client has a pre-shared key that was changed in this moment")
        return agreed.early

    async def _keys(self) -> list[bytes]:
        return await asyncio.to_thread(read_keys, self._key_file)

    def _drop(self, sock: socket.socket, peer: RemotePeer, error: Exception) -> None:
        self._note(f"a connection {peer} was dropped: {error}")
        sock.close()


def _listening(family: int, place: tuple[str, int]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind(place)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _refuse(sock: socket.socket, connection: SealedConnection, reason: Refusal) -> None:
    """Last words, if there is room for them; who has been agreed with already takes none in the clear."""
    if connection.state is State.OPEN:
        return
    try:
        sock.send(connection.refuse(reason))
    except OSError:
        pass
