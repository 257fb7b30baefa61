"""Runs the examples of one page in a folder of their own, in the order of the page.

Files are written, Python programs and console commands are run as processes, and what they print is
compared with what the page shows: `…` stands for any text, alone on a line for any lines, and two blanks
for two or more. Nothing here knows a particular page. Invariant: a block of a kind that is not known is
a problem, never skipped.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tests.docs.page import Block
from tests.host.cli_fork import ForkServer

# What installs or fetches, or runs all tests: shown to readers, and run by continuous integration.
NOT_RUN = frozenset({"pip", "pipx", "git", "apt-get", "tox"})
EXAMPLE_S = 30.0
# A command that a shell would only split into words.
_NO_SHELL = re.compile(r"plugin-host( ('[^']*'|[^ '\"|&;<>()$`*?~\\#{}\[\]])+)*")

_INSIDE_HOST = """\
import asyncio
import os
import plugin_host
from plugin_host import *


async def example(host):
{body}

async def main():
    folder = "plugins" if os.path.isdir("plugins") else "."
    async with PluginHost(plugin_dirs=[folder], entry_points=False) as host:
        await example(host)


asyncio.run(main())
"""


class Walk:
    """Runs blocks one after the other; `problems` says which of them are not as the page says.

    With a `server`, programs and commands are forks that need not import `plugin_host` again.
    """

    def __init__(self, folder: Path, env: Mapping[str, str], server: ForkServer | None = None) -> None:
        self.folder = folder
        self._server = server
        self.problems: list[str] = []
        self._env = dict(env)
        self._printed: str | None = None
        self._status = 0

    def run(self, block: Block) -> None:
        """Run one block, or compare it with what the one before it printed."""
        printed, self._printed = self._printed, None
        try:
            self._act(block, printed)
        except (AssertionError, SyntaxError, ValueError, OSError, subprocess.SubprocessError) as error:
            self.problems.append(f"{block.place}: {error}")

    def finish(self, page: str) -> None:
        """What the last example printed must be shown, too."""
        if self._printed:
            self.problems.append(f"{page}: the last example prints what is not shown:\n{self._printed}")

    def _act(self, block: Block, printed: str | None) -> None:
        if block.language == "output":
            assert printed is not None, "output of what?"
            expect(block.text, printed)
            return
        assert not printed, f"the example before prints what is not shown:\n{printed}"
        if block.file is not None:
            self._write(block, block.file)
        elif block.language == "python":
            self._printed = self._run_python(block)
        elif block.language == "console":
            self._run_console(block.text)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "sh":
            subprocess.run(["bash", "-n"], input=block.text, text=True, check=True, timeout=EXAMPLE_S)
        else:
            assert block.language == "hex", f"a block of an unknown kind: {block.language!r}"

    def _write(self, block: Block, name: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".py":
            compile(block.text, name, "exec", dont_inherit=True)
        with path.open("a" if "append" in block.marks else "w") as file:
            file.write("\n\n" * ("append" in block.marks) + block.text)

    def _run_python(self, block: Block) -> str:
        text = block.text
        if "host" in block.marks:
            text = _INSIDE_HOST.format(body=textwrap.indent(text, " " * 4))
        if self._server and self._server.is_up:
            status, out, err = self._fork(self._server, ["-c", text])
            assert status == 0, f"ended with status {status}:\n{out}{err}"
            return out + err
        ran = subprocess.run(
            [sys.executable, "-P", "-W", "error", "-c", text],
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=EXAMPLE_S,
        )
        assert ran.returncode == 0, f"ended with status {ran.returncode}:\n{ran.stdout}{ran.stderr}"
        return ran.stdout + ran.stderr

    def _run_console(self, text: str) -> None:
        wrong = []
        for command, shown in commands(text):
            if shlex.split(command, comments=True)[0] in NOT_RUN:
                continue
            before, interrupt, after = shown.partition("^C\n")
            try:
                if interrupt:
                    self._interrupt(command, before, after)
                else:
                    expect(shown, self._run_command(command))
            except AssertionError as error:
                wrong.append(f"$ {command}\n{error}")
        assert not wrong, "\n".join(wrong)

    def _run_command(self, command: str) -> str:
        if self._server and self._server.is_up and _NO_SHELL.fullmatch(command):
            self._status, printed, _ = self._fork(self._server, shlex.split(command)[1:], joined=True)
            return printed
        ran = subprocess.run(
            # The status of the command before is there for `echo $?`.
            ["bash", "-c", f"(exit {self._status}); {command}"],
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=EXAMPLE_S,
        )
        self._status = ran.returncode
        return ran.stdout

    def _fork(self, server: ForkServer, words: list[str], joined: bool = False) -> tuple[int, str, str]:
        done = server.run(words, b"", self._env, EXAMPLE_S, folder=self.folder, joined=joined)
        out, err = (text.decode().replace("\r\n", "\n") for text in done[1:])
        return done[0], out, err

    def _interrupt(self, command: str, before: str, after: str) -> None:
        """Run it until it has printed what stands before `^C`, then press those keys."""
        path = self.folder / ".printed"
        with path.open("w") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # A run in the background may have been started to ignore it.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        try:
            end = time.monotonic() + EXAMPLE_S
            while process.poll() is None and time.monotonic() < end:
                if matches(before, path.read_text()):
                    break
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            self._status = process.wait(EXAMPLE_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        expect(before + after, path.read_text())


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output shown below it."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            assert found, f"output before the first command: {line}"
            command, shown = found[-1]
            found[-1] = (command, f"{shown}{line}\n")
    return [_joined(command, shown) for command, shown in found]


def _joined(command: str, shown: str) -> tuple[str, str]:
    """A command that goes on behind a backslash, with the lines that are its own."""
    lines = shown.splitlines(keepends=True)
    while command.endswith("\\"):
        command = command[:-1] + lines.pop(0).strip()
    return command, "".join(lines)


def expect(shown: str, printed: str) -> None:
    """Compare, without regard to blanks at the ends of lines."""
    if not matches(shown, printed):
        raise AssertionError(f"the page shows:\n{shown}and this was printed:\n{printed}")


def matches(shown: str, printed: str) -> bool:
    pattern = ""
    for line in shown.splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            literal = ".*?".join(map(re.escape, line.rstrip().split("…")))
            # Columns are as wide as what stands in them.
            pattern += re.sub(r"(\\ ){2,}", r"[ ]{2,}", literal) + r"[ ]*\n"
    ended = printed if printed.endswith("\n") or not printed else printed + "\n"
    return re.fullmatch(pattern, ended) is not None


def environment(home: Path, config: Path) -> dict[str, str]:
    """What an example's process is given: this interpreter's programs first, its own home and socket."""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PLUGIN_HOST", "XDG_"))
    }
    return env | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_RUNTIME_DIR": tempfile.mkdtemp(),  # for sockets, whose paths must be short
        "COLUMNS": "100",
        "PLUGIN_HOST_CONFIG": str(config),
    }
