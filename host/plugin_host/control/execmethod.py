"""What clients ask of sessions: `exec.*`, as of a plugin but for the plugin's name beside every session.

Beyond a plugin's requests there are `exec.join` (an input of the client's own for any session),
`host.sessions`, `host.attach` (become the owner of a session whose owner has gone), `host.keep` and
`host.release` (the owner ends it). Invariant: who may not use a session learns nothing but that.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from plugin_host.admittance import not_found
from plugin_host.errors import CallFailed, SessionNotFound
from plugin_host_sdk.types.session import AttachOptions, SessionOptions, StreamId

from .seat import Seat

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from plugin_host.exec.session import Session
    from plugin_host.host import PluginHost

    from .ask import Ask, Client, Method
    from .claim import ClaimTable
    from .directory import Directory

    Finish = Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, Any]]

__all__ = ["ExecMethods"]


class _Plugin(Struct, kw_only=True):
    plugin: str | None = None


class _Session(_Plugin, kw_only=True):
    session: str


class _Create(SessionOptions, frozen=True, kw_only=True):
    plugin: str
    stdin: StreamId | None = None
    keep: bool | None = None
    fail_fast: bool = False


class _Attach(AttachOptions, frozen=True, kw_only=True):
    session: str
    plugin: str | None = None


class _Join(_Session, kw_only=True):
    stdin: StreamId


class _Detach(_Session, kw_only=True):
    viewer: int


class _Resize(_Session, kw_only=True):
    rows: int
    cols: int


class _Signal(_Session, kw_only=True):
    signal: str


class _CloseStdin(_Session, kw_only=True):
    total: int


class _Close(_Session, kw_only=True):
    missing_ok: bool = False
    stdin: int | None = None


class _Claim(_Session, kw_only=True):
    token: str | None = None


class _Keep(_Session, kw_only=True):
    keep: bool = True


class ExecMethods:
    """The methods about sessions. `finish` does what must be done to its end, whoever leaves."""

    def __init__(self, host: PluginHost, directory: Directory, claims: ClaimTable, finish: Finish) -> None:
        self._host = host
        self._directory = directory
        self._claims = claims
        self._finish = finish

    def table(self) -> dict[str, Method]:
        """The methods by name."""
        names = ("handlers", "create", "get", "list", "attach", "join", "detach", "resize", "signal")
        return {
            **{f"exec.{name}": getattr(self, name) for name in (*names, "close_stdin", "close")},
            "host.sessions": self.sessions,
            "host.attach": self.claim,
            "host.keep": self.keep,
            "host.release": self.release,
        }

    # Opening.

    async def handlers(self, ask: Ask) -> Any:
        plugin = ask.read(_Plugin).plugin or ""
        return {"handlers": msgspec.to_builtins(await self._host.exec_handlers(plugin))}

    async def create(self, ask: Ask) -> Any:
        asked, client = ask.read(_Create), ask.client
        session = await self._host.exec(
            asked.plugin,
            asked.command or None,
            resource=asked.handler,
            tty=asked.tty,
            rows=asked.rows,
            cols=asked.cols,
            id=asked.id,
            cwd=asked.cwd,
            env=asked.env,
            labels=asked.labels,
            params=asked.params,
            resource_data=asked.resource_data,
            replay_bytes=asked.replay_bytes,
            detached=asked.detached,
            fail_fast=asked.fail_fast,
        )
        return self.opened(client, session, stdin=asked.stdin, keep=asked.keep)

    def opened(
        self, client: Client, session: Session, *, stdin: int | None, keep: bool | None
    ) -> dict[str, Any]:
        """A client has opened a session, which types on stream `stdin`; what it is answered.

        Nothing is awaited: a client that leaves now has its session dealt with.
        """
        key = session.plugin, session.id
        self._directory.add(session)
        keep = client.keep if keep is None else keep
        self._claims.make(key, client.number, client.token, keep=keep)
        if (before := client.seats.get(key)) is not None:
            before.leave()
        seat = client.seats[key] = Seat(session, client.link.streams)
        window = 0 if stdin is None else seat.open_input(stdin)
        return {"session": msgspec.to_builtins(session.info), "stdin_window": window}

    # Using one.

    async def _session(self, ask: Ask, asked: Any) -> Session:
        """The session, if the client may use it. Raises SessionNotFound, CallFailed."""
        may_use = self._claims.user(ask.client.number, ask.client.token)
        session = await self._directory.find(asked.session, asked.plugin, may_use)
        if not may_use((session.plugin, session.id)):
            text = f"session {asked.session} is another client's: only its owner may use it here"
            raise CallFailed(text, name="host.permission_denied")
        return session

    async def _seat(self, ask: Ask, asked: Any) -> Seat:
        session = await self._session(ask, asked)
        key = session.plugin, session.id
        seat = ask.client.seats.get(key)
        if seat is None or seat.session is not session:
            if seat is not None:
                seat.leave()
            seat = ask.client.seats[key] = Seat(session, ask.client.link.streams)
        return seat

    async def get(self, ask: Ask) -> Any:
        session = await self._session(ask, ask.read(_Session))
        return msgspec.to_builtins(await self._gone_is_forgotten(session, session.get()))

    async def list(self, ask: Ask) -> Any:
        return {"sessions": [msgspec.to_builtins(one.info) for one in await self._asked_for(ask)]}

    async def attach(self, ask: Ask) -> Any:
        asked = ask.read(_Attach)
        seat = await self._seat(ask, asked)
        return await self._gone_is_forgotten(seat.session, seat.attach(asked))

    async def join(self, ask: Ask) -> Any:
        asked = ask.read(_Join)
        return {"window": (await self._seat(ask, asked)).open_input(asked.stdin)}

    async def detach(self, ask: Ask) -> Any:
        asked = ask.read(_Detach)
        await (await self._seat(ask, asked)).detach(asked.viewer)
        return {}

    async def resize(self, ask: Ask) -> Any:
        asked = ask.read(_Resize)
        seat = await self._seat(ask, asked)
        await self._gone_is_forgotten(seat.session, seat.resize(asked.rows, asked.cols))
        return {}

    async def signal(self, ask: Ask) -> Any:
        asked = ask.read(_Signal)
        session = await self._session(ask, asked)
        await self._gone_is_forgotten(session, session.signal(asked.signal))
        return {}

    async def close_stdin(self, ask: Ask) -> Any:
        asked = ask.read(_CloseStdin)
        seat = await self._seat(ask, asked)
        await self._gone_is_forgotten(seat.session, seat.close_stdin(asked.total))
        return {}

    async def close(self, ask: Ask) -> Any:
        asked = ask.read(_Close)
        try:
            session = await self._session(ask, asked)
        except SessionNotFound:
            if asked.missing_ok:
                return {}
            raise
        seat = ask.client.seats.get((session.plugin, session.id))
        if asked.stdin is not None and (seat is None or not seat.has_input(asked.stdin)):
            return {}  # what this client wanted to open was never opened; this is another's
        await self._end(session)
        return {}

    async def _end(self, session: Session) -> None:
        await self._finish(self._gone_is_forgotten(session, session.close()))
        self._directory.forget_session(session)

    async def _gone_is_forgotten(self, session: Session, work: Any) -> Any:
        try:
            return await work
        except SessionNotFound:
            self._directory.forget_session(session)
            raise

    # Owning one.

    async def sessions(self, ask: Ask) -> Any:
        return {"sessions": [self._described(ask.client, one) for one in await self._asked_for(ask)]}

    async def _asked_for(self, ask: Ask) -> builtins.list[Session]:
        """What the client may use, of one plugin or of all. Raises PluginNotFound."""
        plugin, client, may = ask.read(_Plugin).plugin, ask.client, self._claims.may_use
        if plugin is not None and plugin not in self._host.plugins:
            raise not_found(plugin, self._host.plugins)
        found = [one for one in await self._directory.all() if plugin in (None, one.plugin)]
        return [one for one in found if may((one.plugin, one.id), client.number, client.token)]

    def _described(self, client: Client, session: Session) -> dict[str, Any]:
        claim = self._claims.get((session.plugin, session.id))
        return {
            "plugin": session.plugin,
            "session": msgspec.to_builtins(session.info),
            "owner": None if claim is None else claim.owner,
            "mine": claim is not None and claim.owner == client.number,
            "keep": claim is None or claim.keep,
        }

    async def claim(self, ask: Ask) -> Any:
        asked, client = ask.read(_Claim), ask.client
        token = asked.token or client.token
        may_use = self._claims.user(client.number, token)
        session = await self._directory.find(asked.session, asked.plugin, may_use)
        key = session.plugin, session.id
        is_owner = self._claims.owns(key, client.number) or self._claims.reclaim(key, client.number, token)
        if not is_owner and not may_use(key):
            raise CallFailed(
                f"session {asked.session} is another client's, or the token is not its own",
                name="host.permission_denied",
            )
        if session.exit is not None and session.info.exit is None:
            # As it is now: how it ended is told once, and not to clients that come later.
            session.info = await self._gone_is_forgotten(session, session.get())
        return self._described(client, session) | {"owner": client.number if is_owner else None}

    async def keep(self, ask: Ask) -> Any:
        asked = ask.read(_Keep)
        session = await self._owned(ask, asked)
        self._claims.keep((session.plugin, session.id), keep=asked.keep)
        return {}

    async def release(self, ask: Ask) -> Any:
        await self._end(await self._owned(ask, ask.read(_Session)))
        return {}

    async def _owned(self, ask: Ask, asked: Any) -> Session:
        may_use = self._claims.user(ask.client.number, ask.client.token)
        session = await self._directory.find(asked.session, asked.plugin, may_use)
        if not self._claims.owns((session.plugin, session.id), ask.client.number):
            text = f"session {asked.session} is not this client's: only its owner may do that"
            raise CallFailed(text, name="host.permission_denied")
        return session
