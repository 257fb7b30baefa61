"""The exec sessions of one running plugin, over its link.

The host's end of `Provider`: every method asks the plugin and gives its answer as the types of the wire.
Knows the sessions that embedders hold, so that exits and the plugin's death reach them. A call that is
cancelled leaves nothing behind: what it named is closed.
"""

from __future__ import annotations

import asyncio
import builtins
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar
from weakref import WeakValueDictionary

import msgspec

from plugin_host.errors import (
    CallError,
    CallFailed,
    PluginHostError,
    SessionClosed,
    SessionExists,
)
from plugin_host.inquiry import ask
from plugin_host.trace import current_trace
from plugin_host.weight import weigh
from plugin_host_sdk.types.session import Attached, Created, Exit, HandlerInfo, SessionInfo, StreamTarget

from .announcement import Announcement
from .unread import Readable, Unread
from .viewer import Viewer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from plugin_host.event import HostEvent
    from plugin_host.link import Link
    from plugin_host.metric.meter import SessionMeter
    from plugin_host.stream import Streams
    from plugin_host_sdk.types.session import AttachOptions, SessionOptions

__all__ = ["ExecProxy", "Held"]

_T = TypeVar("_T")

_KEPT_EXITS = 1024
# How much a plugin may say of one exit; of more, these characters of the reason are kept.
_EXIT_BYTES = 64 * 1024
_REASON_CHARACTERS = 1000
_ID_CHARACTERS = 128
# In one list, and known at a time.
_MOST_SESSIONS = 16_384
# How long a new session waits for the end of one that was called off and has its id.
_CALLED_OFF_S = 5.0
# For how long a plugin keeps what has ended, when it does not say.
_KEPT_S = 60.0


class Held(Readable, Protocol):
    """A session that somebody holds, as its proxy needs it."""

    info: SessionInfo

    def note_exit(self, exit: Exit, totals: Mapping[str, int]) -> None:
        """It has ended."""

    def lose(self) -> None:
        """Its plugin is gone."""


class _Exited(msgspec.Struct):
    session: Annotated[str, msgspec.Meta(max_length=_ID_CHARACTERS)]
    exit: Exit
    totals: dict[str, int]
    created_at: float = (
        0.0  # of the session, as ids come again; 0 of a plugin, which tells of its own alone
    )

    kept_s: float = _KEPT_S

    def is_of(self, info: SessionInfo) -> bool:
        """Whether it is that session which has ended."""
        return self.created_at in (0.0, info.created_at)

    def shorten(self) -> None:
        """Keep what counts."""
        said = self.exit
        signal = said.signal and said.signal[:_ID_CHARACTERS]
        reason = f"{said.reason[:_REASON_CHARACTERS]} (its plugin says more of it than is kept)"
        self.exit = Exit(code=said.code, signal=signal, reason=reason, duration=said.duration)
        self.totals = {name: self.totals[name] for name in StreamTarget if name in self.totals}


class _Sessions(msgspec.Struct):
    sessions: list[SessionInfo]
    more: bool = False


class _Handlers(msgspec.Struct):
    handlers: list[HandlerInfo]


