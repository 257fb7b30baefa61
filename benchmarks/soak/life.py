"""The life of one session in the soak, from the call that opens it to the second close."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_host import PluginDied, PluginHostError, PluginNotReady, SessionClosed, SessionNotFound

from .action import feed, pester, started
from .child import INTERRUPTED
from .ledger import Ledger
from .plan import ROOT, draw
from .subject import PATIENCE_S, Subject
from .trail import Wrong
from .watcher import keep, look_beyond, visit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from plugin_host import PluginHost, Session

    from .plan import Plan
    from .tally import Tally

__all__ = ["live"]

_VISITORS = 5
_CANCELLED = 0.06  # of all calls that open a session
_LONGEST_RUN_S = 3.0


async def live(
    host: PluginHost,
    plugin: str,
    number: int,
    seed: str,
    room: Path,
    tally: Tally,
    is_doomed: Callable[[], bool],
) -> None:
    """Open session `number`, let everything happen to it, and end it. Violations go to the tally."""
    chance = random.Random(f"{seed}/{number}")
    plan = draw(chance, number)
    path = room / plan.id
    try:
        with Ledger(path, create=True) as ledger:
            opening = _open(host, plugin, plan, path)
            if chance.random() < _CANCELLED:
                tally.count("cancelled openings")
                await _cancel(host, plan, opening, chance, tally)
                return
            session = await opening
            tally.count("sessions on terminals" if plan.tty else "sessions on pipes")
            await _run(Subject(host, plugin, plan, session, ledger, tally, chance, is_doomed))
    except (PluginDied, PluginNotReady) as error:
        if not is_doomed():
            tally.violate(plan.id, f"opening raised {type(error).__name__}: {error}")
    except PluginHostError as error:
        tally.violate(plan.id, f"opening raised {type(error).__name__}: {error}")
    finally:
        path.unlink()


async def _open(host: PluginHost, plugin: str, plan: Plan, ledger: Path) -> Session:
    async with asyncio.timeout(PATIENCE_S):
        return await host.exec(
            plugin,
            plan.command(sys.executable, ledger),
            tty=plan.tty,
            id=plan.id,
            cwd=ROOT,
            replay_bytes=plan.replay_bytes,
            detached=plan.detached,
        )


async def _cancel(
    host: PluginHost, plan: Plan, opening: Coroutine[Any, Any, Session], chance: random.Random, tally: Tally
) -> None:
    """Cancel the opening at any moment: either there is a session, or there is nothing at all."""
    task = asyncio.create_task(opening)
    await asyncio.sleep(chance.choice((0.0, chance.uniform(0, 0.01))))
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is None:
        await task.result().close()
    for _ in range(200):
        if all(session.id != plan.id for session in await host.sessions()):
            return
        await asyncio.sleep(0.02)
    tally.violate(plan.id, "its opening was cancelled, and it is still there")


async def _run(subject: Subject) -> None:
    chance = subject.chance
    watching = [asyncio.create_task(keep(subject))]
    watching += [asyncio.create_task(_later(visit, subject)) for _ in range(chance.randrange(_VISITORS))]
    acting = [asyncio.create_task(pester(subject))]
    if subject.plan.kind == "mirror":
        acting.append(asyncio.create_task(feed(subject)))
    try:
        if chance.random() < 0.1:
            await look_beyond(subject)
        async with subject.trial(f"ends by {subject.plan.ending}"):
            await _end(subject)
        subject.is_ending = True
        await _stop(acting)
        if chance.random() < 0.2:
            watching.pop().cancel()  # one of the visitors, or the one who sees it all
        await _all_over(subject, watching)
        await _look_back(subject)
    finally:
        await _stop(acting + watching)


async def _later(coroutine: Callable[[Subject], Coroutine[Any, Any, None]], subject: Subject) -> None:
    await asyncio.sleep(subject.chance.uniform(0, _LONGEST_RUN_S))
    await coroutine(subject)


async def _end(subject: Subject) -> None:
    session, plan, chance = subject.session, subject.plan, subject.chance
    if plan.ending in ("interrupt", "kill", "close"):
        await started(subject)
        await asyncio.sleep(chance.uniform(0, _LONGEST_RUN_S))
    if plan.ending == "close":
        subject.is_closing = True
        await session.close()
    elif plan.ending in ("interrupt", "kill"):
        subject.is_ending = True
        await session.signal("SIGINT" if plan.ending == "interrupt" else "SIGKILL")
    exit = await session.wait()
    how = exit.code if exit.code is not None else exit.signal
    expected = {"interrupt": INTERRUPTED, "kill": "SIGKILL"}.get(plan.ending)
    if plan.ending != "close" and how not in (plan.code, expected):
        raise Wrong(f"ended with {how} ({exit.reason}), expected {plan.code} or {expected}")
    if plan.ending == "stdin" and subject.written()["stdout"] != plan.total:
        raise Wrong(f"the program was given {plan.total} bytes and saw {subject.written()['stdout']}")


async def _all_over(subject: Subject, watching: list[asyncio.Task[None]]) -> None:
    """Every viewer comes to an end by itself once the session has."""
    if not watching:
        return
    _, pending = await asyncio.wait(watching, timeout=PATIENCE_S)
    if pending:
        subject.tally.violate(repr(subject), f"{len(pending)} viewers did not end")
    for task in watching:
        if task.done() and not task.cancelled():
            task.result()


async def _look_back(subject: Subject) -> None:
    """What an ended session still does, and what a closed one does not."""
    session = subject.session
    if not subject.is_closing:
        await visit(subject)
        async with subject.trial("writes to ended sessions"):
            try:
                await session.write(b"x")
            except SessionClosed:
                pass
            else:
                raise Wrong("it took input")
        async with subject.trial("closes of ended sessions"):
            subject.is_closing = True
            await session.close()
    async with subject.trial("second closes"):
        try:
            await session.close()
        except SessionNotFound:
            return
        if not subject.is_reopened:
            raise Wrong("it could be closed twice")


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
