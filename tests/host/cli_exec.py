"""A plugin to run programs through from the command line, and a user's seat at a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.host.cli_run import COMMAND, Cli, default_signals
from tests.stage import write_plugin

__all__ = ["PYTHON", "Seat", "box", "default_signals"]

PYTHON = sys.executable

LONGEST_S = 15.0

CODE = """
    def refuse(ctx, opts):
        commands = ["ask --nicely"]
        raise sdk.exec.ExecError("No access", "ask\\nnicely", "Ask the owner.", retry_commands=commands)

    def refuse_later(ctx, opts, tty, resize):
        tty.write(b"in a moment\\n")
        refuse(ctx, opts)

    def answer(ctx, opts, tty, resize):
        tty.write(b"forty-two\\n")
        return 42

    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
        sdk.exec.Handler("local", default_command=["sh"]),
        sdk.exec.Handler("closed", command_handler=refuse, tty_handler=refuse_later),
        sdk.exec.Handler("answer", tty_handler=answer),
    ]))
"""

ONE = """
    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
        sdk.exec.Handler("local", default_command=["sh"]),
    ]))
"""


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder with the plugin `box`, which runs what it is asked to, and `many`, with several handlers."""
    folder = tmp_path / "plugins"
    write_plugin(folder, "box", ONE)
    write_plugin(folder, "many", CODE)
    return folder


class Seat:
    """A user at a terminal, who runs `plugin-host exec WORDS`, or other `program`s, and looks on.

    The program leads the terminal's session, as one does that was started by a terminal window.
    """

    def __init__(
        self,
        cli: Cli,
        *words: str | Path,
        program: list[str] | None = None,
        rows: int = 40,
        cols: int = 100,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._screen, self._own = pty.openpty()
        self.seen = ""
        self.resize(rows, cols)
        self.found = self.mode
        command = [*COMMAND, "exec"] if program is None else program
        # To open a terminal makes it that of the session.
        script = f'exec "$@" <>{os.ttyname(self._own)} >&0 2>&0'
        with default_signals():
            self.process = subprocess.Popen(
                ["sh", "-c", script, "sh", *command, *map(str, words)],
                start_new_session=True,
                env={**cli.env, "TERM": "xterm", **(env or {})},
            )

    def __enter__(self) -> Seat:
        return self

    def vanish(self) -> None:
        """Close the terminal's window."""
        os.close(self._own)
        os.close(self._screen)
        self._screen = self._own = -1

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._screen >= 0:
            self.vanish()

    @property
    def mode(self) -> list[Any]:
        return termios.tcgetattr(self._own)

    def is_raw(self) -> bool:
        mode = self.mode
        return not mode[1] & termios.OPOST and not mode[3] & (termios.ICANON | termios.ISIG)

    def resize(self, rows: int, cols: int) -> None:
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def see(self, text: str) -> None:
        """Read until `text` is on the screen; what was read before it is forgotten."""
        end = time.monotonic() + LONGEST_S
        while text not in self.seen:
            if not self._read(end):
                pytest.fail(f"waited for {text!r}, saw {self.seen!r}")
        self.seen = self.seen.partition(text)[2]

    def end(self) -> int:
        """Read until the program has ended; its status."""
        end = time.monotonic() + LONGEST_S
        while self.process.poll() is None and time.monotonic() < end:
            self._read(time.monotonic() + 0.02)
        while self._read(time.monotonic()):
            pass
        return self.process.wait(0.1)

    def _read(self, end: float) -> bool:
        """Read what comes until then; whether anything did."""
        ready, _, _ = select.select([self._screen], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return False
        self.seen += os.read(self._screen, 65536).decode(errors="replace")
        return True