class ExecProxy:
    """The sessions of plugin `plugin`. Every method raises what `Provider` says, and PluginDied."""

    def __init__(
        self,
        plugin: str,
        link: Link,
        meter: SessionMeter,
        emit: Callable[[HostEvent], None] = lambda event: None,
    ) -> None:
        self.plugin = plugin
        self.meter = meter
        self.lists_oddly = False  # it has been told of
        self.announcement = Announcement(plugin, emit)
        self._link = link
        self._viewers = 0
        self._known: WeakValueDictionary[str, Held] = WeakValueDictionary()
        self._running: set[Held] = set()  # held until their exit, also when nobody else does
        self._unread = Unread()
        # By id, the end of what is being closed because nobody wants it.
        self._called_off: dict[str, asyncio.Future[Any]] = {}
        self._elders: builtins.list[ExecProxy] = []  # of the runs that this one has replaced
        # What was told of sessions that nobody held: a list that was made before may be on the way.
        self._exits: dict[str, _Exited] = {}
        self._make_error: Callable[[str], Exception] | None = None

    def __repr__(self) -> str:
        return f"<ExecProxy {self.plugin} running={len(self._running)}>"

    @property
    def streams(self) -> Streams:
        """The streams of the link."""
        return self._link.streams

    @property
    def passes_terminals(self) -> bool:
        """Whether the plugin can hand the descriptor of a terminal to this process."""
        return "exec.handover" in self._link.features

    @property
    def running(self) -> builtins.list[str]:
        """The ids of the sessions that have not ended, as far as anybody holds them."""
        return sorted(session.id for session in self._running)

    @property
    def has_readers(self) -> bool:
        """Whether output is still to be read: a viewer gets it, or is yet to come to what has ended."""
        return bool(self._unread) or any(isinstance(one, Viewer) for one in self.streams.receivers)

    @property
    def is_over(self) -> bool:
        """Whether the plugin is gone."""
        return self._make_error is not None

    def next_viewer(self) -> int:
        """A number for another viewer."""
        self._viewers += 1
        return self._viewers

    def check(self, session: str = "") -> None:
        """Raise why the plugin cannot be asked any more, if so."""
        if self._make_error is not None:
            raise self._make_error(session)

    # Provider.

    async def handlers(self) -> list[HandlerInfo]:
        return (await self._ask("exec.handlers", {}, _Handlers)).handlers

    async def create(self, options: SessionOptions, stdin: int | None = None) -> Created:
        return await self._create(options, stdin, {})

    async def create_by(
        self, method: str, options: SessionOptions, stdin: int, more: dict[str, Any]
    ) -> Created:
        """`create` by another request that makes a session, which takes `more` parameters."""
        return await self._create(options, stdin, more, method)

    async def _create(
        self,
        options: SessionOptions,
        stdin: int | None,
        more: dict[str, Any],
        method: str = "exec.create",
    ) -> Created:
        try:
            params = msgspec.to_builtins(options, builtin_types=(bytes, bytearray, memoryview))
        except TypeError as error:
            raise CallFailed(f"exec: {error}", name="rpc.not_encodable") from None
        try:
            trace = current_trace.get()
            meta = None if trace is None else trace.to_meta()
            return await self._ask(method, params | {"stdin": stdin} | more, Created, meta)
        except asyncio.CancelledError:
            self._call_off(options.id, stdin)
            raise

    async def get(self, session: str) -> SessionInfo:
        return await self._ask("exec.get", {"session": session}, SessionInfo)

    async def list(self) -> builtins.list[SessionInfo]:
        found: builtins.list[SessionInfo] = []
        while True:
            after = {"after": [found[-1].created_at, found[-1].id]} if found else {}
            part = await self._ask("exec.list", after, _Sessions)
            found += part.sessions
            if len(found) > _MOST_SESSIONS or self._would_be(found) > _MOST_SESSIONS:
                text = f"{self.plugin} lists more than {_MOST_SESSIONS} sessions"
                raise CallFailed(text, name="rpc.foreign")
            if not part.more or not part.sessions:
                return found

    def _would_be(self, found: builtins.list[SessionInfo]) -> int:
        """How many sessions are known with these."""
        return len(self._known) + sum(one.id not in self._known for one in found)

    async def attach(self, session: str, options: AttachOptions) -> Attached:
        params = msgspec.to_builtins(options)
        return await self._ask("exec.attach", params | {"session": session}, Attached)

    async def detach(self, session: str, viewer: int) -> None:
        await self._ask("exec.detach", {"session": session, "viewer": viewer}, dict)

    async def resize(self, session: str, rows: int, cols: int) -> None:
        await self._ask("exec.resize", {"session": session, "rows": rows, "cols": cols}, dict)

    async def signal(self, session: str, signal: str) -> None:
        await self._ask("exec.signal", {"session": session, "signal": signal}, dict)

    async def close_stdin(self, session: str, total: int) -> None:
        await self._ask("exec.close_stdin", {"session": session, "total": total}, dict)

    async def join_input(self, session: str, stdin: int) -> int:
        """An input of this side's own for a session that another opened: the first credit of `stdin`.

        A plugin takes one input for a session, so this is refused; a host that shares its sessions with
        several takes one from each.
        """
        raise SessionClosed("it was opened by another, who holds its input", session=session)

    async def close(self, session: str, missing_ok: bool = False) -> None:
        await self._ask("exec.close", {"session": session, "missing_ok": missing_ok}, dict)

    async def _ask(
        self, method: str, params: dict[str, Any], kind: type[_T], meta: dict[str, Any] | None = None
    ) -> _T:
        self.check(params.get("session") or params.get("id") or "")
        return await ask(self._link, self.plugin, method, self._scoped(params), kind, meta)

    def _scoped(self, params: dict[str, Any]) -> dict[str, Any]:
        """Parameters as they are sent."""
        return params

    def failure(self, error: Any) -> PluginHostError:
        """The exception for an error map with which a stream ended."""
        return CallError.from_map(error)

    def _call_off(self, session: str, stdin: int | None) -> None:
        """Close what may have been opened, without waiting; not another of its id, which has another input.

        The id stays taken until that is done: the exit that may come till then is not a successor's.
        """
        if self._make_error is not None:
            return
        try:
            params = {"session": session, "missing_ok": True, "stdin": stdin}
            _, answer = self._link.request("exec.close", self._scoped(params), name="")
        except CallError:
            return
        self._called_off[session] = answer

        def settle(done: asyncio.Future[Any]) -> None:
            self._called_off.pop(session, None)
            if not done.cancelled():
                done.exception()  # how it ends does not matter any more

        answer.add_done_callback(settle)

    async def called_off(self, session: str) -> None:
        """Wait for the end of one with this id that was called off, if there is one; not for ever."""
        ends = [one._called_off.get(session) for one in (self, *self._elders)]
        if waiting := [end for end in ends if end is not None]:
            await asyncio.wait(waiting, timeout=_CALLED_OFF_S)

    # The sessions that somebody holds.

    def follow(self, elder: ExecProxy) -> None:
        """This run of the plugin has replaced that of `elder`, whose sessions go on and keep their ids."""
        self._elders = [elder, *elder._elders]

    def has(self, session: str) -> bool:
        """Whether a session with this id runs, or is still to be read."""
        return self._known.get(session) in self._running or session in self._unread

    def held(self, session: str) -> Held | None:
        """The object that stands for a session already."""
        return self._known.get(session)

    def known(self) -> builtins.list[Held]:
        """The sessions that somebody holds, in no order."""
        return list(self._known.values())

    def hold(self, session: Held, is_running: bool) -> None:
        """An object for a session that was opened by another."""
        self._known[session.id] = session
        told = self._exits.get(session.id)
        if is_running and told is not None and told.is_of(session.info):
            session.note_exit(told.exit, told.totals)
        elif is_running:
            self._running.add(session)

    def adopt(self, session: Held) -> Held | None:
        """A session that is being opened, before its answer: its exit may come together with that.

        Returns an ended one that had its id. Raises SessionExists when one that runs has it.
        """
        self._elders = [one for one in self._elders if not one.is_over]
        for one in (self, *self._elders):
            if session.id in one._called_off:
                text = "the id is taken by a session that was called off, and has not ended yet"
                raise SessionExists(text, session=session.id)
        before = self._known.get(session.id)
        if before in self._running:
            raise SessionExists("the id is taken", session=session.id)
        if any(elder.has(session.id) for elder in self._elders):
            text = "the id is taken by a session from before the plugin was reloaded"
            raise SessionExists(text, session=session.id)
        self._exits.pop(session.id, None)
        self.announcement.begin(session.id)
        self._known[session.id] = session
        self._running.add(session)
        return before

    def drop(self, session: Held, before: Held | None = None) -> None:
        """It was not opened, or is gone for good; `before` had its id and has it again."""
        self._running.discard(session)
        self._unread.drop(session)
        self.announcement.call_off(session.id)
        if self._known.get(session.id) is session:
            del self._known[session.id]
        if before is not None:
            self._known[before.id] = before

    def exited(self, params: Any) -> None:
        """The plugin says that a session has ended."""
        try:
            told = msgspec.convert(params, _Exited)
        except msgspec.ValidationError as error:
            raise CallFailed(f"{self.plugin} told of an exit oddly: {error}", name="rpc.foreign") from None
        if weigh(params, _EXIT_BYTES) > _EXIT_BYTES:
            told.shorten()
        session = self._known.get(told.session)
        self._exits[told.session] = told
        if told.session not in self._called_off:  # what was never wanted was never counted
            self.meter.end(told.exit.code, told.exit.signal)
        if len(self._exits) > _KEPT_EXITS:
            del self._exits[next(iter(self._exits))]
        if session is not None:
            self._running.discard(session)
            self._unread.add(session, told.kept_s)
            session.note_exit(told.exit, told.totals)
        self.announcement.ended(told.session, told.exit)

    def fail(self, make_error: Callable[[str], Exception]) -> None:
        """The plugin is gone; `make_error(session)` says why."""
        if self._make_error is not None:
            return
        self._make_error = make_error
        self.meter.ended["lost"] += len(self._running)
        self._running.clear()
        self._unread.clear()
        for session in list(self._known.values()):
            session.lose()
        self.announcement.lose()
