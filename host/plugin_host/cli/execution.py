"""Runs one program through a plugin from its start to its end, between the user and the session.

Owns the order of things: the plugin starts where no host runs, the session opens, the user sits at it, the
plugin stops. Invariant: a session that is left before its end is closed, unless it is to be kept; one that
nobody was told of is closed, too.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from plugin_host.errors import PluginHostError, PluginNotFound

from .attendance import attend, say_left
from .carriage import Manner
from .contact import asked, running_host
from .detachkey import DetachKeys
from .failure import OK
from .leavenote import announce, identity
from .localterminal import LocalTerminal
from .lookup import chosen
from .programstatus import status_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from plugin_host.control import ControlClient
    from plugin_host.exec.session import Session

    from .forwarding import Forwarder
    from .localterminal import Size
    from .option import Options

__all__ = ["Wanted", "execute", "needs_running_host"]

# Closing takes 2 s where the program does not go by itself.
_CLOSE_S = 4.0


_NO_HOST = (
    "{option} needs a host that goes on running, and this one ends with the command: start one with "
    "`plugin-host run`{other}"
)
_OTHER_HOST = (
    ", and leave out what makes a host of this command's own: --plugin-dir, --only, --no-plugin, --config"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to run, and how; an empty `command` is the plugin's default.

    `detach` and `keep` need a host that runs: to let go of the session at once, or when this command dies.
    `detach_keys` are those by which the user leaves it.
    """

    plugin: str
    resource: str | None = None
    command: tuple[str, ...] = ()
    with_stdin: bool = False
    tty: bool = False
    env: dict[str, str] = field(repr=False)
    cwd: str | None = None
    detach: bool = False
    keep: bool = False
    detach_keys: bytes = b""


async def execute(forwarder: Forwarder, options: Options, wanted: Wanted) -> int:
    """Run the program, on the host that runs or on one for this program alone; its status.

    With `detach` it runs on and its session is printed. Raises PluginHostError for what the host and the
    plugin could not do, and as `attend` and `announce` do.
    """
    client = await running_host(options, "exec")
    if client is None:
        return await _execute_here(forwarder, options, wanted)
    async with client:
        try:
            return await _execute_there(forwarder, client, options, wanted)
        except PluginNotFound as error:
            raise asked(error, client) from None


def needs_running_host(option: str, options: Options) -> str:
    """Why an option cannot be had where no host runs that goes on."""
    return _NO_HOST.format(option=option, other=_OTHER_HOST if options.wants_own_host else "")


async def _execute_here(forwarder: Forwarder, options: Options, wanted: Wanted) -> int:
    """Start the plugin, run the program, stop the plugin."""
    for option, is_given in (("-d", wanted.detach), ("--keep", wanted.keep)):
        if is_given:
            raise click.UsageError(needs_running_host(option, options))
    host = options.host(only=[wanted.plugin], restarts=False)
    plugin = chosen(host, options, wanted.plugin)
    status = None
    try:
        async with host:
            if plugin.error is not None:
                raise plugin.error
            await host.start(wanted.plugin)  # a lazy one
            session, terminal, size = await _open(host.exec, wanted)
            try:
                manner = Manner(reads=wanted.with_stdin)
                await _attend(forwarder, session, manner, terminal, size)
                status = status_of(await session.wait())
            except BaseException:
                await _close(session)
                raise
    except asyncio.CancelledError:
        # While the plugin stopped; how the program ended was known by then.
        if status is None:
            raise
    return status


async def _execute_there(
    forwarder: Forwarder, client: ControlClient, options: Options, wanted: Wanted
) -> int:
    """Run the program on a host that goes on."""
    more = {"keep": wanted.keep or wanted.detach, "detached": wanted.detach}
    session, terminal, _ = await _open(client.exec, wanted, **more)
    if wanted.detach:
        try:
            if not wanted.with_stdin and not wanted.tty:  # a terminal has no end
                await session.close_stdin()
            left = {"plugin": session.plugin, "session": session.id}
            await announce(client, left, "attach", as_json=options.as_json)
        except BaseException:
            await _close(session)
            raise
        return OK
    has_keys = wanted.tty and wanted.with_stdin
    leaving = DetachKeys(wanted.detach_keys) if has_keys else None
    manner = Manner(reads=wanted.with_stdin, leaving=leaving)
    try:
        # The size is the viewer's, so that it counts again when another's has gone.
        if await _attend(forwarder, session, manner, terminal, None):
            status = status_of(await session.wait())
            if wanted.keep:  # until somebody has seen its end
                await client.release(session)
            return status
        await client.keep(session)
        who = await identity(client)
    except BaseException:
        if not wanted.keep:
            await _close(session)
        raise
    say_left(session, who)
    return OK


async def _open(
    exec: Callable[..., Awaitable[Session]], wanted: Wanted, **more: Any
) -> tuple[Session, LocalTerminal | None, Size | None]:
    """The session, the user's terminal if the program is to have one, and its size."""
    terminal = LocalTerminal() if wanted.tty and not wanted.detach else None
    size = terminal.size if terminal else None
    rows, cols = size or (None, None)
    session = await exec(
        wanted.plugin,
        wanted.command or None,
        resource=wanted.resource,
        tty=wanted.tty,
        rows=rows,
        cols=cols,
        cwd=wanted.cwd,
        env=wanted.env,
        **more,
    )
    return session, terminal, size


async def _attend(
    forwarder: Forwarder,
    session: Session,
    manner: Manner,
    terminal: LocalTerminal | None,
    size: Size | None,
) -> bool:
    # Not detached when this is left early: a plugin that hangs would not answer, and the terminal waits.
    viewer = await session.attach(lossless=True)
    return await attend(forwarder, session, viewer, manner, terminal=terminal, size=size)


async def _close(session: Session) -> None:
    with suppress(PluginHostError, TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await session.close()
