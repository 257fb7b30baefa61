"""Opening sessions with what an embedder gives, which is checked here; finding those that there are."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.errors import CallError, CallFailed, PluginDied, TerminalError
from plugin_host_sdk.types.session import SessionInfo, SessionOptions

from .handover import HandoverSocket
from .session import TAKEN, Session
from .size import check_whole
from .terminal import DirectTerminal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from plugin_host_sdk.types.session import Created

    from .proxy import ExecProxy

    Create = Callable[[SessionOptions, int], Awaitable[Created]]

__all__ = ["list_sessions", "make_options", "open_session", "session_of"]

# How long one plugin may keep those waiting who ask for the sessions of all.
_LIST_S = 2.0

_log = logging.getLogger(__name__)


async def open_session(
    proxy: ExecProxy,
    *,
    command: Sequence[str] | None,
    create: Create | None = None,
    direct: bool = False,
    **given: Any,
) -> Session:
    """Open a session; see `PluginHost.exec`. `given` are fields of `SessionOptions`, None for absent.

    `create` asks for it in the place of the proxy's own method.
    """
    if direct:
        return await _open_direct(proxy, command, given)
    options = make_options(command, given)
    session = Session(proxy, _announced(options))
    await proxy.called_off(session.id)
    before = proxy.adopt(session)
    stdin = session.open_input(proxy.streams.reserve())
    try:
        created = await (create or proxy.create)(options, stdin.number)
    except BaseException as error:
        proxy.drop(session, before)
        proxy.streams.forget(stdin.number)
        proxy.meter.refuse(error)
        raise
    proxy.meter.opened += 1
    session.opened(created)
    if isinstance(before, Session):
        before.forget(TAKEN)
    proxy.announcement.opened(created.session)
    return session


async def _open_direct(proxy: ExecProxy, command: Sequence[str] | None, given: dict[str, Any]) -> Session:
    """One whose terminal this process reads itself. Raises TerminalError when that cannot be."""
    if not proxy.passes_terminals:
        raise TerminalError(
            f"plugin {proxy.plugin!r} passes no terminals on: that takes Linux and a plugin served by this "
            "version of plugin-host-sdk; open the session without `direct`",
            session=given.get("id") or "",
        )
    with HandoverSocket() as handover:
        session = await open_session(proxy, command=command, handover=handover.named, **given)
        try:
            session.terminal = DirectTerminal(handover.take(session.id), session)
        except BaseException:
            await session.close()
            raise
    return session


def make_options(command: Sequence[str] | None, given: dict[str, Any]) -> SessionOptions:
    """The options for what was given, None for absent. Raises CallFailed, and TypeError for a text."""
    if isinstance(command, (str, bytes)):
        raise TypeError(f"command is a list of words, not the text {command!r}")
    check_whole("exec", given.get("rows"), given.get("cols"))
    fields = {name: value for name, value in given.items() if value is not None}
    fields["command"] = list(command or ())
    fields.setdefault("id", uuid.uuid4().hex)
    for name in ("env", "labels", "params", "resource_data"):
        if name in fields:
            fields[name] = dict(fields[name])
    try:
        return msgspec.convert(fields, SessionOptions)
    except msgspec.ValidationError as error:
        raise CallFailed(f"exec: {error}", name="rpc.invalid_params") from None


def _announced(options: SessionOptions) -> SessionInfo:
    """What is known of a session before its plugin has answered."""
    return SessionInfo(id=options.id, handler=options.handler or "", tty=options.tty, state="starting")


async def list_sessions(proxies: Iterable[ExecProxy]) -> list[Session]:
    """Every session of these plugins; one that dies meanwhile has none.

    Of one that does not answer, or not with sessions, they are those that somebody here holds, as they were
    last heard of: it keeps nobody from those of others.
    """
    found = await asyncio.gather(*map(_list, proxies), return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, PluginDied):
            raise one
    return [session for one in found if not isinstance(one, BaseException) for session in one]


async def _list(proxy: ExecProxy) -> list[Session]:
    try:
        async with asyncio.timeout(_LIST_S):
            found = await proxy.list()
            proxy.lists_oddly = False
            return [session_of(proxy, info) for info in found]
    except PluginDied:
        raise
    except (TimeoutError, CallError) as error:
        if isinstance(error, CallError) and not proxy.lists_oddly:
            proxy.lists_oddly = True
            _log.warning("plugin %s does not list its sessions: %s", proxy.plugin, error)
        known = [one for one in proxy.known() if isinstance(one, Session)]
        return sorted(known, key=lambda one: (one.info.created_at, one.id))


def session_of(proxy: ExecProxy, info: SessionInfo) -> Session:
    """The one object for a session."""
    held = proxy.held(info.id)
    before = held if isinstance(held, Session) else None
    if before is not None and not before.precedes(info):
        before.info = info
        return before
    session = Session(proxy, info)
    proxy.hold(session, info.exit is None)
    if before is not None:
        before.forget(TAKEN)
    return session
