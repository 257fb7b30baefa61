"""Bringing a sealed connection to where both sides have proved the key, over any bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from .connection import State
from .derivation import derive_beside
from .event import Confirmed, Failed, KeyNeeded

if TYPE_CHECKING:
    from .connection import SealedConnection
    from .event import Event

__all__ = ["agree"]


async def agree(
    connection: SealedConnection,
    secret: bytes,
    receive: Callable[[], Awaitable[bytes]],
    send: Callable[[bytes], Awaitable[None]],
) -> list[Event]:
    """Shake hands; what came behind the handshake already is returned.

    `receive` gives b"" at the end of the bytes. Knows no deadline: the caller's is to be around it. Raises
    SealError, and what the two functions raise.
    """
    await send(connection.data_to_send())
    while connection.state in (State.HELLO, State.KEY, State.PROOF):
        events = connection.receive_data(await receive())
        if events and isinstance(needed := events[-1], KeyNeeded):
            await send(connection.data_to_send())
            events = connection.keyed(await derive_beside(secret, needed.salt))
        if reply := connection.data_to_send():
            await send(reply)
        if events and isinstance(events[0], Confirmed):
            return events[1:]
        if events and isinstance(failed := events[-1], Failed):
            raise failed.error
    raise AssertionError(connection)
