"""The last part of instances that were replaced: they finish what they have and are stopped.

Invariant: each is stopped once it is not busy, or is ended when it hangs; then it is forgotten.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from . import hang

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .health import HealthVerdict
    from .instance import Instance

__all__ = ["Retirement"]

_FIRST_LOOK_S = 0.01
_LONGEST_LOOK_S = 1.0


class Retirement:
    """Of one plugin; those that finish are what it contains."""

    def __init__(self) -> None:
        self._retiring: dict[Instance, asyncio.Task[None]] = {}
        self._hung: dict[Instance, asyncio.Task[None]] = {}  # of the retiring ones, those to be ended

    def __contains__(self, instance: object) -> bool:
        return instance in self._retiring

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._retiring)

    def begin(self, old: Instance) -> None:
        """It was replaced."""
        self._retiring[old] = asyncio.create_task(self._retire(old), name=f"retirement of {old.mark}")

    async def _retire(self, old: Instance) -> None:
        try:
            await _finish(old)
        finally:
            self._retiring.pop(old, None)
            self.spare(old)

    async def end(self) -> None:
        """Do not wait any longer for calls and sessions."""
        await asyncio.gather(*(self._end(one) for one in list(self._retiring)))

    async def _end(self, old: Instance) -> None:
        task = self._retiring.get(old)
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        await old.stop()

    def unresponsive(self, instance: Instance, verdict: HealthVerdict) -> None:
        """One of them does not answer. One that does, and whose calls do not end, is waited for."""
        self.spare(instance)
        if verdict.may_end:
            self._hung[instance] = asyncio.create_task(
                _end_hung(instance, verdict), name=f"end of {instance.mark}"
            )

    def spare(self, instance: Instance) -> None:
        """It is not to be ended any more, or it has ended."""
        if (ending := self._hung.pop(instance, None)) is not None:
            ending.cancel()


async def _finish(instance: Instance) -> None:
    """Wait until no call is in flight and no session open, then stop it.

    There is no bound to the wait: a session may be somebody's shell for days. Cancelling ends it, and so
    does the end of the instance, as by `_end_hung`.
    """
    pause = _FIRST_LOOK_S
    while instance.is_busy:
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_LOOK_S)
    await instance.stop()


async def _end_hung(instance: Instance, verdict: HealthVerdict) -> None:
    """End one that does not answer, and so never finishes, unless its manifest says otherwise."""
    if instance.manifest.health.action == "restart":
        found = await hang.examine(instance.process, instance.link)
        words = f"was unresponsive and killed by the host: {verdict.describe()}"
        await instance.kill(words, found.render())
