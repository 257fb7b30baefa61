"""Taking connections from a listening socket, as they come and no faster than they can be served.

Owns neither the socket nor the connections. Invariant: running out of descriptors makes it pause, not fail
and not spin, and is said once, not with every try.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

__all__ = ["Admission"]

_AT_ONCE = 32
_PAUSE_S = 0.1


class Admission:
    """`admit(connection)` gets each connection, non-blocking, and owns it then.

    `place` is where they come to, and `note(text)` is told when they have to wait there.
    """

    def __init__(self, place: str, note: Callable[[str], None]) -> None:
        self._place = place
        self._note = note
        self._listening: socket.socket | None = None
        self._admit: Callable[[socket.socket], None] | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._is_short = False  # said once, until a connection could be taken again

    def open(self, listening: socket.socket, admit: Callable[[socket.socket], None]) -> None:
        """Begin."""
        self._listening, self._admit = listening, admit
        asyncio.get_running_loop().add_reader(listening, self._accept)

    def close(self) -> None:
        """Take no more."""
        if self._pause is not None:
            self._pause.cancel()
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening = None

    def _accept(self) -> None:
        listening, admit = self._listening, self._admit
        assert listening is not None
        assert admit is not None
        for _ in range(_AT_ONCE):
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptors, or no memory
                if not self._is_short:
                    self._note(f"{self._place}: connections wait: {error.strerror}")
                self._is_short = True
                self._rest()
                return
            self._is_short = False
            connection.setblocking(False)
            admit(connection)

    def _rest(self) -> None:
        assert self._listening is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listening)
        self._pause = loop.call_later(_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        if self._listening is not None:
            asyncio.get_running_loop().add_reader(self._listening, self._accept)
