"""One victim in the hands of its fault: who it is at this moment, and the ways to get at it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from plugin_host import PluginHostError, State

from .judge import kind_of, lateness, objection

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from .part import Part
    from .scene import Scene

__all__ = ["Target"]

_COMMAND_S = 4.0
_LOST_S = 30.0


class Target:
    """The process `pid` of a victim; `left` are processes that it was made to leave behind."""

    def __init__(self, scene: Scene, part: Part, pid: int, chance: random.Random) -> None:
        self.scene = scene
        self.part = part
        self.pid = pid
        self.chance = chance
        self.left: list[int] = []
        self.calls: list[asyncio.Task[None]] = []
        self._mark = _mark_of(pid)

    @property
    def is_replaced(self) -> bool:
        """Whether another process of the plugin is ready."""
        plugin = self.scene.host.plugins[self.part.id]
        return plugin.state is State.READY and plugin.pid not in (None, self.pid)

    @property
    def mark(self) -> bytes:
        """What all processes of this launch have in their environment, and no others."""
        return self._mark

    @property
    def folder(self) -> Path:
        """The plugin's own."""
        return self.scene.plugins / self.part.id

    def violate(self, what: str) -> None:
        """Something happened to it, or did not, that must not."""
        self.scene.tally.violate(self.part.id, what)

    def kill(self, signal: int) -> None:
        """Send it a signal from outside, as anybody may."""
        try:
            os.kill(self.pid, signal)
        except ProcessLookupError:
            pass  # the last fault has it yet, and its end was not told

    def begin(self, command: str, timeout: float = _COMMAND_S, **params: Any) -> None:
        """Call a command and do not wait; the call is held to the rules as any other."""
        self.calls.append(asyncio.create_task(self._call(command, params, timeout), name=command))

    async def ask(self, command: str, timeout: float = _COMMAND_S, **params: Any) -> Any:
        """Call a command; its result, None when it failed as calls may."""
        return await self._call(command, params, timeout)

    async def _call(self, command: str, params: dict[str, Any], timeout: float) -> Any:
        scene, tally = self.scene, self.scene.tally
        tally.calls["made"] += 1
        deadline = asyncio.get_running_loop().time() + timeout
        result = None
        try:
            async with asyncio.timeout(timeout + _LOST_S):
                result = await scene.host.call(self.part.id, command, params, timeout=timeout)
            tally.calls["ok"] += 1
        except TimeoutError:
            self.violate(f"`{command}` went on {_LOST_S:g} s beyond its deadline")
        except PluginHostError as error:
            tally.calls["failed"] += 1
            tally.failures[kind_of(error)] += 1
            if (wrong := objection(error, self.part.id)) is not None:
                self.violate(f"`{command}`: {wrong}")
        if late := lateness(deadline, scene.pulse):
            self.violate(f"`{command}` ended {late:.2f} s too late")
        return result


def _mark_of(pid: int) -> bytes:
    """The words `NAME=value` that mark its launch; empty when it is gone already."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            words = environ.read().split(b"\0")
    except OSError:
        return b""
    return next((word for word in words if word.startswith(b"PLUGIN_HOST_RUN=")), b"")
