"""What a guest tells of its task: that it has fetched it, its log, and how it ended.

Invariants: the first word about the end counts, the same again is accepted and another refused; the task
hears of it when the logs that were on the way have arrived, or have had their time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import msgspec

from plugin_host.errors import InvalidPayload, ResourceConflict
from plugin_host.task.state import Outcome
from plugin_host.wording import shown

if TYPE_CHECKING:
    from plugin_host.task.task import Task

    from .body import Body
    from .times import GuestTimes

__all__ = ["OUTCOME_BYTES", "TaskReport", "outcome_of"]

OUTCOME_BYTES = 64 * 1024
"""The longest body of a result that is read."""

# Of Windows up to the one, of others much less: whatever carries a result on carries these.
_Code = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**32)]
# What is kept of the words of a guest, as of those of a plugin.
_REASON_CHARACTERS = 4_000
_SIGNAL_CHARACTERS = 64


class _Told(msgspec.Struct):
    """What may be said besides the bare fact, which is all that the first guests say."""

    code: _Code | None = None
    signal: str | None = None
    reason: str = ""


def outcome_of(success: bool, data: bytes) -> Outcome:
    """The outcome that a guest tells, with a JSON body or none. Raises InvalidPayload."""
    try:
        told = msgspec.json.decode(data, type=_Told) if data else _Told()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidPayload(f"this does not say how a task ended: {error}") from None
    if success and (told.code or told.signal):
        raise InvalidPayload("a task that ended with a code or by a signal is no success")
    signal = told.signal and shown(told.signal[:_SIGNAL_CHARACTERS])
    return Outcome(success, told.code, signal, told.reason[:_REASON_CHARACTERS])


class TaskReport:
    """The guest's side of `task`, which it has claimed."""

    def __init__(self, task: Task, times: GuestTimes) -> None:
        self._task = task
        self._times = times
        self._outcome: Outcome | None = None
        self._logs = 0  # that are being sent
        self._logs_over = asyncio.Event()
        self._logs_over.set()
        self._takes_log = True

    def __repr__(self) -> str:
        return f"<TaskReport of {self._task!r} logs={self._logs} {self._outcome}>"

    def order(self) -> bytes:
        """What the guest is to run. Raises ResourceConflict when that is over."""
        if self._task.is_over:
            raise ResourceConflict(f"task {self._task.id} has {self._task.state} already")
        order = self._task.order
        return msgspec.json.encode({"env": order.env, "command": order.command})

    async def log(self, body: Body) -> None:
        """More of the log, taken as fast as it is read. Raises ResourceConflict behind the result."""
        self._check_takes_log()
        self._logs += 1
        self._logs_over.clear()
        try:
            async for data in body:
                self._check_takes_log()
                await self._task.feed(data)
        finally:
            self._logs -= 1
            if not self._logs:
                self._logs_over.set()

    def _check_takes_log(self) -> None:
        if not self._takes_log or self._task.is_over:
            raise ResourceConflict(f"task {self._task.id} has ended, and its log with it")

    async def conclude(self, outcome: Outcome) -> None:
        """It ended so. Raises ResourceConflict when it has ended otherwise."""
        if self._outcome is not None:
            if self._outcome.success != outcome.success:
                raise ResourceConflict(f"task {self._task.id} was reported otherwise: {self._outcome}")
            return
        self._outcome = outcome
        try:
            async with asyncio.timeout(self._times.log):
                await self._logs_over.wait()
        except TimeoutError:
            self._task.cut_log(f"{self._times.log:g} s behind the result there was more on the way")
        self._takes_log = False
        try:
            self._task.report(outcome)
        except ResourceConflict:
            self._outcome = None  # the host has ended it meanwhile
            raise
