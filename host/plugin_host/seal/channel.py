"""A sealed connection over a socket as one more channel for a link.

A link waits on descriptors, and here bytes can be there, opened, while the socket has none. So `read_fd` is
a set of two: the socket, and an event that is on while opened bytes or the end wait. What was sealed and
did not fit into the socket is written by the loop, from a descriptor of its own.

Invariants: a record that was begun is written to its end before the next; at most one write waits.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from collections import deque
from typing import TYPE_CHECKING

from plugin_host.channel import unread
from plugin_host_sdk.errors import LocalProtocolError

from .connection import State
from .event import Ended, Event, Failed, MessageReceived

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from plugin_host.errors import SealError

    from .connection import SealedConnection

__all__ = ["RECORD_BYTES", "SealedChannel"]

RECORD_BYTES = 64 * 1024
_RECORDS_AT_ONCE = 4
_READ_BYTES = 64 * 1024


class SealedChannel:
    """The channel over `sock`, which it owns from now on; `early` came behind the handshake already."""

    def __init__(self, sock: socket.socket, connection: SealedConnection, early: list[Event]) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._raw = memoryview(bytearray(_READ_BYTES))
        self._opened: deque[memoryview] = deque()
        self._failure: SealError | None = None
        self._is_over = False
        self._backlog = memoryview(b"")
        self._flush_fd = -1
        self._is_shut = False
        self._event = os.eventfd(0)
        self._is_on = False
        self._set = select.epoll()
        self._set.register(sock, select.EPOLLIN)
        self._set.register(self._event, select.EPOLLIN)
        self.read_fd = self._set.fileno()
        self.write_fd = sock.fileno()
        self._take(early)
        self._announce()

    def __repr__(self) -> str:
        return f"<sealed channel fd={self.write_fd} {self._connection!r}>"

    # Reading.

    def recv_into(self, buffer: WriteableBuffer, /) -> int:
        """See `Channel`. Raises SealError for what the peer, or somebody between, did wrong."""
        if not self._opened and not self._is_over:
            self._pull()
        size = self._deliver(memoryview(buffer))
        self._announce()
        if size:
            return size
        if self._failure is not None:
            raise self._failure
        if self._is_over:
            return 0
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def _pull(self) -> None:
        try:
            size = self._socket.recv_into(self._raw)
        except ConnectionResetError:
            size = 0
        self._take(self._connection.receive_data(self._raw[:size]))

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, MessageReceived):
                if event.data:
                    self._opened.append(memoryview(event.data))
            elif isinstance(event, (Ended, Failed)):
                self._is_over = True
                self._failure = event.error if isinstance(event, Failed) else None

    def _deliver(self, room: memoryview) -> int:
        done = 0
        while self._opened and done < len(room):
            piece = self._opened.popleft()
            size = min(len(piece), len(room) - done)
            room[done : done + size] = piece[:size]
            done += size
            if size < len(piece):
                self._opened.appendleft(piece[size:])
        return done

    def _announce(self) -> None:
        """Make `read_fd` readable while something waits that is not in the socket."""
        is_on = bool(self._opened) or self._is_over
        if is_on is not self._is_on:
            self._is_on = is_on
            if is_on:
                os.eventfd_write(self._event, 1)
            else:
                os.eventfd_read(self._event)

    # Writing.

    def send(self, data: ReadableBuffer, /) -> int:
        """See `Channel`."""
        if self._backlog and not self._flush():
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        if self._connection.has_ended or self._connection.state is State.FAILED:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        view = memoryview(data)[: RECORD_BYTES * _RECORDS_AT_ONCE]
        seal = self._connection.send_message
        starts = range(0, len(view), RECORD_BYTES)
        try:
            sealed = b"".join(seal(view[start : start + RECORD_BYTES]) for start in starts)
        except LocalProtocolError:  # the key has sealed as much as it may
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
        self._put(sealed)
        return len(view)

    def untaken(self) -> int:
        """See `Channel`."""
        return len(self._backlog) + unread(self.write_fd)

    def _put(self, sealed: bytes) -> None:
        """Write; what does not fit is written later. May raise OSError."""
        self._backlog = memoryview(sealed)
        if not self._flush():
            self._flush_fd = os.dup(self.write_fd)
            self._loop.add_writer(self._flush_fd, self._flush_on)

    def _flush(self) -> bool:
        """Write what waits; whether all of it is written. May raise OSError, and then nothing waits."""
        try:
            sent = self._socket.send(self._backlog)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            self._drop_backlog()
            raise
        self._backlog = self._backlog[sent:]
        if self._backlog:
            return False
        self._drop_backlog()
        if self._is_shut:
            self._shut()
        return True

    def _flush_on(self) -> None:
        try:
            self._flush()
        except OSError:
            pass  # the next to send, or to read, is told

    def _drop_backlog(self) -> None:
        self._backlog = memoryview(b"")
        if self._flush_fd >= 0:
            fd, self._flush_fd = self._flush_fd, -1
            self._loop.remove_writer(fd)
            os.close(fd)

    # Ending.

    def close_write(self) -> None:
        """See `Channel`: the peer is told that nothing more comes."""
        if self._is_shut or self.write_fd < 0:
            return
        self._is_shut = True
        try:
            ended = self._connection.send_end()
            if self._backlog:
                self._backlog = memoryview(bytes(self._backlog) + ended)
            else:
                self._put(ended)
        except (LocalProtocolError, OSError):
            self._shut()

    def _shut(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the peer is gone

    def close(self) -> None:
        """See `Channel`. A peer that has not read what waits for it will find the end missing."""
        if self.write_fd < 0:
            return
        self.close_write()
        self._drop_backlog()
        self.read_fd = self.write_fd = -1
        self._set.close()
        os.close(self._event)
        self._socket.close()
