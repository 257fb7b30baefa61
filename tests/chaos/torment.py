"""One victim's lot: one fault after another, and after each a look at what has come of it."""

from __future__ import annotations

import asyncio
import random
import re
from typing import TYPE_CHECKING

from benchmarks.soak.remains import marked
from plugin_host import PluginHostError, State

from .fault import SWAP, Fate
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from .deck import Deck
    from .fault import Fault
    from .part import Part
    from .scene import Scene

__all__ = ["rise", "torment"]

_LONG_S, _SHORT_S = 4.0, 1.0
_UP_S = 20.0
_BACK_S = 20.0
_HAND_S = 15.0
_CLEARED_S = 10.0
_LOOK_S = 0.02


async def torment(scene: Scene, part: Part, deck: Deck, seed: str) -> None:
    """One fault after another, until the run is over."""
    chance = random.Random(seed)
    while (fault := deck.draw(part)) is not None:
        await asyncio.sleep(chance.uniform(0, scene.pause_s))
        pid = await rise(scene, part)
        if pid is not None:
            scene.tally.faults[fault.name] += 1
            if fault.taints:
                scene.tainted.add(part.id)
            await _Ordeal(Target(scene, part, pid, chance), fault).run()
            scene.tainted.discard(part.id)
            deck.done(fault)


async def rise(scene: Scene, part: Part) -> int | None:
    """The victim is up and answers: its process. What has ended for good is started by hand."""
    host, tally = scene.host, scene.tally
    plugin = host.plugins[part.id]
    end = _now() + _UP_S
    wrong = ""
    while _now() - scene.pulse.late_since(end - _UP_S) < end:
        try:
            if plugin.state in (State.FAILED, State.STOPPED):
                tally.events[f"started by hand, being {plugin.state}"] += 1
                await host.start(part.id)
            if await host.call(part.id, "echo", {"value": 1}, timeout=3.0) == 1 and plugin.pid is not None:
                return plugin.pid
        except PluginHostError as error:
            wrong = f"{type(error).__name__}: {error}"
            await asyncio.sleep(_LOOK_S)
    tally.violate(part.id, f"it did not come back within {_UP_S:g} s: {wrong}")
    await _rescue(scene, part)
    return None


async def _rescue(scene: Scene, part: Part) -> None:
    """So that the run can go on."""
    try:
        await scene.host.restart(part.id)
    except PluginHostError as error:
        scene.tally.violate(part.id, f"it cannot be restarted by hand either: {error}")


class _Ordeal:
    """One fault and its outcome."""

    def __init__(self, target: Target, fault: Fault) -> None:
        self._target = target
        self._fault = fault
        self._scene = target.scene
        self._id = target.part.id
        self._known = len(self._scene.chronicle.deaths[self._id])

    async def run(self) -> None:
        target, fault = self._target, self._fault
        begun = _now()
        # There is a call in flight, whatever else there is; nothing waits long for one that nothing ends.
        target.begin("wait", timeout=_LONG_S if fault.fate is Fate.DIES else _SHORT_S)
        await asyncio.sleep(target.chance.uniform(0, 0.05))
        await self._inflict(begun)
        if fault.fate is Fate.DIES:
            if await self._comes_about(lambda: bool(self._deaths()), fault.told_s):
                await self._comes_about(self._is_past, _BACK_S)
            else:
                self._violate(f"no death was told within {fault.told_s:g} s")
                await _rescue(self._scene, target.part)
        elif fault.fate is Fate.REPLACED:
            await self._comes_about(self._is_past, _BACK_S)
        self._check_words()
        if fault.fate is not Fate.LIVES:
            await self._nothing_left()
        await self._calls_end()

    async def _inflict(self, begun: float) -> None:
        target, fault = self._target, self._fault
        try:
            async with asyncio.timeout(_HAND_S + self._scene.pulse.late_since(begun)):
                await fault.inflict(target)
        except TimeoutError:
            self._violate(f"it took the host more than {_HAND_S:g} s")
        except PluginHostError as error:
            self._violate(f"{type(error).__name__}: {error}")

    def _deaths(self) -> list[str]:
        """How it has died since, in words."""
        return self._scene.chronicle.deaths[self._id][self._known :]

    def _is_past(self) -> bool:
        """Whether another process has taken over, or nobody is going to start one."""
        state = self._scene.host.plugins[self._id].state
        return self._target.is_replaced or state in (State.FAILED, State.STOPPED, State.IDLE)

    async def _comes_about(self, condition: Callable[[], bool], within_s: float) -> bool:
        begun = _now()
        while not condition():
            if _now() - begun > within_s + self._scene.pulse.late_since(begun):
                return False
            await asyncio.sleep(_LOOK_S)
        return True

    def _check_words(self) -> None:
        """Its deaths are those that the fault leads to, and no others."""
        fault, deaths = self._fault, self._deaths()
        if deaths and fault.fate in (Fate.LIVES, Fate.REPLACED):
            self._violate(f"it died of what nobody dies of: {deaths[0]}")
        for death in deaths:
            if fault.words and not re.search(fault.words, death):
                self._violate(f"its death is told in other words: {death}")

    async def _nothing_left(self) -> None:
        """What it ran has ended with it: before another takes its place, or soon when none does."""
        target, fault = self._target, self._fault
        if not target.mark or not (target.is_replaced or fault.fate is Fate.DIES):
            return
        is_late = fault.name == SWAP or not target.is_replaced
        end = _now() + (_CLEARED_S if is_late else 0.0)
        while left := await asyncio.to_thread(marked, target.mark.decode()):
            if _now() >= end:
                self._violate(f"processes are left of it: {left}")
                return
            await asyncio.sleep(_LOOK_S)

    async def _calls_end(self) -> None:
        """Calls that were in flight have their end, each by its own deadline."""
        if self._target.calls:
            await asyncio.wait(self._target.calls)

    def _violate(self, what: str) -> None:
        self._scene.tally.violate(self._id, f"{self._fault.name}: {what}")


def _now() -> float:
    return asyncio.get_running_loop().time()
