"""What clients ask for raw descriptors: `host.open_io`, which answers with a token for the io socket.

Everything that can be refused is refused before there is a token; descriptors are made when it is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from plugin_host.errors import CallFailed, SessionNotFound
from plugin_host.peer import RemotePeer
from plugin_host_sdk.types.session import Offset

from .grant import Grant, check_streams

if TYPE_CHECKING:
    from plugin_host.exec.session import Session

    from .ask import Ask, Method
    from .claim import ClaimTable
    from .directory import Directory
    from .iosocket import IoSocket

__all__ = ["IoMethods"]


class _OpenIo(Struct, kw_only=True):
    session: str
    plugin: str | None = None
    streams: list[str]
    lossless: bool | None = None
    offset: Offset | dict[str, Offset | None] | None = None
    close_stdin: bool | None = None


class IoMethods:
    """The methods about descriptors."""

    def __init__(self, directory: Directory, claims: ClaimTable, sockets: IoSocket) -> None:
        self._directory = directory
        self._claims = claims
        self._sockets = sockets

    def table(self) -> dict[str, Method]:
        """The methods by name."""
        return {"host.open_io": self.open_io}

    async def open_io(self, ask: Ask) -> Any:
        asked, client = ask.read(_OpenIo), ask.client
        peer = client.peer
        if isinstance(peer, RemotePeer):
            text = "descriptors are for programs on the host's own machine, not for clients over TCP"
            raise CallFailed(text, name="host.permission_denied")
        may_use = self._claims.user(client.number, client.token)
        session = await self._directory.find(asked.session, asked.plugin, may_use)
        if not may_use((session.plugin, session.id)):
            text = f"session {asked.session} is another client's: only its owner may use it here"
            raise CallFailed(text, name="host.permission_denied")
        await self._check_kept(session)
        check_streams(asked.streams, session)
        grant = Grant(
            session=session,
            streams=tuple(asked.streams),
            uid=peer.uid,
            lossless=asked.lossless,
            offset=asked.offset,
            ends_input=not session.tty if asked.close_stdin is None else asked.close_stdin,
        )
        token = self._sockets.issue(grant)
        return {"token": token, "expires_s": self._sockets.life_s, "socket": self._sockets.path}

    async def _check_kept(self, session: Session) -> None:
        """Raise SessionNotFound for one that is not there any more, and why its plugin is not."""
        try:
            await session.check_kept()
        except SessionNotFound:
            self._directory.forget_session(session)
            raise
