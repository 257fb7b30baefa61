"""A whole run: the host, the callers, the victims' lots, and the looks at what it costs."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from plugin_host import PluginHost

from .chronicle import Chronicle
from .deck import Deck
from .gauge import Growth, gauge
from .load import call_often
from .outcome import Outcome
from .part import cast, write
from .pulse import Pulse
from .scene import Scene
from .table import Figures, line
from .torment import torment
from .watched import watch_often

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from plugin_host import Caller
    from plugin_host.service import Service

    from .tally import Tally

__all__ = ["Arena"]

_CALLERS = 2
_RELAY_S = 2.0
_LINE_S = 10.0
_LOOK_S = 0.25
_WARM = 0.2  # of the whole time; then everything has happened that makes the host grow once
_LONGEST_PAUSE_S = 1.5
_PAUSES = 40  # so many, at their longest, fill the time
_MOST_VIOLATIONS = 100


class Arena:
    """`number` plugins for `seconds`; what was wrong is in the tally afterwards, and what was measured
    in `figures`. `mark` is what all processes of the run have in their environment."""

    def __init__(
        self, folder: Path, seed: str, seconds: float, number: int, mark: str, tally: Tally
    ) -> None:
        self.figures = Figures(Pulse(), Growth())
        self._plugins, self._room = folder / "plugins", folder / "sessions"
        self._seed = seed
        self._seconds = seconds
        self._mark = mark
        self._tally = tally
        self._parts = cast(number)
        self._deck = Deck(random.Random(f"{seed}/deck"), self._is_time_up)
        self._chronicle = Chronicle(tally, frozenset(part.id for part in self._parts if not part.is_victim))
        self._begun = 0.0

    async def run(self) -> None:
        """All of it, up to the host's end."""
        self._room.mkdir()
        write(self._parts, self._plugins)
        services: dict[str, Service] = {"relay": self._relay, "stamp": _stamp}
        host = PluginHost(plugin_dirs=[self._plugins], entry_points=False, services=services)
        async with host:
            self._host = host
            listening = asyncio.create_task(self._listen())
            beating = asyncio.create_task(self.figures.pulse.beat())
            scene = self._scene()
            outcome = Outcome(scene, self._parts, self.figures)
            await outcome.warm_up()
            await self._rage(scene)
            await outcome.settle()
            self._chronicle.is_closing = True
            await outcome.cripple()
            closing = time.monotonic()
        await outcome.closed(time.monotonic() - closing)
        beating.cancel()
        await asyncio.wait([listening, beating])
        listening.result()
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            self._tally.violate("the host", f"{len(left)} tasks are left: {left}")

    def _scene(self) -> Scene:
        return Scene(
            host=self._host,
            tally=self._tally,
            pulse=self.figures.pulse,
            chronicle=self._chronicle,
            plugins=self._plugins,
            room=self._room,
            pause_s=min(_LONGEST_PAUSE_S, self._seconds / _PAUSES),
        )

    def _is_time_up(self) -> bool:
        is_hopeless = len(self._tally.violations) > _MOST_VIOLATIONS
        return time.monotonic() - self._begun > self._seconds or is_hopeless

    async def _listen(self) -> None:
        async for event in self._host.events():
            self._chronicle.hear(event)

    async def _relay(self, caller: Caller, to: str, value: Any) -> Any:
        """A service: pass a call on to another plugin."""
        return await self._host.call(to, "echo", {"value": value}, timeout=_RELAY_S)

    async def _rage(self, scene: Scene) -> None:
        """Load and faults, until the time is up and every kind of fault has been suffered."""
        self._begun = time.monotonic()
        victims = [part for part in self._parts if part.is_victim]
        lots = [torment(scene, part, self._deck, f"{self._seed}/{part.id}/lot") for part in victims]
        around = [asyncio.create_task(one) for one in (*self._load(scene), self._watch(scene))]
        try:
            await asyncio.gather(*lots)
        finally:
            self.figures.end = await gauge(self._mark)
            scene.is_over = True
            done, _ = await asyncio.wait(around)
        for task in done:
            task.result()
        for name in self._deck.missing:
            self._tally.violate("the run", f"nobody suffered: {name}")

    def _load(self, scene: Scene) -> list[Coroutine[Any, Any, None]]:
        """Callers of every plugin, and sessions in half of them."""
        calls = [
            call_often(scene, part, self._parts, f"{self._seed}/{part.id}/{number}")
            for part in self._parts
            for number in range(_CALLERS)
        ]
        watched = self._parts[::2]
        return calls + [watch_often(scene, part, f"{self._seed}/{part.id}/sessions") for part in watched]

    async def _watch(self, scene: Scene) -> None:
        """A line of figures now and then, and what is compared at the end."""
        due = _LINE_S
        while not scene.is_over:
            await asyncio.sleep(_LOOK_S)
            passed = time.monotonic() - self._begun
            if self._deck.is_dealt:
                self.figures.growth.note(passed / self._seconds)
            if self.figures.start is None and passed > self._seconds * _WARM:
                self.figures.start = await gauge(self._mark)
            if passed > due:
                due += _LINE_S
                now = await gauge(self._mark)
                print(line(passed, self._tally, now, self.figures.pulse), flush=True)


def _stamp(caller: Caller, value: Any) -> Any:
    """A service that runs in a thread."""
    time.sleep(0.001)
    return value
