"""Fake terminals where a manager asks for real ones, and refusals when a test wants them.

Owns the terminals it made, until it is closed; what happens on them is theirs.
"""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.exec.terminal import RealTerminalFactory

from .terminal import FakeTerminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from plugin_host_sdk.exec.identity import Identity

__all__ = ["FakeTerminalFactory"]


class FakeTerminalFactory:
    """Gives fake terminals, and `terminals` lists them in order. As a context manager it closes them all.

    To be closed after the manager that uses it.
    """

    def __init__(self) -> None:
        self.terminals: list[FakeTerminal] = []
        self._changed = threading.Condition()
        self._failures: list[Exception] = []
        self._real = RealTerminalFactory()

    def __repr__(self) -> str:
        return f"FakeTerminalFactory({self.terminals})"

    def __enter__(self) -> FakeTerminalFactory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, rows: int, cols: int, *, raw: bool = False) -> FakeTerminal:
        """A terminal whose program is the handler that takes its descriptor, or the test."""
        self._fail_if_asked()
        return self._add(FakeTerminal(self._real.open(rows, cols), rows, cols, raw=raw))

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str | None,
        env: Mapping[str, str],
        rows: int,
        cols: int,
        identity: Identity | None = None,
        raw: bool = False,
    ) -> FakeTerminal:
        """A terminal whose program the test plays; nothing is checked but the size."""
        self._fail_if_asked()
        real = self._real.open(rows, cols)
        terminal = FakeTerminal(real, rows, cols, argv=argv, cwd=cwd, env=env, raw=raw)
        try:
            terminal.start(env)
        except BaseException:
            terminal.close()
            raise
        return self._add(terminal)

    def fail(self, error: Exception | None = None, *, times: int = 1) -> None:
        """Raise `error` from the next `times` calls; unless given, a TerminalError like a scarcity's."""
        if error is None:
            error = TerminalError(
                "no terminal could be opened: the test does not let it",
                data={"reason": "system", "errno": errno.ENOSPC, "file": ""},
                retryable=True,
            )
        with self._changed:
            self._failures += [error] * times

    def wait_for_terminal(self, number: int = 1, timeout: float = 5.0) -> FakeTerminal:
        """The `number`-th terminal, the first being 1, once it was made. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.terminals) >= number, timeout):
                raise TimeoutError(f"{len(self.terminals)} terminals after {timeout:g} s, not {number}")
            return self.terminals[number - 1]

    def close(self) -> None:
        """Close every terminal, and take the exit status of programs that nobody has reaped."""
        for terminal in self.terminals:
            terminal.close()
        for terminal in self.terminals:
            terminal.reap()

    def _fail_if_asked(self) -> None:
        with self._changed:
            if self._failures:
                raise self._failures.pop(0)

    def _add(self, terminal: FakeTerminal) -> FakeTerminal:
        with self._changed:
            self.terminals.append(terminal)
            self._changed.notify_all()
        return terminal
