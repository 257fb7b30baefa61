"""What a client writes into its descriptor, on its way to the input of a session.

Invariant: no more is read than the session takes, and the client's descriptor is broken, not silent, when
the session takes no more.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from plugin_host.errors import PluginHostError

if TYPE_CHECKING:
    from plugin_host.exec.session import Session

__all__ = ["Feed"]

_READ_BYTES = 64 * 1024
_log = logging.getLogger(__name__)


class Feed:
    """Reads `sock`, which it owns, until its end or the session's; `ends_input` passes that end on."""

    def __init__(self, sock: socket.socket, session: Session, *, ends_input: bool) -> None:
        self._sock = sock
        self._session = session
        self._ends_input = ends_input

    async def run(self) -> None:
        """Returns when nothing more is read."""
        view = memoryview(bytearray(_READ_BYTES))  # one for all reads: new memory costs more than they do
        try:
            while size := await self._read(view):
                await self._session.write(view[:size])
            if self._ends_input:
                await self._session.close_stdin()
        except PluginHostError as error:
            _log.debug("session %s takes no more from a descriptor: %s", self._session.id, error)
        finally:
            self.close()

    async def _read(self, view: memoryview) -> int:
        try:
            return await asyncio.get_running_loop().sock_recv_into(self._sock, view)
        except OSError:
            return 0  # the client closed its end with output unread

    def close(self) -> None:
        """Who still writes is told that nobody reads."""
        try:
            self._sock.shutdown(socket.SHUT_RD)
        except OSError:
            pass  # closed, on either side
        self._sock.close()
