"""What is done to a running session beside looking at it: sizes, signals, input, questions."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from plugin_host import CallError, SessionExists, TerminalError

from .plan import ROOT
from .trail import Wrong

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .subject import Subject

__all__ = ["feed", "pester", "started", "until"]

_NOTICE_S = 20.0
_WRITES = (1, 10, 1000, 30_000, 100_000)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for what has to come about. Raises Wrong when it does not."""
    end = time.monotonic() + _NOTICE_S
    while not condition():
        if time.monotonic() > end:
            raise Wrong(f"{what} not within {_NOTICE_S:.0f} s")
        await asyncio.sleep(0.01)


async def started(subject: Subject) -> None:
    """Wait until the program knows its signals. Raises Wrong when it does not come to that."""
    await until(lambda: bool(subject.ledger["ready"]) or subject.is_past, "the program started")


async def pester(subject: Subject) -> None:
    """One action after another, once the program can bear it, until cancelled."""
    actions: list[Callable[[Subject], Awaitable[None]]] = [
        _signal,
        _ask,
        _open_again,
        _resize,
        _resize_badly,
    ]
    async with subject.trial("starts"):
        await started(subject)
    while True:
        await asyncio.sleep(subject.chance.uniform(0, 0.4))
        await subject.chance.choice(actions)(subject)


async def _resize(subject: Subject) -> None:
    rows, cols = subject.chance.randint(1, 65_535), subject.chance.randint(1, 65_535)
    if not subject.plan.tty:
        async with subject.trial("resizes of pipes"):
            try:
                await subject.session.resize(rows=rows, cols=cols)
            except TerminalError:
                return
            raise Wrong("pipes took a size")
    async with subject.trial("resizes"):
        await subject.session.resize(rows=rows, cols=cols)
        await until(
            lambda: (subject.ledger["rows"], subject.ledger["cols"]) == (rows, cols) or subject.is_past,
            f"the program saw {rows} x {cols}",
        )


async def _resize_badly(subject: Subject) -> None:
    async with subject.trial("sizes out of range"):
        try:
            await subject.session.resize(rows=subject.chance.choice((0, -1, 65_536)), cols=80)
        except CallError as error:
            if type(error).__name__ != "CallFailed":
                raise
            return
        raise Wrong("a size out of range was taken")


async def _signal(subject: Subject) -> None:
    async with subject.trial("signals"):
        before = subject.ledger["signals"]
        await subject.session.signal("SIGUSR1")
        await until(
            lambda: subject.ledger["signals"] > before or subject.is_past, "the program got SIGUSR1"
        )


async def _ask(subject: Subject) -> None:
    async with subject.trial("questions"):
        info = await subject.session.get()
        if info.id != subject.plan.id:
            raise Wrong(f"asked for {subject.plan.id}, told of {info.id}")
        listed = [session.id for session in await subject.host.sessions()]
        if len(listed) != len(set(listed)):
            raise Wrong("a session is listed twice")
        if subject.plan.id not in listed and subject.ends_by_itself:
            raise Wrong("it is not listed")


async def _open_again(subject: Subject) -> None:
    async with subject.trial("ids taken twice"):
        subject.is_reopened = True
        try:
            second = await subject.host.exec(subject.plugin, ["true"], id=subject.plan.id, cwd=ROOT)
        except SessionExists:
            subject.is_reopened = False
            return
        if subject.ends_by_itself:
            raise Wrong("a second session of the same id was opened")
        await second.close()
        subject.is_reopened = False


async def feed(subject: Subject) -> None:
    """Give a mirror its input, in pieces of any size, and end it if that is how it ends."""
    chance, plan = subject.chance, subject.plan
    pattern = subject.patterns["stdout"]
    offset = 0
    async with subject.trial("inputs"):
        await started(subject)
        while offset < plan.total:
            size = min(chance.choice(_WRITES), plan.total - offset)
            await subject.session.write(pattern.slice(offset, size))
            offset += size
            subject.tally.count("bytes written", size)
            if plan.bytes_per_s:
                await asyncio.sleep(min(size / plan.bytes_per_s * chance.uniform(0, 2), 0.2))
        if plan.ending == "stdin":
            await subject.session.close_stdin()
