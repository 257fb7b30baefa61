"""The way in through a local socket: who is not admitted is told why, logged and shown out.

Invariant: at most a few of those linger, each for a moment, so that what they send meanwhile does not cost
them the answer; after `close` none is left.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import SocketError
from .peerrule import admitted

if TYPE_CHECKING:
    from .peer import Peer
    from .peerrule import PeerRule

__all__ = ["Entrance"]

_LINGER_S = 1.0
_LINGERING = 32
_log = logging.getLogger("plugin_host")


class Entrance:
    """Of the socket at `path`. `refusal(text)` is what who is refused is sent, `note(text)` is the log.

    To be used on the loop's thread.
    """

    def __init__(
        self,
        path: str,
        rule: PeerRule,
        refusal: Callable[[str], bytes],
        note: Callable[[str], None] = _log.warning,
    ) -> None:
        self._path = path
        self._rule = rule
        self._refusal = refusal
        self._note = note
        self._lingering: dict[socket.socket, asyncio.TimerHandle] = {}

    def admit(self, connection: socket.socket) -> Peer | None:
        """Who has connected; None when they are not to be served, and `connection` is taken care of."""
        try:
            return admitted(connection, self._rule)
        except SocketError as error:
            self._note(f"{self._path}: {error}")
            self._show_out(connection, str(error))
            return None

    def close(self) -> None:
        """Close what lingers."""
        for timer in self._lingering.values():
            timer.cancel()
        for connection in self._lingering:
            connection.close()
        self._lingering.clear()

    def _show_out(self, connection: socket.socket, text: str) -> None:
        try:
            connection.setblocking(False)
            connection.send(self._refusal(text))
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # gone already
            connection.close()
            return
        if len(self._lingering) >= _LINGERING:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        self._lingering[connection] = loop.call_later(_LINGER_S, self._end, connection)

    def _end(self, connection: socket.socket) -> None:
        del self._lingering[connection]
        connection.close()
