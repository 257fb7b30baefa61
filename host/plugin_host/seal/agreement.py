"""Bringing a sealed connection to where both sides have proved the key, over any bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from .connection import State
from .derivation import derive_beside
from .event import Confirmed, Failed, KeyNeeded

if TYPE_CHECKING:
    from .connection import SealedConnection
    from .event import Event

__all__ = ["Agreement", "agree"]


class Agreement(NamedTuple):
    """`secret` is the key that both sides have; `early` came behind the handshake already."""

    secret: bytes
    early: list[Event]


async def agree(
    connection: SealedConnection,
    secrets: Callable[[], Awaitable[Sequence[bytes]]],
    receive: Callable[[], Awaitable[bytes]],
    send: Callable[[bytes], Awaitable[None]],
) -> Agreement:
    """Shake hands, with each of the `secrets` in turn until one is the peer's.

    They are asked for once, when the peer has said hello; for a client there is one. `receive` gives b"" at
    the end of the bytes. Knows no deadline: the caller's is to be around it. Raises SealError, and what the
    functions raise.
    """
    await send(connection.data_to_send())
    left: list[bytes] | None = None
    secret = b""
    while connection.state in (State.HELLO, State.KEY, State.PROOF):
        events = connection.receive_data(await receive())
        while events and isinstance(needed := events[-1], KeyNeeded):
            if left is None:  # before the answer to the hello, so that a refusal can stand in its place
                left = list(await secrets())
            await send(connection.data_to_send())
            secret = left.pop(0)
            events = connection.keyed(await derive_beside(secret, needed.salt), is_last=not left)
        if reply := connection.data_to_send():
            await send(reply)
        if events and isinstance(events[0], Confirmed):
            return Agreement(secret, events[1:])
        if events and isinstance(failed := events[-1], Failed):
            raise failed.error
    raise AssertionError(connection)
