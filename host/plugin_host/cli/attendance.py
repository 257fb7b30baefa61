"""A user who sits at a session: his terminal is raw, his keys are its input, its size is his screen's.

Invariant: however this is left, the terminal is as it was found.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from plugin_host.errors import PluginHostError

from . import output
from .carriage import carry
from .outflow import Outflow

if TYPE_CHECKING:
    from plugin_host.exec.session import Session
    from plugin_host.exec.viewer import Viewer

    from .carriage import Manner
    from .forwarding import Forwarder
    from .localterminal import LocalTerminal, Size

__all__ = ["attend", "say_left"]


async def attend(
    forwarder: Forwarder,
    session: Session,
    viewer: Viewer,
    manner: Manner,
    *,
    terminal: LocalTerminal | None = None,
    size: Size | None = None,
    forwards: bool = True,
) -> bool:
    """Be the session's keyboard and screen until it has ended; False when the user leaves before.

    `size` is what the session knows of `terminal`, which is None for who has none. Without `forwards`
    signals end this command and are not the session's. Raises as `carry`.
    """
    with ExitStack() as stack:
        outflow = Outflow()
        stack.callback(outflow.close)
        is_raw = False
        if terminal is not None:
            is_raw = manner.reads and terminal.has_keys
            stack.enter_context(terminal.held(raw=is_raw))
            if not viewer.read_only:
                following = asyncio.create_task(_follow(terminal, viewer, size))
                stack.callback(following.cancel)
        if forwards:
            forwarder.forward_to(session, has_keys=is_raw)
            stack.callback(forwarder.forward_to, None)
        return await carry(session, viewer, outflow, manner, reacted=forwarder.reacted)


def say_left(session: Session, who: str = "") -> None:
    """Tell a user at a terminal that he has left a session that goes on; `who` as `identity` says it."""
    if output.is_terminal(output.STDERR):
        output.complain(f"\nleft session {session.id}; it runs on: {who}plugin-host attach {session.id}\n")


async def _follow(terminal: LocalTerminal, viewer: Viewer, size: Size | None) -> None:
    """Give the session's terminal the size of the user's, whenever that changes."""
    async for rows, cols in terminal.sizes(size):
        with suppress(PluginHostError):  # it has ended, or is deaf to sizes
            await viewer.resize(rows=rows, cols=cols)
