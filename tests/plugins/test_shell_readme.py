"""The shell plugin's README: every example does what it shows, the one that is typed at a terminal, too."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.docs import page, walk
from tests.host.cli_fork import ForkServer
from tests.source import ROOT
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

README = ROOT / "plugins" / "shell" / "README.md"
PROMPT = "~$ "


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A reader whose login shell is bash, with a home of the test's and the plugins of this checkout."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".profile").write_text(f"PS1='{PROMPT}'\n")
    (home / ".inputrc").write_text("set enable-bracketed-paste off\n")
    config = tmp_path / "plugin-host.toml"
    config.write_text(
        f'entry_points = false\nplugin_dirs = ["{ROOT / "plugins"}"]\n'
        '[plugins.shell.settings]\nshell = "/bin/bash"\n'
    )
    return walk.environment(home, config) | {"TERM": "xterm"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "plugins").symlink_to(ROOT / "plugins")
    return folder


@pytest.mark.deadline(90)
def test_examples_do_what_the_readme_says(
    folder: Path, env: dict[str, str], cli_server: ForkServer | None
) -> None:
    walking = walk.Walk(folder, env, cli_server)
    for block in page.blocks(README):
        if "terminal" not in block.marks:
            walking.run(block)
    walking.finish(README.name)
    if walking.problems:
        pytest.fail("\n\n".join(walking.problems), pytrace=False)


def test_the_session_at_a_terminal_is_as_it_is_shown(
    folder: Path, env: dict[str, str], wait_until: WaitUntil
) -> None:
    [block] = [block for block in page.blocks(README) if "terminal" in block.marks]
    [(command, shown), (_, status)] = walk.commands(block.text)
    assert walk.commands(block.text)[1][0] == "echo $?"
    with terminal(command, folder, env) as screen:
        for line in shown.splitlines():
            if line.startswith(PROMPT):
                screen.until(PROMPT)
                screen.type(line.removeprefix(PROMPT) + "\r")
                running = line.split()[1]
            elif line == "^C":
                wait_until(partial(screen.runs, running))
                screen.type("\x03")
        assert screen.end() == int(status)
    walk.expect(shown, screen.text.replace("\r\n", "\n"))


def test_links_lead_somewhere() -> None:
    for _, target in page.links(README):
        name, _, anchor = target.partition("#")
        there = (README.parent / name).resolve()
        assert there.exists(), target
        assert not anchor or anchor in page.anchors(there), target


class Screen:
    """What a person at a terminal of 24 rows and 80 columns sees, and types."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self._fd = fd
        self._process = process
        self._looked = 0
        self.text = ""

    def until(self, text: str) -> None:
        """Wait for `text` behind what was waited for before."""
        while (found := self.text.find(text, self._looked)) < 0:
            self.text += os.read(self._fd, 4096).decode()
        self._looked = found + len(text)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def runs(self, name: str) -> bool:
        """Whether a program of this name runs on behalf of it."""
        for process in psutil.Process(self._process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has just ended
                if process.name() == name:
                    return True
        return False

    def end(self) -> int:
        """See the rest; the status of what ran."""
        try:
            while data := os.read(self._fd, 4096):
                self.text += data.decode()
        except OSError:  # how a terminal says that nobody is there any more
            pass
        return self._process.wait()


@contextmanager
def terminal(command: str, folder: Path, env: dict[str, str]) -> Iterator[Screen]:
    assert command.startswith("plugin-host exec -it ")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = subprocess.Popen(
        shlex.split(command),
        cwd=folder,
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Screen(ours, process)
    finally:
        os.close(ours)
        process.kill()
        process.wait()
