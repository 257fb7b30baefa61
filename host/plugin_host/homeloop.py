"""The event loop, and the process, that a host belongs to.

Invariant: what is asked of a host from another loop is refused with the rule, before anything is done where
there is time to look, and after it has failed where there is none. In a forked child everything is refused.
"""

from __future__ import annotations

import asyncio

from . import fork
from .errors import PluginHostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HomeLoop"]

_RULE = (
    "this host belongs to the event loop in which it was entered, and this is another one: "
    "use asyncio.run_coroutine_threadsafe(host.call(...), loop), or plugin_host.sync for threads"
)

_GONE = (
    "the event loop in which this host was entered is closed, and nothing can be done without it: close a "
    "host before its loop; its plugins end with this process"
)


class HomeLoop:
    """Of one host: none yet, until it settles, and none any more once it is closed."""

    def __init__(self, disown: Callable[[], object]) -> None:
        """`disown` is called in a forked child: who has what by then, looks here for it."""
        self.disown = disown
        self._generation = fork.generation
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_left = False
        fork.watch(self)

    @property
    def is_foreign(self) -> bool:
        """Whether this process is a fork of the one that has the host."""
        return fork.generation != self._generation

    def settle(self) -> None:
        """The running loop is the one, unless there is one already. Raises as `check` does."""
        if self._loop is None and not self._is_left:
            self._loop = _running()
        self.check()

    def check(self) -> None:
        """Raise PluginHostError in another loop. Where none runs, nothing is waited for."""
        if self.is_foreign:
            raise PluginHostError(fork.MESSAGE)
        if not self._is_left:
            self._check_loop()

    def check_closing(self) -> bool:
        """The same for who closes the host, also while it is being closed; False where that is not for them
        to do, in a forked child."""
        if self.is_foreign:
            return False
        self._check_loop()
        return True

    def _check_loop(self) -> None:
        if self._loop is not None and _running() not in (None, self._loop):
            raise PluginHostError(_GONE if self._loop.is_closed() else _RULE)

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
