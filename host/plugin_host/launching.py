"""The launch that a plugin is in, which a stop may call off.

Invariants: a launch that was called off ends at once, and is told apart from one that its caller gave up;
what was launched has an owner, also when nobody wants it any more by then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .precondition import check_launchable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from .instance import Instance

__all__ = ["Launching"]


class Launching:
    """Of one plugin, one launch at a time; `gate` bounds how many of a host are under way at once.

    `dismiss` takes an instance that came up for nobody, and stops it.
    """

    def __init__(
        self, gate: AbstractAsyncContextManager[object], dismiss: Callable[[Instance], None]
    ) -> None:
        self._gate = gate
        self._dismiss = dismiss
        self._task: asyncio.Task[None] | None = None
        self._is_called_off = False  # a stop does not wait for the launch it ends

    async def run(self, instance: Instance) -> None:
        """In a task of its own, which `call_off` cancels."""
        self._is_called_off = False  # a launch that was to be ended may have failed by itself
        task = asyncio.create_task(self._in_turn(instance), name=f"launch of plugin {instance.id}")
        self._task = task
        try:
            await task
            if self._is_called_off:  # in the turn in which it came up
                raise asyncio.CancelledError
        except asyncio.CancelledError:
            if not task.cancelled() and task.exception() is None:
                self._dismiss(instance)
            raise
        finally:
            self._task = None

    async def _in_turn(self, instance: Instance) -> None:
        async with self._gate:
            await check_launchable(instance.candidate, instance.manifest)
            await instance.launch()

    def call_off(self) -> None:
        """End the launch, if there is one."""
        if self._task is not None and not self._is_called_off:
            self._is_called_off = True
            self._task.cancel()

    def was_called_off(self) -> bool:
        """Whether that is why the launch was cancelled; says so once."""
        was, self._is_called_off = self._is_called_off, False
        return was
