"""The socket at which a token is exchanged for descriptors: a token and a newline in, `F`s and
descriptors out, or `E` and the reason.

Whoever connects and does not come with a token in time, or at all, is dropped alone. Invariant: a token is
spent when it is shown, whatever follows; after `close` no connection, task or descriptor is left.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from plugin_host.entrance import Entrance
from plugin_host.errors import CallFailed, PluginHostError, SocketError
from plugin_host.localsocket import LocalSocket, listen, rule_of, unlink_own

from .admission import Admission
from .hangup import HangupWatch
from .splice import Splice
from .ticket import TicketTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.peer import Peer

    from .grant import Grant

__all__ = ["IoSocket", "io_path", "io_place"]

_TOKEN_BYTES = 128
_REASON_BYTES = 4096
# How long a client may take to show its token, and a plugin to let it look.
_TOKEN_S = 5.0
_ATTACH_S = 10.0
# Connections without descriptors yet, and descriptors' holders: more are turned away.
_WAITING = 256
_SPLICES = 1024
_log = logging.getLogger(__name__)


def io_path(control: str) -> str:
    """Where the host of a control socket exchanges tokens for descriptors."""
    return f"{control}.io"


def io_place(control: LocalSocket | socket.socket, path: str) -> LocalSocket | None:
    """The place beside a control socket, which is at `path`, with its mode and group.

    None beside an inherited socket that has no name in the file system.
    """
    if isinstance(control, LocalSocket):
        return replace(control, path=io_path(path))
    try:
        status = os.stat(path)
    except OSError:
        return None
    return LocalSocket(path=io_path(path), mode=status.st_mode & 0o777, group=status.st_gid)


class IoSocket:
    """Listens at `place` from `start` to `close`. With no place nobody gets a token.

    `note(text)` is told who gets no descriptors, or not all that goes into them.
    """

    def __init__(self, place: LocalSocket | None, note: Callable[[str], None]) -> None:
        self.path = "" if place is None else place.path
        self._place = place
        self._tickets: TicketTable[Grant] = TicketTable()
        self._socket: socket.socket | None = None
        self._entrance: Entrance | None = None
        self._watch: HangupWatch | None = None
        self._note = note
        self._admission = Admission(self.path, note)
        self._waiting: set[asyncio.Task[None]] = set()
        self._splices: set[asyncio.Task[None]] = set()

    @property
    def life_s(self) -> float:
        """How long a token is good for, in seconds."""
        return self._tickets.life_s

    def issue(self, grant: Grant) -> str:
        """The token for a grant. Raises CallFailed when there is nowhere to show it."""
        if self._socket is None:
            text = "this host hands out no descriptors: no socket could be made beside its control socket"
            raise CallFailed(text, name="host.no_descriptors")
        return self._tickets.issue(grant, asyncio.get_running_loop().time())

    async def start(self) -> None:
        """Listen, if there is a place. Raises SocketError; nothing is left then."""
        if self._place is None:
            return
        listening = await asyncio.to_thread(listen, self._place)
        try:
            self._watch = HangupWatch()
        except OSError as error:
            unlink_own(listening)
            listening.close()
            raise SocketError(f"{self.path}: {error.strerror}", path=self.path) from None
        self._socket = listening
        self._entrance = Entrance(self.path, rule_of(listening), _refusal, self._note)
        self._admission.open(self._socket, self._admit)

    async def close(self) -> None:
        """Take no more clients, and close the host's end of every descriptor."""
        if self._socket is None:
            return
        await asyncio.to_thread(unlink_own, self._socket)
        self._admission.close()
        self._socket.close()
        self._socket = None
        assert self._entrance is not None
        self._entrance.close()
        while tasks := self._waiting | self._splices:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        assert self._watch is not None
        self._watch.close()

    # One connection.

    def _admit(self, connection: socket.socket) -> None:
        assert self._entrance is not None
        peer = self._entrance.admit(connection)
        if peer is None:
            return
        if len(self._waiting) >= _WAITING or len(self._splices) >= _SPLICES:
            self._note(f"process {peer.pid} was turned away: too many wait or hold descriptors")
            connection.close()
            return
        task = asyncio.get_running_loop().create_task(
            self._serve(connection, peer), name=f"descriptors of process {peer.pid}"
        )
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        task.add_done_callback(self._splices.discard)
        # One that is cancelled before it has begun closes nothing.
        task.add_done_callback(lambda _: connection.close())

    async def _serve(self, connection: socket.socket, peer: Peer) -> None:
        with connection:
            splice = await self._deliver(connection, peer)
        if splice is not None:
            task = asyncio.current_task()
            assert task is not None
            self._waiting.discard(task)
            self._splices.add(task)
            await splice.run()

    async def _deliver(self, connection: socket.socket, peer: Peer) -> Splice | None:
        """Take the token and give descriptors for it; None when that was not to be."""
        try:
            splice = await self._redeem(await _read_token(connection), peer)
        except PluginHostError as error:
            self._note(f"process {peer.pid} (uid {peer.uid}) gets no descriptors: {error}")
            _refuse(connection, str(error))
            return None
        try:
            _hand_over(connection, splice)
        except OSError as error:
            _log.info("process %d went before it had its descriptors: %s", peer.pid, error)
            await splice.end()
            return None
        finally:
            splice.close_theirs()
        return splice

    async def _redeem(self, token: str, peer: Peer) -> Splice:
        grant = self._tickets.take(token, asyncio.get_running_loop().time())
        if grant is None:
            raise _no_token(f"no such token, or no longer: each is good once, for {self.life_s:.0f} s")
        if peer.uid not in (0, grant.uid):
            raise _no_token(f"this token is that of another user than {peer.uid}")
        assert self._watch is not None
        try:
            async with asyncio.timeout(_ATTACH_S):
                return await Splice.open(grant, self._watch, self._note)
        except TimeoutError:
            raise CallFailed("the plugin does not answer", name="command.timeout") from None


async def _read_token(connection: socket.socket) -> str:
    """What comes before the newline. Raises CallFailed for anything that cannot be a token."""
    loop, data = asyncio.get_running_loop(), b""
    try:
        async with asyncio.timeout(_TOKEN_S):
            while not data.endswith(b"\n"):
                more = await loop.sock_recv(connection, _TOKEN_BYTES + 1)
                data += more
                if not more or len(data) > _TOKEN_BYTES or b"\n" in data[:-1]:
                    raise _no_token(f"expected a token and a newline, not {len(data)} other bytes")
    except TimeoutError:
        raise _no_token(f"no token came within {_TOKEN_S:.0f} s") from None
    except OSError as error:
        raise _no_token(f"the connection broke: {error.strerror}") from None
    return data[:-1].decode("latin-1")


def _no_token(text: str) -> CallFailed:
    return CallFailed(text, name="host.no_token")


def _hand_over(connection: socket.socket, splice: Splice) -> None:
    """All descriptors in one message. Raises OSError when they did not go."""
    fds = [sock.fileno() for sock in splice.theirs]
    # Nothing was written before, so it goes at once and whole, or never.
    socket.send_fds(connection, [b"F" * len(fds)], fds)


def _refuse(connection: socket.socket, text: str) -> None:
    try:
        connection.send(_refusal(text))
    except OSError:
        pass  # gone, or no reader: the log has it


def _refusal(text: str) -> bytes:
    return b"E" + text.encode("utf-8", "replace")[:_REASON_BYTES]
