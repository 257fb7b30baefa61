"""The terminal the user sits at: its size, and raw mode while another program has the keys.

Raw means that every key is a byte (Ctrl-C too) and that output is passed on untouched. Invariant: a
terminal made raw here is as it was found once the body is left, or a signal that can be caught ends this
process, and while it is stopped. A terminal that other processes have in the foreground is not touched.
"""

from __future__ import annotations

import asyncio
import os
import signal
import termios
import tty
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from .deathsignal import before_death

__all__ = ["LocalTerminal"]

Size = tuple[int, int]


class LocalTerminal:
    """The terminal behind `fds`: the first has its keys. It may not be one at all.

    Used on the loop, whose SIGWINCH, SIGTSTP and SIGCONT it handles while it is held.
    """

    def __init__(self, fds: tuple[int, ...] = (0, 1, 2)) -> None:
        self._fds = fds
        self._keys = fds[0]
        self._loop = asyncio.get_running_loop()
        self._may_have_changed = asyncio.Event()
        self._found: list[Any] | None = None

    @property
    def has_keys(self) -> bool:
        """Whether somebody types."""
        return os.isatty(self._keys)

    @property
    def size(self) -> Size | None:
        """Rows and columns, if there is a terminal that knows them."""
        for fd in self._fds:
            try:
                size = os.get_terminal_size(fd)
            except OSError:
                continue
            if size.lines > 0 and size.columns > 0:
                return size.lines, size.columns
        return None

    async def sizes(self, known: Size | None) -> AsyncGenerator[Size, None]:
        """Every size other than the one before, `known` at first; of several the latest."""
        while True:
            self._may_have_changed.clear()
            size = self.size
            if size is not None and size != known:
                known = size
                yield size
            else:
                await self._may_have_changed.wait()

    @contextmanager
    def held(self, *, raw: bool) -> Iterator[None]:
        """In which changes of the size are seen, and the terminal is raw if it is to be."""
        signals = {signal.SIGWINCH: self._may_have_changed.set, signal.SIGCONT: self._go_on}
        if raw:
            self._found = _mode(self._keys)
            signals[signal.SIGTSTP] = self._stop
        with before_death(self._loop, self._restore) if raw else nullcontext():
            for signum, handle in signals.items():
                self._loop.add_signal_handler(signum, handle)
            try:
                self._make_raw()
                yield
            finally:
                for signum in signals:
                    self._loop.remove_signal_handler(signum)
                self._restore()

    def _make_raw(self) -> None:
        if self._found is not None:
            try:
                # In the background this stops the process until it is brought to the foreground.
                tty.setraw(self._keys, termios.TCSANOW)
            except termios.error:  # it is gone
                pass

    def _restore(self) -> None:
        if self._found is not None and self._is_ours():
            try:
                # To wait for what is still to be shown could take for ever; how it is shown was
                # settled when it was written.
                termios.tcsetattr(self._keys, termios.TCSANOW, self._found)
            except termios.error:  # it is gone
                pass

    def _is_ours(self) -> bool:
        """Whether this process is in the foreground: from behind it would change others' terminal."""
        try:
            return os.tcgetpgrp(self._keys) == os.getpgrp()
        except OSError:  # a terminal without jobs
            return True

    def _stop(self) -> None:
        """Stop as SIGTSTP asks, with the terminal restored."""
        self._restore()
        self._loop.remove_signal_handler(signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Here again once continued, or at once where nobody could continue it.
        self._loop.add_signal_handler(signal.SIGTSTP, self._stop)
        self._go_on()

    def _go_on(self) -> None:
        self._make_raw()
        self._may_have_changed.set()


def _mode(fd: int) -> list[Any] | None:
    try:
        return termios.tcgetattr(fd)
    except termios.error:
        return None
