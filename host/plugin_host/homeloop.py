"""The event loop that a host belongs to.

Invariant: what is asked of a host from another loop is refused with the rule, before anything is done where
there is time to look, and after it has failed where there is none.
"""

from __future__ import annotations

import asyncio

from .errors import PluginHostError

__all__ = ["HomeLoop"]

_RULE = (
    "this host belongs to the event loop in which it was entered, and this is another one: "
    "use asyncio.run_coroutine_threadsafe(host.call(...), loop), or plugin_host.sync for threads"
)


class HomeLoop:
    """Of one host: none yet, until it settles, and none any more once it is closed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_left = False

    def settle(self) -> None:
        """The running loop is the one, unless there is one already. Raises as `check` does."""
        if self._loop is None and not self._is_left:
            self._loop = _running()
        self.check()

    def check(self) -> None:
        """Raise PluginHostError in another loop. Where none runs, nothing is waited for."""
        if not self._is_left:
            self.check_closing()

    def check_closing(self) -> None:
        """The same for who closes the host, also while it is being closed."""
        if self._loop is not None and _running() not in (None, self._loop):
            raise PluginHostError(_RULE)

    def leave(self) -> None:
        """The host is being closed: whoever asks for anything is told that, wherever they are."""
        self._is_left = True

    def forget(self) -> None:
        """It is closed, and waits for nothing in any loop."""
        self._loop = None


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
