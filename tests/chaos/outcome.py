"""What a run has to have come to while its host is still there: all are up, and nobody holds more."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from functools import partial
from signal import SIGSTOP
from typing import TYPE_CHECKING

from benchmarks.soak.remains import remains

from .target import Target
from .torment import rise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .part import Part
    from .scene import Scene
    from .table import Figures

__all__ = ["Outcome"]

_ANSWER_S = 30.0
_LAMING_S = 0.2
# At a stretch, of its own processor time; a machine that does not let it run is another matter.
_MOST_BUSY_S = 0.5
# A plugin may take a second, and the ladder a few more; all are stopped at the same time.
_CLOSING_S = 15.0


class Outcome:
    """Compares a run's end with its beginning. Violations go to the tally."""

    def __init__(self, scene: Scene, parts: Sequence[Part], figures: Figures) -> None:
        self._scene = scene
        self._parts = parts
        self._figures = figures
        self._lame: list[Target] = []
        self._held: dict[str, Counter[str]] = {}

    async def warm_up(self) -> None:
        """Everybody answers, and has loaded and opened what is loaded and opened once."""
        host = self._scene.host
        for part in self._parts:
            await host.call(part.id, "doze", {"seconds": 0, "value": 1}, timeout=_ANSWER_S)
            for tty in (True, False):
                session = await host.exec(part.id, ["true"], tty=tty)
                await session.wait()
                await session.close()
            if not part.is_victim:
                self._held[part.id] = await self._holdings(part.id)

    async def settle(self) -> None:
        """Nobody acts any more: what there is now, stays."""
        scene = self._scene
        for part in self._parts:
            if part.is_victim:
                await rise(scene, part)
            else:
                await self._compare(part.id)
        for session in await scene.host.sessions():
            scene.tally.violate(session.id, "it is left over")
        restarts = {plugin.id: plugin.restarts for plugin in scene.host.plugins.values()}
        scene.tally.events["restarts by the host"] += sum(restarts.values())
        if not self._figures.growth.is_flat:
            scene.tally.violate("the host", f"it has grown: {self._figures.growth.describe()}")
        if (busy := self._figures.pulse.busiest_s) > _MOST_BUSY_S:
            scene.tally.violate("the host", f"its loop was busy for {busy:.2f} s at a stretch")

    async def cripple(self) -> None:
        """Make some victims unable to end by themselves, so that the host closes on them."""
        victims = [part for part in self._parts if part.is_victim]
        for part, lame in zip(victims, (_stop, _hang, _resist), strict=False):
            pid = await rise(self._scene, part)
            if pid is not None:
                target = Target(self._scene, part, pid, random.Random(part.id))
                self._lame.append(target)
                await lame(target)

    async def closed(self, took_s: float) -> None:
        """The host has closed."""
        if took_s > _CLOSING_S + self._figures.pulse.worst_s:
            self._scene.tally.violate("the host", f"it took {took_s:.1f} s to close")
        self._scene.tally.events[f"seconds to close: {took_s:.1f}"] += 1
        for call in [call for target in self._lame for call in target.calls]:
            await call

    async def _compare(self, plugin: str) -> None:
        more = await remains(partial(self._holdings, plugin), self._held[plugin])
        for name, number in more.items():
            self._scene.tally.violate(plugin, f"a bystander has {number} {name} more than before")

    async def _holdings(self, plugin: str) -> Counter[str]:
        found: dict[str, int] = await self._scene.host.call(plugin, "holdings", timeout=_ANSWER_S)
        return Counter(found)


async def _stop(target: Target) -> None:
    target.kill(SIGSTOP)


async def _hang(target: Target) -> None:
    target.begin("sleep_in_c")
    await asyncio.sleep(_LAMING_S)


async def _resist(target: Target) -> None:
    """It does not leave, and has left something behind."""
    await target.ask("daemonise")
    await target.ask("stay")
