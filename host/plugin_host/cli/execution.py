"""Runs one program through a plugin from its start to its end, between the user and the session.

Owns the order of things: the plugin starts, the session opens, the terminal becomes raw, bytes flow, the
terminal is restored, the plugin stops. Invariant: a session that is left before its end is closed.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plugin_host.errors import PluginHostError

from .carriage import carry
from .localterminal import LocalTerminal
from .lookup import chosen
from .outflow import Outflow
from .programstatus import status_of

if TYPE_CHECKING:
    from plugin_host.exec.session import Session
    from plugin_host.host import PluginHost

    from .forwarding import Forwarder
    from .localterminal import Size
    from .option import Options

__all__ = ["Wanted", "execute"]

# Closing takes 2 s where the program does not go by itself.
_CLOSE_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to run, and how; an empty `command` is the plugin's default."""

    plugin: str
    resource: str | None = None
    command: tuple[str, ...] = ()
    with_stdin: bool = False
    tty: bool = False
    env: dict[str, str] = field(repr=False)
    cwd: str | None = None


async def execute(forwarder: Forwarder, options: Options, wanted: Wanted) -> int:
    """Start the plugin, run the program, stop the plugin; the program's status.

    Raises PluginHostError for what the host and the plugin could not do, and as `carry` does.
    """
    host = options.host(only=[wanted.plugin], restarts=False)
    plugin = chosen(host, options, wanted.plugin)
    status = None
    try:
        async with host:
            if plugin.error is not None:
                raise plugin.error
            await host.start(wanted.plugin)  # a lazy one
            status = await _run(forwarder, host, wanted)
    except asyncio.CancelledError:
        # While the plugin stopped; how the program ended was known by then.
        if status is None:
            raise
    return status


async def _run(forwarder: Forwarder, host: PluginHost, wanted: Wanted) -> int:
    terminal = LocalTerminal() if wanted.tty else None
    size = terminal.size if terminal else None
    rows, cols = size or (None, None)
    session = await host.exec(
        wanted.plugin,
        wanted.command or None,
        resource=wanted.resource,
        tty=wanted.tty,
        rows=rows,
        cols=cols,
        cwd=wanted.cwd,
        env=wanted.env,
    )
    try:
        await _attend(forwarder, session, terminal, size, with_stdin=wanted.with_stdin)
        ended = await session.wait()
    except BaseException:
        await _close(session)
        raise
    return status_of(ended)


async def _attend(
    forwarder: Forwarder,
    session: Session,
    terminal: LocalTerminal | None,
    size: Size | None,
    *,
    with_stdin: bool,
) -> None:
    """Be the session's keyboard and screen until it has ended; the terminal is then as it was."""
    with ExitStack() as stack:
        outflow = Outflow()
        stack.callback(outflow.close)
        is_raw = False
        if terminal is not None:
            is_raw = with_stdin and terminal.has_keys
            stack.enter_context(terminal.held(raw=is_raw))
            following = asyncio.create_task(_follow(terminal, session, size))
            stack.callback(following.cancel)
        forwarder.forward_to(session, has_keys=is_raw)
        stack.callback(forwarder.forward_to, None)
        await carry(session, outflow, with_stdin=with_stdin, reacted=forwarder.reacted)


async def _follow(terminal: LocalTerminal, session: Session, size: Size | None) -> None:
    """Give the session's terminal the size of the user's, whenever that changes."""
    async for rows, cols in terminal.sizes(size):
        with suppress(PluginHostError):  # it has ended, or is deaf to sizes
            await session.resize(rows=rows, cols=cols)


async def _close(session: Session) -> None:
    with suppress(PluginHostError, TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await session.close()
