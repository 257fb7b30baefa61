"""Reading what an action puts out, piece by piece.

Invariant: a reader that is lossless is waited for only while it can read: not once it is closed or dropped,
and not while the task that read last waits for the action's result.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Protocol

from plugin_host.currenttask import current_task
from plugin_host.exec.viewer import Output

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from .output import OutputRing

__all__ = ["ActionOutput", "Watched"]

_numbers = itertools.count(1)


class Watched(Protocol):
    """An action as its readers need it."""

    id: str
    ring: OutputRing

    @property
    def is_over(self) -> bool:
        """Whether no more output comes."""

    def wake(self) -> asyncio.Future[None]:
        """Done when something has changed."""

    def check_plugin(self) -> None:
        """Raise why the plugin is gone, if so."""

    def forget_reader(self, reader: ActionOutput) -> None:
        """It reads no more."""


class ActionOutput:
    """Iterate over it for `Output`: `stream`, `offset`, `data`; made by `ActionRun.output`.

    An offset that is higher than the end of the piece before says that bytes in between are kept no
    longer; that happens to readers that are not lossless, and to what came before the first.
    """

    def __init__(
        self, run: Watched, *, since: Mapping[str, int] | None = None, lossless: bool = True
    ) -> None:
        self.number = next(_numbers)
        self.task = current_task()  # who read last
        self._run = run
        self._ring = run.ring
        self._loop = asyncio.get_running_loop() if self.task is not None else None
        self._since = dict(since or {})
        self._lossless = lossless
        self._next = self._ring.first
        self._is_closed = False
        self._hold()

    def __repr__(self) -> str:
        return f"<ActionOutput of action {self._run.id}>"

    def _hold(self) -> None:
        if self._lossless:
            self._ring.hold(self.number, self._next)

    def release(self) -> None:
        """It is not waited for until it is asked for more."""
        self._ring.let_go(self.number)

    def __aiter__(self) -> ActionOutput:
        return self

    async def __anext__(self) -> Output:
        self.task = current_task()
        if not self._is_closed:
            self._hold()  # at what comes next: who asks for more has used what it got
        while not self._is_closed:
            self._next = max(self._next, self._ring.first)
            piece = self._ring.at(self._next)
            if piece is None:
                if self._run.is_over:
                    await self.close()
                    self._run.check_plugin()
                    break
                await self._run.wake()
                continue
            self._next += 1
            if (wanted := self._cut(piece)) is not None:
                return wanted
        raise StopAsyncIteration

    def _cut(self, piece: Output) -> Output | None:
        """What of a piece was not had before; None when that is nothing."""
        known = self._since.get(piece.stream, 0) - piece.offset
        if known <= 0:
            return piece
        rest = piece.data[known:]
        return Output(piece.stream, piece.offset + known, rest) if rest else None

    async def close(self) -> None:
        """Read no more; the action runs on. Idempotent."""
        self._is_closed = True
        self.release()
        self._run.forget_reader(self)

    async def __aenter__(self) -> ActionOutput:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        """Nobody can read it any more; perhaps told on another thread."""
        if not self._is_closed and self._loop is not None and not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(self._ring.let_go, self.number)
            except RuntimeError:
                pass  # the loop has ended at this moment
