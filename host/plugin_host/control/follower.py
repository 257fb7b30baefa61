"""What a client follows: the lines of one stream of the host, as values.

Invariant: the host is given credit only for lines that were read, so one that is read slowly costs no
memory here; after `close`, or the end of the connection, nothing comes any more.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from plugin_host.notation import from_json

from .errormap import from_map
from .inbound import Inbound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from plugin_host.errors import PluginHostError
    from plugin_host.stream import Streams

__all__ = ["WINDOW_BYTES", "Follower"]

WINDOW_BYTES = 64 << 10

_T = TypeVar("_T")


class Follower(Generic[_T]):
    """An async iterator and context manager; made by `ControlClient.logs` and `.events`.

    Ends when the host has no more to tell, which for one that follows is when it stops. Raises HostLost
    when the connection has ended.
    """

    def __init__(
        self, streams: Streams, read: Callable[[Any], _T], forget: Callable[[Follower[_T]], None]
    ) -> None:
        self._inbound = Inbound(streams)
        self._inbound.number = streams.open_receive(WINDOW_BYTES, self._inbound)
        self._pieces = aiter(self._inbound)
        self._read = read
        self._forget = forget
        self._rest = b""
        self._lines: deque[bytes] = deque()
        self._error: PluginHostError | None = None

    @property
    def stream(self) -> int:
        """The number of its stream, to be named to the host."""
        return self._inbound.number

    def __aiter__(self) -> AsyncIterator[_T]:
        return self

    async def __anext__(self) -> _T:
        while not self._lines:
            try:
                piece = await anext(self._pieces)
            except StopAsyncIteration:
                if self._error is not None:
                    raise self._error from None
                if self._inbound.error is not None:
                    raise from_map(self._inbound.error) from None
                raise
            *lines, self._rest = (self._rest + piece).split(b"\n")
            self._lines.extend(lines)
        return self._read(from_json(self._lines.popleft().decode()))

    def fail(self, error: PluginHostError) -> None:
        """The connection is over."""
        self._error = error
        self._inbound.ended(self.stream, 0, None)

    async def close(self) -> None:
        """Let the host stop telling. A second time does nothing."""
        self._inbound.stop()
        self._lines.clear()
        self._forget(self)

    async def __aenter__(self) -> Follower[_T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
