"""The sessions that clients of one host speak of, by plugin and id, and who is told how they end.

Every session that a client has opened or asked for is watched until its end. Invariant: clients hear of
each end once, and a session that is gone is forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.errors import CallFailed, PluginHostError, SessionNotFound
from plugin_host.wording import suggestion

from .errormap import to_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.exec.session import Session
    from plugin_host.host import PluginHost

    from .claim import Key

__all__ = ["Directory"]

# As many sessions that have ended are kept, at the least, before the plugins are asked which of them are.
_MOST_ENDED = 256


class Directory:
    """`tell(method, params)` reaches every client; `gone(key)` says that nothing of a session is left."""

    def __init__(
        self,
        host: PluginHost,
        tell: Callable[[str, dict[str, Any]], None],
        gone: Callable[[Key], None],
    ) -> None:
        self._host = host
        self._tell = tell
        self._gone = gone
        self._sessions: dict[Key, Session] = {}
        self._watches: dict[Key, asyncio.Task[None]] = {}
        self._most_ended = _MOST_ENDED

    def add(self, session: Session) -> Session:
        """A session that a client opened or asked for."""
        key = session.plugin, session.id
        if self._sessions.get(key) is not session:
            self._sessions[key] = session
            if (watch := self._watches.pop(key, None)) is not None:
                watch.cancel()
            # Also when it has ended: of a short one the exit is there before it was answered for.
            self._watches[key] = asyncio.get_running_loop().create_task(
                self._watch(key, session), name=f"watch of session {session.id}"
            )
        return session

    async def all(self) -> list[Session]:
        """Every session there is, in order of plugin and time."""
        ended = [one for one in self._sessions.values() if one.exit]
        found = [self.add(session) for session in await self._host.sessions()]
        there = {(session.plugin, session.id) for session in found}
        for one in ended:  # and not what was opened, and ended, while the plugins were asked
            if (one.plugin, one.id) not in there:
                self.forget_session(one)
        # Shells of tasks whose worker is no plugin are in no plugin's list.
        found += [one for key, one in self._sessions.items() if key not in there]
        return sorted(found, key=lambda one: (one.plugin, one.info.created_at, one.id))

    async def find(
        self, session: str, plugin: str | None = None, may_use: Callable[[Key], bool] = lambda key: True
    ) -> Session:
        """The session of that id; `plugin` tells between those of several. Raises SessionNotFound.

        Only ids of sessions that who asks `may_use` are suggested.
        """
        found = self._known(session, plugin)
        if not found:
            await self.all()
            found = self._known(session, plugin)
        if not found:
            near = suggestion(session, {key[1] for key in self._sessions if may_use(key)})
            where = f" in plugin `{plugin}`" if plugin else ""
            raise SessionNotFound(f"no such session{where}{near}", session=session)
        if len(found) > 1:
            found = [one for one in found if may_use((one.plugin, one.id))] or found[:1]
        if len(found) > 1:
            owners = " and ".join(one.plugin for one in found)
            text = f"session {session} is in {owners}: say which"
            raise CallFailed(text, name="rpc.invalid_params")
        return found[0]

    def _known(self, session: str, plugin: str | None) -> list[Session]:
        return [
            one for (owner, id), one in self._sessions.items() if id == session and plugin in (None, owner)
        ]

    async def _watch(self, key: Key, session: Session) -> None:
        plugin, id = key
        named = {"plugin": plugin, "session": id}
        try:
            exit, totals = await session.wait(), await session.totals()
        except PluginHostError as error:
            self.forget(key)
            self._tell("exec.lost", named | {"error": to_map(error)})
            return
        told = {"exit": msgspec.to_builtins(exit), "totals": dict(totals)}
        self._tell("exec.exited", named | told | {"created_at": session.info.created_at})
        if len(self._sessions) - len(self._watches) >= self._most_ended:
            await self._prune()
        if self._watches.get(key) is asyncio.current_task():
            del self._watches[key]

    async def _prune(self) -> None:
        """Forget what the plugins have, of which they do not tell; seldom, as all of them are asked."""
        self._most_ended *= 2  # until they have answered
        with contextlib.suppress(PluginHostError):
            await self.all()
        self._most_ended = 2 * (len(self._sessions) - len(self._watches)) + _MOST_ENDED

    def forget_session(self, session: Session) -> None:
        """It is gone for good; another that has its id is not."""
        if self._sessions.get((session.plugin, session.id)) is session:
            self.forget((session.plugin, session.id))

    def forget(self, key: Key) -> None:
        """The session is gone for good."""
        self._sessions.pop(key, None)
        watch = self._watches.pop(key, None)
        if watch is not None and watch is not asyncio.current_task():
            watch.cancel()
        self._gone(key)

    async def close(self) -> None:
        """Watch nothing any more."""
        watches = list(self._watches.values())
        for watch in watches:
            watch.cancel()
        for watch in watches:
            with contextlib.suppress(asyncio.CancelledError):
                await watch
