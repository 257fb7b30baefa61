"""Exec sessions in the middle of it all: every byte that comes of one is the one that belongs there."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import TYPE_CHECKING

from benchmarks.soak.ledger import Ledger
from benchmarks.soak.pattern import Pattern
from benchmarks.soak.plan import ROOT, Plan
from benchmarks.soak.trail import Trail, Wrong
from plugin_host import (
    CallCancelled,
    CallFailed,
    ExecSessionError,
    PluginDied,
    PluginHostError,
    PluginNotReady,
)

if TYPE_CHECKING:
    from plugin_host import Exit, Session

    from .part import Part
    from .scene import Scene

__all__ = ["watch_often"]

_PAUSE_S = 1.5
_LONGEST_S = 60.0
_TOTALS = (1, 5000, 200_000, 1_000_000)
_OF_THE_PLUGIN = (CallCancelled, PluginDied, PluginNotReady)  # others are of the session or its program
_DOCUMENTED = (CallCancelled, CallFailed, ExecSessionError, PluginDied, PluginNotReady)


async def watch_often(scene: Scene, part: Part, seed: str) -> None:
    """One session after another in a plugin, until the run is over."""
    chance = random.Random(seed)
    number = 0
    while not scene.is_over:
        await asyncio.sleep(chance.uniform(0, _PAUSE_S))
        await _Watched(scene, part, _draw(part, number, chance)).run()
        number += 1


def _draw(part: Part, number: int, chance: random.Random) -> Plan:
    kind = chance.choice(("source", "source", "mirror"))
    tty = kind == "source" and chance.random() < 0.5
    total = chance.choice(_TOTALS)
    tags = {"stdout": f"{part.id[0]}{part.id[-1]}{number:05d}o"}
    if kind == "source" and not tty:
        tags["stderr"] = tags["stdout"][:-1] + "e"
    return Plan(
        id=f"session-of-{part.id}-{number}",
        kind=kind,
        tty=tty,
        binary=not tty,
        tags=tags,
        total=total,
        bytes_per_s=int(total / chance.uniform(0.1, 3.0)) + 1,
        code=chance.randrange(100),
        linger=False,
        ending="stdin" if kind == "mirror" else "exit",
        detached=False,
        replay_bytes=None,
        seed=str(chance.random()),
    )


class _Watched:
    """One session from its opening to its close."""

    def __init__(self, scene: Scene, part: Part, plan: Plan) -> None:
        self._scene = scene
        self._part = part
        self._plan = plan
        self._patterns = {name: Pattern(tag, is_text=plan.tty) for name, tag in plan.tags.items()}

    async def run(self) -> None:
        path = self._scene.room / self._plan.id
        self._scene.tally.sessions["opened"] += 1
        try:
            with Ledger(path, create=True) as ledger:
                async with asyncio.timeout(_LONGEST_S):
                    await self._follow(ledger)
        except TimeoutError:
            self._violate(f"it went on for more than {_LONGEST_S:g} s")
        except Wrong as wrong:
            if self._part.id not in self._scene.tainted:
                self._violate(str(wrong))
        except PluginHostError as error:
            self._failed(error)
        finally:
            path.unlink()

    async def _follow(self, ledger: Ledger) -> None:
        plan = self._plan
        session = await self._scene.host.exec(
            self._part.id,
            plan.command(sys.executable, self._scene.room / plan.id),
            tty=plan.tty,
            id=plan.id,
            cwd=ROOT,
        )
        trail = Trail(self._patterns, dict.fromkeys(self._patterns, 0), may_start_late=False)
        feeding = asyncio.create_task(self._feed(session)) if plan.kind == "mirror" else None
        try:
            async with await session.attach(lossless=True) as viewer:
                async for item in viewer:
                    trail.follow(item)
            if feeding is not None:
                await feeding
            self._check_exit(await session.wait(), trail, ledger)
            await session.close()
        finally:
            self._scene.tally.sessions["bytes checked"] += trail.seen_bytes
            if feeding is not None:
                feeding.cancel()
                await asyncio.wait([feeding])
        self._scene.tally.sessions["complete"] += 1

    async def _feed(self, session: Session) -> None:
        """Give a mirror its input, at the pace of the plan."""
        pattern, plan, offset = self._patterns["stdout"], self._plan, 0
        while offset < plan.total:
            size = min(20_000, plan.total - offset)
            await session.write(pattern.slice(offset, size))
            offset += size
            await asyncio.sleep(size / plan.bytes_per_s)
        await session.close_stdin()

    def _check_exit(self, exit: Exit, trail: Trail, ledger: Ledger) -> None:
        plan = self._plan
        if exit.code != plan.code:
            if self._part.is_victim:
                self._scene.tally.sessions["ended otherwise than planned"] += 1
                return  # the limits of its plugin are also its own
            raise Wrong(
                f"it ended with {exit.code if exit.code is not None else exit.signal} ({exit.reason})"
            )
        written = {name: ledger[f"written_{name}"] for name in self._patterns}
        trail.finish(written, written)
        if written["stdout"] != plan.total:
            raise Wrong(f"the program put out {written['stdout']} bytes of {plan.total}")

    def _failed(self, error: PluginHostError) -> None:
        tally = self._scene.tally
        tally.sessions[f"failed: {type(error).__name__}"] += 1
        if not self._part.is_victim:
            self._violate(f"a bystander lost a session: {type(error).__name__}: {error}")
        elif not isinstance(error, _DOCUMENTED):
            self._violate(f"it failed with {type(error).__name__}: {error}")
        elif isinstance(error, _OF_THE_PLUGIN) and self._part.id not in str(error):
            self._violate(f"{type(error).__name__} does not say of whom it is: {error}")

    def _violate(self, what: str) -> None:
        self._scene.tally.violate(self._plan.id, what)
