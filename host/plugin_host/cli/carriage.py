"""Carries bytes between a session and this process's own descriptors until the session has ended.

Owns neither the session nor the descriptors. Invariant: it returns when every byte of output is written,
and not before; output that is lost is an error, never silence. Input that the session takes no more is
nobody's loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from plugin_host.errors import PluginDied, PluginHostError
from plugin_host.exec.viewer import Gap
from plugin_host_sdk.errors import ExecSessionError

from . import inflow, output

if TYPE_CHECKING:
    from plugin_host.exec.session import Session

    from .outflow import Outflow

__all__ = ["carry"]

_STDIN = 0
_DESCRIPTORS = {"stdout": output.STDOUT, "stderr": output.STDERR}


async def carry(
    session: Session, outflow: Outflow, *, with_stdin: bool, reacted: Callable[[], None]
) -> None:
    """Feed and show until the end; `reacted` is called for every piece that is shown.

    Raises PluginDied, BrokenPipeError, WriteFailed, ReadFailed, and PluginHostError for lost output.
    """
    showing = asyncio.create_task(_show(session, outflow, reacted))
    others = [
        asyncio.create_task(_feed(session, with_stdin=with_stdin)),
        # What is shown may have to wait for the next output to notice that nobody reads it.
        asyncio.create_task(outflow.broken()),
    ]
    waiting = {showing, *others}
    try:
        while not showing.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in (showing, *others):
            task.cancel()
        await asyncio.gather(showing, *others, return_exceptions=True)


async def _show(session: Session, outflow: Outflow, reacted: Callable[[], None]) -> None:
    shown = dict.fromkeys(_DESCRIPTORS, 0)
    # Not detached when this is left early: a plugin that hangs would not answer, and the terminal waits.
    viewer = await session.attach(lossless=True)
    try:
        async for piece in viewer:
            if isinstance(piece, Gap):
                break
            reacted()
            await outflow.write(_DESCRIPTORS[piece.stream], piece.data)
            shown[piece.stream] += len(piece.data)
    except PluginHostError:
        await outflow.flush()  # the last that is known
        raise
    await outflow.flush()
    for name, total in (await session.totals()).items():
        if shown.get(name) != total:
            raise PluginHostError(f"output was lost: of {total} bytes of {name} came {shown.get(name)}")


async def _feed(session: Session, *, with_stdin: bool) -> None:
    try:
        if with_stdin:
            async with aclosing(inflow.pieces(_STDIN)) as pieces:
                async for piece in pieces:
                    await session.write(piece)
        await session.close_stdin()
    except (ExecSessionError, PluginDied):
        pass  # the session takes no more; how it ends is seen by who shows it
