"""The last part of instances that do not serve any more: they finish what they have and are stopped.

Invariant: each is stopped once it is not busy, or is ended when it hangs; only then is it forgotten. Who
stops waiting for that ends nothing of it.
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
        self._hurried: dict[Instance, asyncio.Event] = {}  # set when its calls are not waited for
        self._hung: dict[Instance, asyncio.Task[None]] = {}  # of the retiring ones, those to be ended

    def __contains__(self, instance: object) -> bool:
        return instance in self._retiring

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._retiring)

    def begin(self, old: Instance) -> None:
        """It was replaced, or came up when nobody wanted it any more."""
        self._hurried[old] = asyncio.Event()
        self._go_on(old)

    def _go_on(self, old: Instance) -> asyncio.Task[None]:
        task = asyncio.create_task(self._retire(old), name=f"retirement of {old.mark}")
        self._retiring[old] = task
        return task

    async def _retire(self, old: Instance) -> None:
        await _finish(old, self._hurried[old])
        del self._retiring[old], self._hurried[old]
        self.spare(old)

    async def end(self) -> None:
        """Do not wait any longer for calls and sessions. Cancelling ends the wait alone."""
        for hurry in self._hurried.values():
            hurry.set()
        # A stop that failed is tried again.
        tasks = [self._go_on(old) if task.done() else task for old, task in list(self._retiring.items())]
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            task.result()

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


async def _finish(instance: Instance, hurry: asyncio.Event) -> None:
    """Wait until no call is in flight and no session open, or for `hurry`, then stop it.

    There is no bound to the wait: a session may be somebody's shell for days. The end of the instance ends
    it, as by `_end_hung`.
    """
    pause = _FIRST_LOOK_S
    while instance.is_busy and not hurry.is_set():
        try:
            async with asyncio.timeout(pause):
                await hurry.wait()
        except TimeoutError:
            pause = min(pause * 2, _LONGEST_LOOK_S)
    await instance.stop()


async def _end_hung(instance: Instance, verdict: HealthVerdict) -> None:
    """End one that does not answer, and so never finishes, unless its manifest says otherwise."""
    if instance.manifest.health.action == "restart":
        found = await hang.examine(instance.process, instance.link)
        words = f"was unresponsive and killed by the host: {verdict.describe()}"
        await instance.kill(words, found.render())
