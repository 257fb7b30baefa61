"""Streams of bytes that clients asked for and named: each is written by a task of its own, under credit.

Invariant: a client that does not read holds up what it asked for and nothing else; when it gives the stream
up, or goes, whatever writes it ends. A stream that could not be finished ends with the reason.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from plugin_host.errors import CallFailed, LocalProtocolError, PluginHostError
from plugin_host.outbound import Outbound

from .errormap import to_map

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from plugin_host.stream import Streams

    from .ask import Ask

    Write = Callable[[Outbound], Awaitable[None]]

__all__ = ["Deliveries", "Named"]

# Of one client at once, of each kind.
_MOST = 64


class Named(Struct, kw_only=True):
    """The stream that a client wants something on, and what it takes for now."""

    stream: Annotated[int, Meta(ge=0, lt=2**32)]
    window: Annotated[int, Meta(ge=1, lt=2**31)]


class _Out(Outbound):
    """`on_stop` is called when the client gives the stream up."""

    def __init__(self, streams: Streams, number: int) -> None:
        super().__init__(streams, number)
        self.on_stop: Callable[[], object] = lambda: None

    def stopped(self) -> None:
        super().stopped()
        self.on_stop()


class Deliveries:
    """What is being delivered, of one kind."""

    def __init__(self) -> None:
        self._running: Counter[int] = Counter()

    def check(self, ask: Ask) -> None:
        """Raise CallFailed when this client has as many as it may."""
        if self._running[ask.client.number] >= _MOST:
            raise CallFailed(f"this client has {_MOST} such streams already", name="rpc.busy")

    def begin(
        self, ask: Ask, named: Named, write: Write, close: Callable[[], object] = lambda: None
    ) -> None:
        """Let `write` fill the stream, which ends when it returns; then `close`, also of one not begun.

        Raises CallFailed for a stream that there is already, and as `check`.
        """
        client = ask.client
        out = _Out(client.link.streams, named.stream)
        try:
            self.check(ask)
            _open(out, named.window)
        except BaseException:
            close()
            raise
        number = client.number
        task = asyncio.get_running_loop().create_task(
            _deliver(out, write), name=f"{ask.method} for client {number}"
        )
        out.on_stop = task.cancel
        self._running[number] += 1

        def over(_: object) -> None:
            out.refuse("it has ended")  # also of a task that never began
            close()
            self._running[number] -= 1
            if not self._running[number]:
                del self._running[number]

        task.add_done_callback(over)
        client.feed(task)


def _open(out: Outbound, window: int) -> None:
    try:
        out.open(window)
    except LocalProtocolError as error:
        raise CallFailed(str(error), name="rpc.invalid_params") from None


async def _deliver(out: Outbound, write: Write) -> None:
    try:
        await write(out)
    except BrokenPipeError:
        pass  # the client wants no more
    except PluginHostError as error:
        out.refuse("it could not be finished", to_map(error))
