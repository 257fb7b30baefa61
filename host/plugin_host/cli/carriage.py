"""Carries bytes between a session and this process's own descriptors, until it ends or the user leaves.

Owns neither the session nor the descriptors. Invariant: at the session's end it returns when every byte of
output is written, and not before; output that is lost is an error, never silence, unless whoever looks on
may miss some. Input that the session takes no more is nobody's loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from plugin_host.errors import PluginDied, PluginHostError
from plugin_host.exec.viewer import Gap
from plugin_host_sdk.errors import ExecSessionError

from . import inflow, output

if TYPE_CHECKING:
    from plugin_host.exec.viewer import Viewer

    from .detachkey import Leaving
    from .outflow import Outflow

__all__ = ["Manner", "Worked", "carry"]

_STDIN = 0
_DESCRIPTORS = {"stdout": output.STDOUT, "stderr": output.STDERR}


class Worked(Protocol):
    """A session as it is needed here, beside its viewer."""

    async def close_stdin(self) -> None: ...

    async def totals(self) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What becomes of stdin and of gaps.

    Stdin is read if `reads`, written into the session if `writes`, and its end is the input's end if
    `ends`; `leaving` are the keys by which the user leaves. `missed` is called with the bytes of a gap;
    without it gaps are an error.
    """

    reads: bool
    writes: bool = True
    ends: bool = True
    leaving: Leaving | None = None
    missed: Callable[[int], None] | None = None


async def carry(
    session: Worked, viewer: Viewer, outflow: Outflow, manner: Manner, *, reacted: Callable[[], None]
) -> bool:
    """Feed and show until the end; False when the user has left before it.

    `reacted` is called for every piece that is shown. Raises PluginDied, HostLost, BrokenPipeError,
    WriteFailed, ReadFailed, and PluginHostError for lost output.
    """
    showing = asyncio.create_task(_show(session, viewer, outflow, manner, reacted))
    feeding = asyncio.create_task(_feed(session, viewer, manner))
    # What is shown may have to wait for the next output to notice that nobody reads it.
    breaking = asyncio.create_task(outflow.broken())
    tasks: tuple[asyncio.Task[bool], ...] = (showing, feeding, breaking)
    waiting = set(tasks)
    try:
        while not showing.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            results = [task.result() for task in done]  # also of those behind one that was left
            if not all(results):
                return False
        return True
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _show(
    session: Worked, viewer: Viewer, outflow: Outflow, manner: Manner, reacted: Callable[[], None]
) -> bool:
    shown = dict.fromkeys(_DESCRIPTORS, 0) | viewer.start
    try:
        async for piece in viewer:
            if not isinstance(piece, Gap):
                reacted()
                await outflow.write(_DESCRIPTORS[piece.stream], piece.data)
                shown[piece.stream] = piece.offset + len(piece.data)
            elif manner.missed is not None:
                manner.missed(piece.size)
                shown[piece.stream] = piece.offset + piece.size
            else:
                break
    except PluginHostError:
        await outflow.flush()  # the last that is known
        raise
    await outflow.flush()
    for name, total in (await session.totals()).items():
        if shown.get(name) != total:
            raise PluginHostError(f"output was lost: of {total} bytes of {name} came {shown.get(name)}")
    return True


async def _feed(session: Worked, viewer: Viewer, manner: Manner) -> bool:
    """Pass stdin on, as far as is wanted; False when the user leaves."""
    try:
        if manner.reads and await _type(viewer, manner):
            return False
        if manner.ends:
            await session.close_stdin()
    except (ExecSessionError, PluginDied):
        pass  # the session takes no more; how it ends is seen by who shows it
    return True


async def _type(viewer: Viewer, manner: Manner) -> bool:
    """Pass stdin on up to its end; True when the user leaves before it."""
    async with aclosing(inflow.pieces(_STDIN)) as pieces:
        async for piece in pieces:
            typed, leaves = manner.leaving.feed(piece) if manner.leaving else (piece, False)
            if typed and manner.writes:
                await viewer.write(typed)
            if leaves:
                return True
    return False
