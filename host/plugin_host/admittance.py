"""Letting a call in: at once when the plugin is ready, later when it is on its way, never otherwise.

Invariant: a call waits only for a plugin that will be ready, or failed, without anybody's doing.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import CallTimeout, PluginNotFound, PluginNotReady
from .precondition import check_there
from .service import current_caller
from .state import State
from .wording import near, shown, suggestion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Protocol

    from .link import Link
    from .plugin import Plugin

    class Gatekeeper(Protocol):
        """A supervisor, as waiting callers need it."""

        plugin: Plugin
        link: Link | None
        is_due: bool
        restarts_due: int

        def wake(self) -> None: ...
        def wake_callers(self) -> None: ...
        async def next_move(self) -> None: ...


__all__ = ["admitted", "not_found", "not_ready", "restarting"]

_ON_THEIR_WAY = frozenset({State.IDLE, State.STARTING, State.BACKOFF})


async def admitted(
    keeper: Gatekeeper, timeout: float | None, *, fail_fast: bool
) -> tuple[Link, float | None]:
    """See `Supervisor.admit`."""
    if (link := keeper.link) is not None:
        return link, timeout
    loop, plugin = asyncio.get_running_loop(), keeper.plugin
    deadline = _deadline(loop.time(), timeout)
    has_asked = False
    while (link := keeper.link) is None:
        if plugin.candidate.skipped or not _comes(keeper):
            raise not_ready(plugin)
        if plugin.state is State.IDLE:
            keeper.wake()
            has_asked = True
        elif fail_fast and not has_asked:
            raise not_ready(plugin)
        try:
            async with asyncio.timeout_at(deadline):
                await keeper.next_move()
        except TimeoutError:
            raise CallTimeout(
                f"{not_ready(plugin)}; it was waited for until the deadline of the call",
                name="command.timeout",
            ) from None
    return link, None if timeout is None or deadline is None else max(0.0, deadline - loop.time())


@contextmanager
def restarting(keeper: Gatekeeper, *, is_by_hand: bool = False) -> Iterator[None]:
    """While this lasts, calls wait for what comes of it, in whatever state the plugin is.

    Of what runs well, and is restarted `is_by_hand`, nothing is stopped where it could not be started
    again: that is a SpawnError.
    """
    if is_by_hand:
        check_there(keeper.plugin.candidate)
    keeper.restarts_due += 1
    try:
        yield
    finally:
        keeper.restarts_due -= 1
        keeper.wake_callers()


def _comes(keeper: Gatekeeper) -> bool:
    """Whether the plugin will be ready, or failed, by itself."""
    plugin = keeper.plugin
    if keeper.restarts_due:
        return True
    if plugin.state is State.STOPPING:  # a lazy one that was idle is started again by this call
        manifest = plugin.candidate.manifest
        return manifest is not None and manifest.activation == "lazy"
    return plugin.state in _ON_THEIR_WAY or (plugin.state is State.DISCOVERED and keeper.is_due)


def _deadline(now: float, timeout: float | None) -> float | None:
    caller = current_caller.get()
    remaining = caller.remaining() if caller is not None else None
    times = [one for one in (timeout, remaining) if one is not None]
    return now + min(times) if times else None


def not_ready(plugin: Plugin) -> PluginNotReady:
    """Why a plugin cannot be called now."""
    text = f"plugin `{plugin.id}` is {plugin.state}, not ready"
    if plugin.candidate.skipped:
        text += f": {plugin.candidate.skipped}"
    elif plugin.error is not None:
        text += f": {plugin.error}"
    elif plugin.state is State.DISCOVERED:
        text += ": nobody has started it"
    return PluginNotReady(text, plugin=plugin.id, state=str(plugin.state))


def not_found(plugin: str, known: Collection[str] | None) -> PluginNotFound:
    """The error for the id of no plugin; `known` are those that there are, None while nobody has looked."""
    if known is None:
        hint = ": its host has not looked for any yet; enter the host, or call discover()"
        return PluginNotFound(f"no plugin `{shown(plugin)}`{hint}", plugin=plugin)
    id = str(plugin)  # of an embedder who may have passed anything
    hint = suggestion(id, known) or f" (found: {', '.join(known) or 'none'})"
    return PluginNotFound(f"no plugin `{shown(id)}`{hint}", plugin=plugin, near=near(id, known))
