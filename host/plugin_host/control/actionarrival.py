"""The data of an action on its way from a client to the plugin.

Invariant: the client is given credit only for what the plugin took, and data whose client has gone ends
with an error, never as if it were whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from plugin_host.errors import ActionFailed, CallFailed, LocalProtocolError
from plugin_host_sdk.protocol import WINDOW_BYTES

from .errormap import from_map
from .inbound import Inbound

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.stream import Streams

__all__ = ["ActionArrival"]


class ActionArrival:
    """Iterate over it once for the bytes of stream `number`. Raises CallFailed for one that was open."""

    def __init__(self, streams: Streams, number: int) -> None:
        self._streams = streams
        self._inbound = Inbound(streams)
        self._inbound.number = number
        self._tell: Callable[[], None] = lambda: None
        try:
            streams.accept(number, WINDOW_BYTES, self._inbound)
        except LocalProtocolError as error:
            raise CallFailed(str(error), name="rpc.invalid_params") from None

    def when_over(self, tell: Callable[[], None]) -> None:
        """Call `tell` when nobody reads it any more."""
        self._tell = tell

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._inbound:
                yield piece
            if self._inbound.error is not None:
                raise from_map(self._inbound.error)
        finally:
            self._inbound.stop()
            self._tell()

    def forget(self) -> None:
        """The request that named it has failed."""
        self._streams.forget(self._inbound.number)
        self._tell()

    def lose(self) -> None:
        """Its client has gone."""
        gone = ActionFailed("the client that sent the data has gone").to_map()
        self._inbound.ended(self._inbound.number, 0, gone)
