"""Sits the user down at a session that was there before, and goes away from it without a trace.

Invariant: a session that is left runs on, with the size of whoever was there before.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plugin_host.errors import PluginHostError

from . import output
from .attendance import attend, say_left
from .carriage import Manner
from .contact import contact
from .detachkey import DetachKeys, WatchedKeys
from .localterminal import LocalTerminal
from .programstatus import status_of
from .sessionlist import find_session

if TYPE_CHECKING:
    from plugin_host.exec.viewer import Viewer

    from .detachkey import Leaving
    from .forwarding import Forwarder
    from .option import Options

__all__ = ["Place", "attach"]

_INTERRUPT = b"\x03"
# How long the host may take to let a viewer go; the end of the connection says the same.
_DETACH_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """At which session the user sits, and how; `offset` is as in `Session.attach`."""

    name: str
    read_only: bool = False
    offset: int | None = None
    detach_keys: bytes = b""


async def attach(forwarder: Forwarder, options: Options, place: Place) -> int:
    """Sit there until the session ends or is left; the program's status, or 0. Raises as `attend`."""
    gaps: list[int] = []
    async with await contact(options, "attach") as client:
        session = await find_session(client, place.name)
        viewer = await session.attach(offset=place.offset, read_only=place.read_only)
        terminal = LocalTerminal() if session.tty else None
        manner = _manner(place, gaps, has_keys=terminal is not None and terminal.has_keys)
        try:
            has_ended = await attend(forwarder, session, viewer, manner, terminal=terminal, forwards=False)
        finally:
            await _detach(viewer)
        if gaps:
            output.complain(f"plugin-host: {sum(gaps)} bytes were not shown: they are kept no longer\n")
        if has_ended:
            return status_of(await session.wait())
    say_left(session)
    return 0


def _manner(place: Place, gaps: list[int], *, has_keys: bool) -> Manner:
    writes = not place.read_only
    leaving: Leaving | None = None
    if has_keys:
        keys = place.detach_keys
        leaving = DetachKeys(keys) if writes else WatchedKeys(keys, _INTERRUPT)
    return Manner(reads=writes or has_keys, writes=writes, ends=False, leaving=leaving, missed=gaps.append)


async def _detach(viewer: Viewer) -> None:
    with suppress(PluginHostError, TimeoutError):
        async with asyncio.timeout(_DETACH_S):
            await viewer.detach()
