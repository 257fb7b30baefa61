"""One request of a client: its parameters as a type, the time it has left, and whom to tell of progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from plugin_host.errors import CallFailed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from plugin_host.peer import Peer, RemotePeer

    from .claim import Key
    from .peerlink import PeerLink
    from .seat import Seat

__all__ = ["Ask", "Client", "Method"]

_T = TypeVar("_T")


class Client(Protocol):
    """Who asks, as methods need to know it; `keep` is what becomes of its sessions unless they say."""

    number: int
    token: str
    peer: Peer | RemotePeer
    keep: bool
    link: PeerLink
    seats: dict[Key, Seat]

    def feed(self, task: asyncio.Task[None]) -> None:
        """Something goes on for this client until it leaves."""


@dataclass(frozen=True, slots=True)
class Ask:
    """`timeout` is in seconds, None without a deadline."""

    client: Client
    msgid: int
    method: str
    params: dict[str, Any]
    timeout: float | None = None

    def read(self, kind: type[_T]) -> _T:
        """The parameters. Raises CallFailed, which says where they are wrong."""
        try:
            return msgspec.convert(self.params, kind)
        except msgspec.ValidationError as error:
            raise CallFailed(f"{self.method}: {error}", name="rpc.invalid_params") from None

    def progress(self, done: float, total: float | None, message: str) -> None:
        """Tell the client how far it is."""
        self.client.link.progress(self.msgid, done, total, message)


if TYPE_CHECKING:
    Method = Callable[[Ask], Awaitable[Any]]
else:
    Method = object
