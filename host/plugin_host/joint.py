"""Calls of one command that are made in the same turn of the loop: they share a request.

That is the turn after several answers came together, in which those who had waited for them ask anew, and
one in which many calls are made at once. Who calls notices nothing of it: each call has an outcome of its
own and is given up by itself; who waits goes on where the answer is dealt. Invariants: requests leave in
the order in which calls came; every call that was added ends, however its request does; one that nobody
waits for any more is not sent, and a request that nobody waits for any more is cancelled.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from .bundle import CALLS, FEATURE, METHOD, Pace, Portion, outcomes
from .command import explained, own_failure
from .errors import CallError
from .processors import processors
from .traffic import traffic_of
from .wakeup import finish, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from .link import Link
    from .plugin import Plugin

    Call = tuple[Any, asyncio.Future[Any]]

__all__ = ["Joint", "joint_for"]

_COMMANDS = 128
_MANY = 8  # requests that wait, which are not counted one by one any more


def joint_for(plugin: Plugin, link: Link) -> Joint | None:
    """The joint of a plugin that takes many calls in one request, of a link that gathers them."""
    return Joint(plugin, link) if link.gathers and FEATURE in link.features else None


def _futures(calls: list[Call]) -> list[asyncio.Future[Any]]:
    return [future for _, future in calls]


class Joint:
    """What was called in this turn and is not sent yet, and the requests that are."""

    __slots__ = (
        "_calls",
        "_command",
        "_is_leaving",
        "_link",
        "_loop",
        "_most",
        "_pace",
        "_paces",
        "_plugin",
        "_portion",
        "_requests",
        "_settled",
        "_shared",
        "_traffic",
    )

    def __init__(self, plugin: Plugin, link: Link) -> None:
        self._plugin = plugin
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._is_leaving = False
        self._traffic = traffic_of(self._loop)
        self._settled: asyncio.Future[None] | None = None
        self._command = ""
        self._pace = Pace()
        self._portion = Portion(processors())
        self._most = self._portion.most
        self._calls: list[Call] = []
        self._paces: dict[str, Pace] = {}
        self._requests: dict[int, list[Call]] = {}
        self._shared: dict[int, tuple[str, asyncio.Future[Any]]] = {}  # of these the ones for several calls

    def add(self, command: str, params: Any) -> asyncio.Future[Any] | None:
        """The future of the command's result, which fails with what the call ends with.

        None when such a call is to go by itself. `params` are flat: what becomes of them after this changes
        nothing.
        """
        if (command is not self._command or self._pace.singles) and not self.takes(command):
            return None
        future: asyncio.Future[Any] = Future(loop=self._loop)
        calls = self._calls
        calls.append((params.copy() if params is not None else {}, future))
        if len(calls) >= self._most:
            self._link.send_gathered()
        return future

    def takes(self, command: str) -> bool:
        """Whether the next call is to be added, one of this command: not while the command is slow."""
        if type(command) is not str:
            return False
        pace = self._paces.get(command)
        if pace is None:
            if len(self._paces) >= _COMMANDS:
                return False
            pace = self._paces[command] = Pace()
        if pace.singles:
            pace.note_single()
            return False
        if command != self._command:
            self.flush()
        self._command, self._pace = command, pace
        return True

    def flush(self) -> None:
        """Send what was added."""
        if self._calls:
            calls, self._calls = self._calls, []
            many = [params for params, future in calls if not future.done()]
            if len(many) < len(calls):
                calls = [call for call in calls if not call[1].done()]
            if len(calls) < 2 or not self._send_together(calls, many):
                self._send_singly(self._command, calls)

    def give_up(self) -> None:
        """Somebody waits no longer: cancel what nobody waits for, once for all who leave in this turn."""
        if not self._is_leaving:
            self._is_leaving = True
            self._loop.call_soon(self._cancel)

    def _cancel(self) -> None:
        self._is_leaving = False
        for msgid, calls in list(self._requests.items()):
            if all(future.done() for _, future in calls):
                self._close(msgid)
                self._abandon(msgid)
        self._note_settled()

    def _abandon(self, msgid: int) -> None:
        self._link.splits.pop(msgid, None)
        self._link.abandon(msgid)

    async def settle(self, timeout_s: float) -> None:
        """Wait until no calls share a request: what a plugin left of one has been asked anew by then."""
        self.flush()
        if self._shares():
            self._settled = self._loop.create_future()
            await asyncio.wait([self._settled], timeout=timeout_s)

    def _shares(self) -> bool:
        return any(len(calls) > 1 for calls in self._requests.values())

    def is_busy(self) -> bool:
        """Whether calls wait: to be sent, or for what an answer that has come says of them."""
        return bool(self._calls or self._requests)

    def count(self, msgid: int) -> int:
        """How many calls wait for the answer to this request."""
        calls = self._requests.get(msgid)
        return 1 if calls is None else sum(not future.done() for _, future in calls)

    def fail(self, make_error: Callable[[], Exception]) -> None:
        """End what was not sent, each with an error of its own."""
        calls, self._calls = self._calls, []
        for _, future in calls:
            if not future.done():
                future.set_exception(make_error())

    def _send_together(self, calls: list[Call], many: list[Any]) -> bool:
        """Whether it was sent, with these parameters; else each by itself may be, or says what is wrong."""
        command = self._command
        arguments = {"name": command, "many": many, "split": True}
        try:
            msgid, answer = self._link.request(METHOD, arguments, name=command, at_once=True)
        except Exception:  # no memory, say
            return False
        self._open(msgid, calls)
        requests = len(self._requests)
        waiting = sum(map(len, self._requests.values())) if requests < _MANY else CALLS
        self._most = self._portion.note_sent(waiting, self._traffic.busy)
        self._shared[msgid] = command, answer
        self._link.splits[msgid] = partial(self._split, command, msgid)
        answer.add_done_callback(partial(self._take_many, command, msgid))
        return True

    def _open(self, msgid: int, calls: list[Call]) -> None:
        if not self._requests:
            self._traffic.busy += 1
        self._requests[msgid] = calls

    def _close(self, msgid: int) -> list[Call] | None:
        """The calls of a request, which is no longer one of those that wait; None when it is none."""
        self._shared.pop(msgid, None)
        calls = self._requests.pop(msgid, None)
        if calls is not None and not self._requests:
            self._traffic.busy -= 1
        return calls

    def _send_singly(self, command: str, calls: list[Call]) -> None:
        for call in calls:
            arguments = {"name": command, "params": call[0]}
            try:
                msgid, answer = self._link.request("command.call", arguments, name=command)
            except Exception as error:
                call[1].set_exception(self._explained(command, error))
            else:
                self._open(msgid, [call])
                answer.add_done_callback(partial(self._take_one, command, msgid))

    def _split(self, command: str, msgid: int, params: dict[str, Any]) -> None:
        """One of those that share a request lasts: it keeps that for itself, and the others go on."""
        calls = self._requests.get(msgid)
        if calls is None:  # given up
            return
        try:
            ended = self._outcomes(command, params, len(calls) - 1)
        except CallError as error:
            self._close(msgid)
            self._abandon(msgid)
            self._fail_all(command, calls, error)
        else:
            self._requests[msgid] = [calls[len(ended)]]
            del self._shared[msgid]
            self._paces[command].note_answer(0)
            settle(zip(_futures(calls), ended, strict=False))
            self._send_again(command, calls[len(ended) + 1 :])
            self.give_up()  # who called it may have left
        self._note_settled()

    def _take_many(self, command: str, msgid: int, answer: asyncio.Future[Any]) -> None:
        """The answer to calls that share a request."""
        answer.exception()  # is known now, also where nobody waits for it
        if msgid in self._shared:
            self._link.gather(self._deal)
        else:  # it was split, or dealt with another
            self._take_one(command, msgid, answer)
            self._note_settled()

    def _note_settled(self) -> None:
        if self._settled is not None and not self._settled.done() and not self._shares():
            self._settled.set_result(None)

    def _deal(self) -> None:
        """Act on all answers that have come; what was not run is asked again before anybody goes on.

        Who goes on may ask for more. Meanwhile the loop is left something to do, so it is not taken for
        idle.
        """
        left: list[tuple[asyncio.Future[Any], Any]] = []
        for msgid, (command, answer) in list(self._shared.items()):
            if answer.done():
                self._link.splits.pop(msgid, None)
                calls = self._close(msgid) or []
                left += zip(_futures(calls), self._ended(command, calls, answer), strict=False)
        self._note_settled()
        going = iter(left)
        # For a loop that one of them turns, and for those whom one that ends the loop has kept waiting.
        self._loop.call_soon(settle, going)
        finish(going)

    def _ended(self, command: str, calls: list[Call], answer: asyncio.Future[Any]) -> list[Any]:
        """What the first of the calls have ended with; the others are asked again, or have failed."""
        try:
            ended = self._outcomes(command, answer.result(), len(calls))
        except Exception as error:
            if isinstance(error, CallError) and error.name == "rpc.busy":  # none of them was begun
                self._send_again(command, calls)
            else:
                self._fail_all(command, calls, error)
            return []
        self._paces[command].note_answer(len(ended))
        if len(ended) < len(calls):
            self._send_again(command, calls[len(ended) :])
        return ended

    def _outcomes(self, command: str, answer: Any, count: int) -> list[Any]:
        explain = partial(explained, self._plugin, command, None, None)
        return outcomes(self._plugin, command, answer, count, explain)

    def _send_again(self, command: str, calls: list[Call]) -> None:
        self.flush()
        self._send_singly(command, [call for call in calls if not call[1].done()])

    def _fail_all(self, command: str, calls: list[Call], error: Exception) -> None:
        """With an error of its own for each."""
        for _, future in calls:
            if not future.done():
                future.set_exception(self._explained(command, copy(error)))

    def _take_one(self, command: str, msgid: int, answer: asyncio.Future[Any]) -> None:
        """The answer to a call that was sent by itself."""
        error = answer.exception()
        for _, future in self._close(msgid) or ():
            if future.done():
                continue
            if error is not None:
                future.set_exception(self._explained(command, error))
                continue
            result = answer.result()
            if type(result) is not dict or result.get("status") != 0:
                future.set_exception(own_failure(self._plugin, command, result))
            else:
                future.set_result(result.get("result"))

    def _explained(self, command: str, error: BaseException) -> BaseException:
        if isinstance(error, CallError):
            return explained(self._plugin, command, None, None, error)
        return error
