"""Passes the log of a task on to stdout, byte by byte, at the pace of whoever reads that.

Invariant: it returns when the log has ended and every byte of it is written; what is missing is known to
whoever asks the log.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from plugin_host.errors import PluginHostError

from . import output
from .outflow import Outflow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["relay"]


async def relay(log: AsyncIterator[bytes], reacted: Callable[[], None] = lambda: None) -> None:
    """Write it all. `reacted` is called for every piece.

    Raises BrokenPipeError, WriteFailed, and what the log raises, after what came before that is written.
    """
    outflow = Outflow()
    showing = asyncio.create_task(_show(log, outflow, reacted))
    # What is shown may have to wait for the next output to notice that nobody reads it.
    breaking = asyncio.create_task(outflow.broken())
    try:
        await asyncio.wait((showing, breaking), return_when=asyncio.FIRST_COMPLETED)
        (showing if showing.done() else breaking).result()
    finally:
        for task in (showing, breaking):
            task.cancel()
        await asyncio.gather(showing, breaking, return_exceptions=True)
        outflow.close()


async def _show(log: AsyncIterator[bytes], outflow: Outflow, reacted: Callable[[], None]) -> None:
    try:
        async for piece in log:
            reacted()
            await outflow.write(output.STDOUT, piece)
    except PluginHostError:
        with suppress(BrokenPipeError, output.WriteFailed):
            await outflow.flush()  # the last that is known
        raise
    await outflow.flush()
