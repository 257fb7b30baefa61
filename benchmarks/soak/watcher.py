"""Viewers of one session: each attaches somewhere, reads in its own manner, and follows its trail."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from plugin_host import CallError

from .trail import Trail, Wrong

if TYPE_CHECKING:
    from .subject import Subject

__all__ = ["keep", "look_beyond", "visit"]

_BEYOND = 1 << 40


async def keep(subject: Subject) -> None:
    """See the session from its first byte to its last."""
    async with subject.trial("whole outputs"):
        starts: dict[str, int | None] = dict.fromkeys(subject.patterns, 0)
        is_late = subject.plan.detached
        trail = Trail(
            subject.patterns, dict.fromkeys(starts) if is_late else starts, may_start_late=is_late
        )
        await _read(subject, trail, {"offset": None, "lossless": True}, time.monotonic() + 1e9)


async def visit(subject: Subject) -> None:
    """Attach anywhere, look on for a while, and leave."""
    chance = subject.chance
    lossless = chance.random() < 0.6
    async with subject.trial("visits, lossless" if lossless else "visits, lossy"):
        trail = Trail(subject.patterns, dict.fromkeys(subject.patterns), may_skip=not lossless)
        offset = await _draw_offset(subject, trail)
        options = {"offset": offset, "lossless": lossless, "read_only": chance.random() < 0.3}
        until = time.monotonic() + chance.choice((0.0, 0.01, 0.1, 0.5, 3.0, 1e9))
        await _read(subject, trail, options, until)


async def look_beyond(subject: Subject) -> None:
    """An offset that the session has not reached is refused."""
    async with subject.trial("offsets beyond the end"):
        try:
            viewer = await subject.session.attach(offset=_BEYOND)
        except CallError as error:
            if type(error).__name__ != "CallFailed":
                raise
            return
        await viewer.detach()
        raise Wrong("attached beyond the end of the output")


async def _draw_offset(subject: Subject, trail: Trail) -> Any:
    """Where to attach; the trail is told what has to come of it."""
    kind = subject.chance.choice(("oldest", "live", "number", "map"))
    if kind == "oldest":
        return None
    output = (await subject.session.get()).output
    ends = {name: output[name].end for name in subject.patterns}
    if kind == "live":
        trail.earliest = ends
        return -1
    drawn = {name: subject.chance.randint(0, end) for name, end in ends.items()}
    if kind == "number":
        trail.starts["stdout"] = drawn["stdout"]
        return drawn["stdout"]
    trail.starts.update(drawn)
    return drawn


async def _read(subject: Subject, trail: Trail, options: dict[str, Any], until: float) -> None:
    async with await subject.session.attach(**options) as viewer:
        if options["offset"] is None and sum(subject.offered().values()) <= subject.kept:
            trail.starts = dict.fromkeys(subject.patterns, 0)  # so far nothing can have been lost
        pace = subject.chance.choice((0.0, 0.0, 0.002, 0.02))
        async for item in viewer:
            trail.follow(item)
            if time.monotonic() > until:
                await _leave(subject, viewer)
                break
            if pace:
                await asyncio.sleep(pace * subject.chance.uniform(0, 2))
            elif subject.chance.random() < 0.001:
                await asyncio.sleep(subject.chance.uniform(0, 1))
        else:
            _finish(subject, trail)
    subject.tally.count("bytes seen", trail.seen_bytes)
    subject.tally.count("gaps", trail.gaps)
    subject.tally.count("bytes in gaps", trail.skipped_bytes)


async def _leave(subject: Subject, viewer: Any) -> None:
    if subject.chance.random() < 0.5:
        await viewer.detach()  # or else it is the end of the block that does it


def _finish(subject: Subject, trail: Trail) -> None:
    if subject.ends_by_itself:
        subject.tally.count("ends seen")
        trail.finish(subject.written(), subject.offered())
