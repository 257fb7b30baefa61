"""A terminal in tmux, as a person has it: what is on its screen, and in which state it is left."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["Tmux", "tmux_window"]

PROMPT = "ready> "
LONGEST_S = 12.0


class Tmux:
    """One window with a shell."""

    def __init__(self, socket: Path) -> None:
        self._words = ["tmux", "-S", str(socket), "-f", "/dev/null"]

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """A command of tmux; what it prints."""
        done = subprocess.run(
            [*self._words, *words], env=env, capture_output=True, text=True, timeout=10, check=True
        )
        return done.stdout

    @property
    def screen(self) -> str:
        return self.run("capture-pane", "-p").rstrip("\n")

    def type(self, *keys: str) -> None:
        """Press keys, by the names that tmux has for them."""
        self.run("send-keys", *keys)

    def enter(self, line: str) -> None:
        """A line for the shell."""
        self.run("send-keys", "-l", line)
        self.type("Enter")

    def sees(self, *texts: str) -> str:
        """Wait until all of them are on the screen together."""
        __tracebackhide__ = True
        end = time.monotonic() + LONGEST_S
        while any(text not in (shown := self.screen) for text in texts):
            if time.monotonic() > end:
                pytest.fail(f"waited for {texts}, saw\n{shown}")
            time.sleep(0.05)
        return shown

    def is_as_found(self) -> bool:
        """Whether the shell has its screen, its cursor, and its keys again."""
        state = self.run("display-message", "-p", "#{alternate_on} #{cursor_flag} #{pane_current_command}")
        return state.split() == ["0", "1", "sh"]


@contextmanager
def tmux_window(folder: Path, env: Mapping[str, str], *, rows: int = 12, cols: int = 130) -> Iterator[Tmux]:
    """A server of its own with one window."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    tmux = Tmux(folder / "tmux")
    size = ("-x", str(cols), "-y", str(rows))
    tmux.run("new-session", "-d", *size, f"env 'PS1={PROMPT}' sh", env={**env, "LC_ALL": "C.UTF-8"})
    try:
        tmux.sees(PROMPT.strip())
        yield tmux
    finally:
        tmux.run("kill-server")
