"""The soak itself: a host, two plugins, many sessions at a time, one plugin killed now and then."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_host import PluginHost, State
from plugin_host.configuration import Configuration, Warm

from .action import until
from .life import live
from .remains import here, marked, remains
from .stage import PLUGINS, holdings, write_plugins

if TYPE_CHECKING:
    from .tally import Tally

__all__ = ["Arena"]

_STEADY, _MORTAL = PLUGINS
_KILL_EVERY_S = 12.0
_MOST_VIOLATIONS = 20


class Arena:
    """`slots` sessions at any time for `seconds`; what was wrong is in the tally afterwards."""

    def __init__(
        self, folder: Path, seed: str, seconds: float, slots: int, mark: str, tally: Tally
    ) -> None:
        self._folder = folder
        self._seed = seed
        self._seconds = seconds
        self._slots = slots
        self._mark = mark
        self._tally = tally
        self._end = 0.0
        self._done = asyncio.Event()
        self._numbers = iter(range(10**6))
        self._lives = dict.fromkeys(PLUGINS, 0)  # how often each was killed
        self._is_up = {plugin: asyncio.Event() for plugin in PLUGINS}

    async def run(self) -> None:
        """All of it, up to the look at what is left."""
        write_plugins(self._folder)
        # A forkserver, which is started when it pays, has descriptors that would count as left over.
        config = Configuration(warm=Warm(launch="never"))
        async with PluginHost(
            plugin_dirs=[self._folder], entry_points=False, only=PLUGINS, config=config
        ) as host:
            for plugin in PLUGINS:
                await self._rise(host, plugin)
            mine = await here()
            steady = await holdings(host, _STEADY)
            self._end = time.monotonic() + self._seconds
            killer = asyncio.create_task(self._kill_often(host))
            try:
                await asyncio.gather(*(self._fill(host) for _ in range(self._slots)))
            finally:
                self._done.set()
                await killer
            await self._settle(host, mine, steady)
        await self._nothing_runs()

    @property
    def _is_over(self) -> bool:
        return time.monotonic() > self._end or len(self._tally.violations) > _MOST_VIOLATIONS

    async def _fill(self, host: PluginHost) -> None:
        """One session after another in one slot."""
        while not self._is_over:
            number = next(self._numbers)
            plugin = random.Random(f"{self._seed}/{number}/plugin").choice(PLUGINS)
            await self._is_up[plugin].wait()
            life = self._lives[plugin]
            is_doomed = partial(self._was_killed, plugin, life)
            await live(host, plugin, number, self._seed, self._folder, self._tally, is_doomed)

    def _was_killed(self, plugin: str, life: int) -> bool:
        return self._lives[plugin] != life

    async def _kill_often(self, host: PluginHost) -> None:
        chance = random.Random(f"{self._seed}/kills")
        pause = min(_KILL_EVERY_S, self._seconds / 2)
        while not self._done.is_set():
            try:
                async with asyncio.timeout(pause * chance.uniform(0.5, 1.5)):
                    await self._done.wait()
            except TimeoutError:
                await self._kill(host)

    async def _kill(self, host: PluginHost) -> None:
        """SIGKILL to the mortal plugin: no session of it may hang, and what it ran must end."""
        plugin = host.plugins[_MORTAL]
        assert plugin.pid is not None
        self._tally.count("plugins killed")
        self._is_up[_MORTAL].clear()
        self._lives[_MORTAL] += 1
        os.kill(plugin.pid, signal.SIGKILL)
        await until(lambda: plugin.state not in (State.READY, State.STOPPING), "the death was noticed")
        await host.start(_MORTAL)
        await self._rise(host, _MORTAL)

    async def _rise(self, host: PluginHost, plugin: str) -> None:
        """Open the first sessions, which load what all need."""
        error = host.plugins[plugin].error
        if error is not None:
            raise error
        for tty in (True, False):
            session = await host.exec(plugin, ["true"], tty=tty)
            await session.wait()
            await session.close()
        self._is_up[plugin].set()

    async def _settle(self, host: PluginHost, mine: Counter[str], steady: Counter[str]) -> None:
        """Nobody holds more than at the start."""

        async def sessions() -> Counter[str]:
            return Counter(session.id for session in await host.sessions())

        # An opening that was cancelled is closed without anybody waiting for it.
        await remains(sessions, Counter())
        for session in await host.sessions():
            self._tally.violate(session.id, f"it is left over: {await session.get()}")
        left = await remains(partial(holdings, host, _STEADY), steady)
        # Its process was replaced, and never did more than the other.
        also_left = await remains(partial(holdings, host, _MORTAL), steady)
        for where, what in ((_STEADY, left), (_MORTAL, also_left), ("the host", await remains(here, mine))):
            for name, number in what.items():
                self._tally.violate(where, f"{number} {name} left over")

    async def _nothing_runs(self) -> None:
        """What was started in the plugins has ended with them."""

        async def look() -> Counter[str]:
            return Counter({str(pid): 1 for pid in marked(self._mark)})

        for pid in await remains(look, Counter()):
            print(f"left over: process {pid}", file=sys.stderr)
            self._tally.violate("the machine", f"process {pid} is left over")
