"""What a lazy plugin does in tasks of their own: it is started by who needs it, and stopped when idle.

Invariant: however many need it, it is started once, and stopped once however often that is due; after
`close` neither goes on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Errand = Callable[[], Coroutine[object, object, None]]

__all__ = ["Laziness"]


class Laziness:
    """Of the plugin `id`, which `start` tries to start and `stop` stops unless it is used again."""

    def __init__(self, id: str, start: Errand, stop: Errand) -> None:
        self._id = id
        self._start = start
        self._stop = stop
        self._waking: asyncio.Task[None] | None = None
        self._dozing: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """It is needed."""
        if self._waking is None or self._waking.done():
            self._waking = asyncio.create_task(self._start(), name=f"start of {self._id}")

    def doze(self) -> None:
        """It has had nothing to do for long enough."""
        if self._dozing is None or self._dozing.done():
            self._dozing = asyncio.create_task(self._stop(), name=f"idle stop of {self._id}")

    async def close(self) -> None:
        """Nothing of this goes on."""
        errands = [one for one in (self._waking, self._dozing) if one is not None and not one.done()]
        for one in errands:
            one.cancel()
        if errands:
            await asyncio.wait(errands)
