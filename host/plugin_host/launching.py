"""The launch that a plugin is in, which a stop may call off.

Invariant: a launch that was called off ends at once, and is told apart from one that its caller gave up.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .precondition import check_launchable

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from .instance import Instance

__all__ = ["Launching"]


class Launching:
    """Of one plugin, one launch at a time; `gate` bounds how many of a host are under way at once."""

    def __init__(self, gate: AbstractAsyncContextManager[object]) -> None:
        self._gate = gate
        self._task: asyncio.Task[None] | None = None
        self._is_called_off = False  # a stop does not wait for the launch it ends

    async def run(self, instance: Instance) -> None:
        """In a task of its own, which `call_off` cancels."""
        self._is_called_off = False  # a launch that was to be ended may have failed by itself
        self._task = asyncio.create_task(self._in_turn(instance), name=f"launch of plugin {instance.id}")
        try:
            await self._task
        finally:
            self._task = None

    async def _in_turn(self, instance: Instance) -> None:
        async with self._gate:
            await check_launchable(instance.candidate, instance.manifest)
            await instance.launch()

    def call_off(self) -> None:
        """End the launch, if there is one."""
        if self._task is not None and not self._task.done():
            self._is_called_off = True
            self._task.cancel()

    def was_called_off(self) -> bool:
        """Whether that is why the launch was cancelled; says so once."""
        was, self._is_called_off = self._is_called_off, False
        return was
