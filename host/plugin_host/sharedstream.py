"""The streams of a link that several threads use: the same, one thread at a time.

Listeners are told on the loop's thread and come back from there; what they share with other threads is
the connection and the writer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .exclusion import exclusive
from .stream import Streams

if TYPE_CHECKING:
    from threading import RLock

    from plugin_host_sdk.connection import Connection

    from .writer import Writer

__all__ = ["SharedStreams"]


class SharedStreams(Streams):
    """See `Streams`."""

    def __init__(self, connection: Connection, writer: Writer, mutex: RLock) -> None:
        super().__init__(connection, writer)
        self.mutex = mutex

    open_receive = exclusive(Streams.open_receive)
    accept = exclusive(Streams.accept)
    consume = exclusive(Streams.consume)
    stop = exclusive(Streams.stop)
    forget = exclusive(Streams.forget)
    reserve = exclusive(Streams.reserve)
    open_send = exclusive(Streams.open_send)
    credit = exclusive(Streams.credit)
    send = exclusive(Streams.send)
    skip = exclusive(Streams.skip)
    end = exclusive(Streams.end)
    sent = exclusive(Streams.sent)
    room = exclusive(Streams.room)
