"""A shell beside a task, for the user who sits here: opened, attended to, and closed when he goes.

Invariant: a shell that is left before its end is closed, unless the user has left it by its keys.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plugin_host.errors import PluginHostError

from .attendance import attend, say_left
from .carriage import Manner
from .contact import contact
from .detachkey import DetachKeys
from .leavenote import identity
from .localterminal import LocalTerminal
from .programstatus import status_of
from .tasklist import find_task

if TYPE_CHECKING:
    from plugin_host.exec.session import Session

    from .forwarding import Forwarder
    from .option import Options

__all__ = ["Shell", "sit"]

# Closing takes 2 s where the program does not go by itself.
_CLOSE_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What is wanted beside which task; an empty `command` is the worker's shell."""

    task: str
    command: tuple[str, ...] = ()
    tty: bool = True
    cwd: str | None = None
    env: dict[str, str] = field(default_factory=dict, repr=False)
    detach_keys: bytes = b""


async def sit(forwarder: Forwarder, options: Options, wanted: Shell) -> int:
    """Open it and stay until it ends or is left; the program's status, or 0. Raises as `attend`."""
    async with await contact(options, "task shell") as client:
        task = await find_task(client, wanted.task)
        terminal = LocalTerminal() if wanted.tty else None
        rows, cols = (terminal.size if terminal else None) or (None, None)
        session = await task.open_shell(
            wanted.command or None,
            tty=wanted.tty,
            rows=rows,
            cols=cols,
            cwd=wanted.cwd,
            env=wanted.env,
        )
        manner = Manner(reads=True, leaving=DetachKeys(wanted.detach_keys) if wanted.tty else None)
        try:
            viewer = await session.attach(lossless=True)
            if await attend(forwarder, session, viewer, manner, terminal=terminal):
                status = status_of(await session.wait())
                await client.release(session)
                return status
            await client.keep(session)
            who = await identity(client)
        except BaseException:
            await _close(session)
            raise
        say_left(session, who)
    return 0


async def _close(session: Session) -> None:
    with suppress(PluginHostError, TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await session.close()
