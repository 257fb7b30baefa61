"""A whole run: the host, the callers, the victims' lots, and the looks at what it costs."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.soak.remains import remains
from plugin_host import PluginHost

from .chronicle import Chronicle
from .deck import Deck
from .gauge import Gauge, gauge
from .load import call_often
from .part import cast, write
from .pulse import Pulse
from .scene import Scene
from .table import line
from .torment import torment
from .watched import watch_often

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from plugin_host import Caller

    from .part import Part
    from .tally import Tally

__all__ = ["Arena"]

_CALLERS = 2
_RELAY_S = 2.0
_LINE_S = 10.0
_WARM = 0.2  # of the whole time; then everything has happened that makes the host grow once
_MOST_GROWTH = 0.15
_SPARED_GROWTH = 24_000_000
_MOST_BUSY_S = 0.5
_MOST_VIOLATIONS = 100


class Arena:
    """`number` plugins for `seconds`; what was wrong is in the tally afterwards.

    `start` and `end` are what the host had when it was warm and before it was closed.
    """

    def __init__(
        self, folder: Path, seed: str, seconds: float, number: int, mark: str, tally: Tally
    ) -> None:
        self.start: Gauge | None = None
        self.end: Gauge | None = None
        self.pulse = Pulse()
        self._plugins, self._room = folder / "plugins", folder / "sessions"
        self._seed = seed
        self._seconds = seconds
        self._mark = mark
        self._tally = tally
        self._parts = cast(number)
        self._chronicle = Chronicle(tally, frozenset(part.id for part in self._parts if not part.is_victim))
        self._is_over = False
        self._begun = 0.0

    async def run(self) -> None:
        """All of it, up to the host's end."""
        self._room.mkdir()
        write(self._parts, self._plugins)
        async with PluginHost(
            plugin_dirs=[self._plugins],
            entry_points=False,
            services={"relay": self._relay, "stamp": _stamp},
        ) as host:
            self._host = host
            listener = asyncio.create_task(self._listen())
            beat = asyncio.create_task(self.pulse.beat())
            await self._warm_up()
            held = {part.id: await self._holdings(part) for part in self._bystanders}
            await self._rage(
                Scene(
                    host, self._tally, self.pulse, self._chronicle, self._plugins, self._room, self._is_done
                )
            )
            await self._settle(held)
            self._chronicle.is_closing = True
        beat.cancel()
        await asyncio.wait([listener, beat])
        listener.result()
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            self._tally.violate("the host", f"{len(left)} tasks are left: {left}")

    @property
    def _bystanders(self) -> list[Part]:
        return [part for part in self._parts if not part.is_victim]

    def _is_done(self) -> bool:
        return self._is_over

    def _is_time_up(self) -> bool:
        is_hopeless = len(self._tally.violations) > _MOST_VIOLATIONS
        return time.monotonic() - self._begun > self._seconds or is_hopeless

    async def _listen(self) -> None:
        async for event in self._host.events():
            self._chronicle.hear(event)

    async def _relay(self, caller: Caller, to: str, value: Any) -> Any:
        """A service: pass a call on to another plugin."""
        return await self._host.call(to, "echo", {"value": value}, timeout=_RELAY_S)

    async def _warm_up(self) -> None:
        """Everybody answers, and has loaded and opened what is loaded and opened once."""
        for part in self._parts:
            await self._host.call(part.id, "doze", {"seconds": 0, "value": 1}, timeout=30)
            for tty in (True, False):
                session = await self._host.exec(part.id, ["true"], tty=tty)
                await session.wait()
                await session.close()

    async def _rage(self, scene: Scene) -> None:
        """Load and faults, until the time is up and every kind of fault has been suffered."""
        self._begun = time.monotonic()
        deck = Deck(random.Random(f"{self._seed}/deck"), self._is_time_up)
        victims = [part for part in self._parts if part.is_victim]
        lots = [torment(scene, part, deck, f"{self._seed}/{part.id}/lot") for part in victims]
        around = [asyncio.create_task(one) for one in (*self._load(scene), self._watch())]
        try:
            await asyncio.gather(*lots)
        finally:
            self.end = await gauge(self._mark)
            self._is_over = True
            done, _ = await asyncio.wait(around)
        for task in done:
            task.result()
        for name in deck.missing:
            self._tally.violate("the run", f"nobody suffered: {name}")

    def _load(self, scene: Scene) -> list[Coroutine[Any, Any, None]]:
        calls = [
            call_often(scene, part, self._parts, f"{self._seed}/{part.id}/{number}")
            for part in self._parts
            for number in range(_CALLERS)
        ]
        return calls + [
            watch_often(scene, part, f"{self._seed}/{part.id}/sessions") for part in self._parts[::2]
        ]

    async def _watch(self) -> None:
        """A line of figures now and then, and the figures to compare with when the host is warm."""
        due = _LINE_S
        while not self._is_over:
            await asyncio.sleep(0.05)
            passed = time.monotonic() - self._begun
            if self.start is None and passed > self._seconds * _WARM:
                self.start = await gauge(self._mark)
            if passed > due:
                due += _LINE_S
                print(line(passed, self._tally, await gauge(self._mark), self.pulse), flush=True)

    # The end.

    async def _settle(self, held: dict[str, Counter[str]]) -> None:
        """Nobody who was not touched holds more than before, and the host has not grown."""
        for part in self._bystanders:
            more = await remains(partial(self._holdings, part), held[part.id])
            for name, number in more.items():
                self._tally.violate(part.id, f"a bystander has {number} {name} more than before")
        for session in await self._host.sessions():
            self._tally.violate(session.id, "it is left over")
        assert self.start is not None
        assert self.end is not None
        allowed = self.start.rss * (1 + _MOST_GROWTH) + _SPARED_GROWTH
        if self.end.rss > allowed:
            grown = f"{self.start.rss / 1e6:.0f} to {self.end.rss / 1e6:.0f} MB"
            self._tally.violate("the host", f"it has grown from {grown}")
        if self.pulse.busiest_s > _MOST_BUSY_S:
            self._tally.violate(
                "the host", f"its loop was busy for {self.pulse.busiest_s:.2f} s at a stretch"
            )

    async def _holdings(self, part: Part) -> Counter[str]:
        found: dict[str, int] = await self._host.call(part.id, "holdings", timeout=30)
        return Counter(found)


def _stamp(caller: Caller, value: Any) -> Any:
    """A service that runs in a thread."""
    time.sleep(0.001)
    return value
