"""Asking a guest to do something: the action waits for a poll, and who asked for the reply.

Owns the table of one guest, its clock and its waiting polls. Invariants: who asks is answered once, or told
why not; a reply that is no good, or is cut off, leaves the action to be answered again; after `close`
nothing is asked, and after `stop_polls` no poll is held.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from plugin_host.errors import CallFailed, CallTimeout, PluginHostError

from .action import KINDS, Action
from .actiontable import WAITING, ActionTable, Reply

if TYPE_CHECKING:
    from .times import GuestTimes

__all__ = ["ActionDesk", "Handler"]

_T = TypeVar("_T")

Handler = Callable[[Action, Reply, Any], Awaitable[_T | PluginHostError]]
"""Takes a reply to an action and its body, or websocket. Returns the result, or the error that the guest
reports; what it raises is said to the guest, whose reply was no good."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One action that somebody waits for."""

    handler: Handler[Any]
    answer: asyncio.Future[Any]


class ActionDesk:
    """The actions of one guest."""

    def __init__(self, times: GuestTimes) -> None:
        self._times = times
        self._table = ActionTable(times.take, times.reply)
        self._asked: dict[str, _Asked] = {}
        self._polls: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._refusal = ""
        self._holds_polls = True

    def __repr__(self) -> str:
        return f"<ActionDesk {self._table!r} polls={len(self._polls)}>"

    # Who asks.

    async def ask(self, handler: Handler[_T], **action: Any) -> _T:
        """Have the guest do something; `action` are fields of `Action`, its id apart.

        Raises CallTimeout, retryable, when the guest does not take it or does not answer it as often as its
        kind is tried; CallFailed after `close`; and what the guest reports.
        """
        kind = KINDS[action["type"]]
        for _ in range(kind.tries - 1):
            try:
                return await self._ask_once(handler, action)
            except CallTimeout:
                pass
        return await self._ask_once(handler, action)

    async def _ask_once(self, handler: Handler[_T], action: dict[str, Any]) -> _T:
        if self._refusal:
            raise CallFailed(self._refusal, name="rpc.cancelled")
        loop = asyncio.get_running_loop()
        # An id of its own each time: a late reply to an earlier one is not this one's.
        asked = Action(id=self.new_id(), **action)
        answer: asyncio.Future[_T] = loop.create_future()
        self._asked[asked.id] = _Asked(handler, answer)
        self._table.add(asked, loop.time())
        self._changed()
        try:
            return await answer
        finally:
            del self._asked[asked.id]
            self._table.remove(asked.id)
            self._changed()

    def new_id(self) -> str:
        """An id that cannot be guessed."""
        return secrets.token_urlsafe(16)

    def close(self, reason: str) -> None:
        """Ask nothing more; who waits is told `reason`. Does nothing the second time."""
        self._refusal = self._refusal or reason
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(CallFailed(self._refusal, name="rpc.cancelled"))

    # The guest.

    async def poll(self) -> Action | None:
        """The next action; None when there is none for as long as a poll is held."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._times.poll):
                while True:
                    action = self._table.take(loop.time())
                    if action is not None or not self._holds_polls:
                        self._changed()
                        return action
                    await self._next_ring()
        except TimeoutError:
            return None

    async def _next_ring(self) -> None:
        ring = asyncio.get_running_loop().create_future()
        self._polls.add(ring)
        try:
            await ring
        finally:
            self._polls.discard(ring)

    def stop_polls(self) -> None:
        """Answer those that are held, and hold none any more."""
        self._holds_polls = False
        self._ring()

    def give_back(self, action: str) -> None:
        """The poll that took it was lost before the guest had the answer."""
        if self._table.give_back(action, asyncio.get_running_loop().time()):
            self._changed()

    async def answer(self, action: str, reply: Reply, body: Any) -> Any:
        """Take a reply; returns what was made of it. Raises what `ActionTable.begin` and the handler do."""
        begun = self._table.begin(action, reply)
        asked = self._asked[action]
        self._changed()
        try:
            result = await asked.handler(begun, reply, body)
        except BaseException:
            self._table.fail(action, asyncio.get_running_loop().time())
            self._changed()
            raise
        self._table.remove(action)
        if not asked.answer.done():
            if isinstance(result, PluginHostError):
                asked.answer.set_exception(result)
            else:
                asked.answer.set_result(result)
        return result

    # Time.

    def _changed(self) -> None:
        """Wake polls for what waits, and have a timer for what will expire next."""
        if self._table.has_waiting:
            self._ring()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (deadline := self._table.deadline) is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._expire)

    def _ring(self) -> None:
        for ring in self._polls:
            if not ring.done():
                ring.set_result(None)

    def _expire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        for action, state in self._table.expire(loop.time()):
            answer = self._asked[action.id].answer
            if not answer.done():
                answer.set_exception(_overdue(action, state, self._times))
        self._changed()


def _overdue(action: Action, state: str, times: GuestTimes) -> CallTimeout:
    if state == WAITING:
        text = f"{action.type}: the guest did not poll for {times.take:g} s"
    else:
        text = f"{action.type}: the guest took it, and did not answer within {times.reply:g} s"
    return CallTimeout(text, name="rpc.deadline_exceeded", retryable=True)
