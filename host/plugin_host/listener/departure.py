"""Tells when the other end of a local socket has gone, though nobody reads from it.

An end of input is no sign: a client that has sent everything may shut down its writing and wait. Where
there is no epoll nothing is ever told, and who waits finds out when writing.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

__all__ = ["departure"]


@contextlib.contextmanager
def departure(connection: socket.socket) -> Iterator[asyncio.Future[None]]:
    """A future for the body that is done once the other end is closed for both directions."""
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()
    if not hasattr(select, "epoll"):
        yield gone
        return
    with select.epoll() as watch:
        watch.register(connection.fileno(), 0)  # a hang-up is told unasked

        def tell() -> None:
            loop.remove_reader(watch.fileno())
            if not gone.done():
                gone.set_result(None)

        loop.add_reader(watch.fileno(), tell)
        try:
            yield gone
        finally:
            loop.remove_reader(watch.fileno())
            gone.cancel()
