"""A terminal that shows one picture after another, on a screen of its own, and hears single keys.

Invariant: however it ends, but for SIGKILL and a crash of the interpreter, and while the program is stopped
from the keyboard, the terminal is as it was found: its mode, its screen, its cursor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import termios
import tty
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleDimensions
from rich.live import Live

from . import output
from .deathsignal import before_death

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import RenderableType

__all__ = ["LiveScreen"]

_STDIN = 0


class LiveScreen:
    """A context manager, in a running loop. `draw(rows)` makes the picture for so many rows of the
    terminal; `pressed(key)` is called for each key, where stdin is a terminal."""

    def __init__(self, draw: Callable[[int], RenderableType], pressed: Callable[[str], None]) -> None:
        self._draw = draw
        self._pressed = pressed
        self._console = Console(highlight=False)
        self._live: Live | None = None
        self._found: list[Any] | None = None
        self._loop = asyncio.get_running_loop()
        self._signals = contextlib.ExitStack()

    def __enter__(self) -> LiveScreen:
        with contextlib.ExitStack() as stack:
            # Before anything is changed: a signal may come in the middle.
            stack.enter_context(before_death(self._loop, self._close))
            self._open()
            for number, handle in ((signal.SIGWINCH, self.refresh), (signal.SIGTSTP, self._suspend)):
                self._loop.add_signal_handler(number, handle)
                stack.callback(self._loop.remove_signal_handler, number)
            self._signals = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._signals:
            self._close()

    def refresh(self) -> None:
        """Show the picture as it is now."""
        if self._live is None:
            return
        with contextlib.suppress(OSError):  # a window that was closed; SIGHUP says so
            # As it is now; rich believes LINES and COLUMNS, which whoever started this may have set.
            size = os.get_terminal_size(output.STDOUT)
            self._console.size = ConsoleDimensions(size.columns or 80, size.lines or 24)
            self._live.update(self._draw(self._console.size.height), refresh=True)

    def _open(self) -> None:
        if os.isatty(_STDIN):
            self._found = termios.tcgetattr(_STDIN)
            tty.setcbreak(_STDIN)
            self._loop.add_reader(_STDIN, self._read)
        self._live = Live(console=self._console, screen=True, auto_refresh=False, vertical_overflow="crop")
        try:
            self._live.start()
            self.refresh()
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        live, self._live = self._live, None
        # A terminal whose window was closed takes nothing any more.
        with contextlib.suppress(OSError):
            if live is not None:
                live.stop()
        if self._found is not None:
            found, self._found = self._found, None
            self._loop.remove_reader(_STDIN)
            with contextlib.suppress(termios.error):
                termios.tcsetattr(_STDIN, termios.TCSAFLUSH, found)

    def _read(self) -> None:
        try:
            keys = os.read(_STDIN, 1024)
        except OSError:
            keys = b""
        if not keys:  # the terminal is gone; SIGHUP says so
            self._loop.remove_reader(_STDIN)
        for key in keys.decode(errors="replace"):
            self._pressed(key)

    def _suspend(self) -> None:
        """Ctrl-Z: give the terminal back until somebody continues the program."""
        self._close()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._open()
