"""Runs `plugin-host` as operators do: in a process of its own, through its entry point.

Nothing that happens to be installed or configured on this machine is found: `PLUGIN_HOST_CONFIG` names
a configuration without entry points. A command that is waited for, and has nothing of its own in its
environment, is started as ``tests.host.cli_fork`` says; all others are started by their command line.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.host.cli_fork import ForkServer

__all__ = ["Background", "Cli", "Ended", "cli", "install"]

COMMAND = [sys.executable, "-m", "plugin_host"]
TIMEOUT_S = 30


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout, which is one JSON document."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The one JSON object on stderr."""
        (line,) = self.err.splitlines()
        error = json.loads(line)["error"]
        assert isinstance(error, dict)
        return error


@contextlib.contextmanager
def default_signals() -> Iterator[None]:
    """In which started processes ignore nothing, whatever whoever runs the tests ignores (nohup, `&`)."""
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Background:
    """A command that runs; its output goes to files, so that it never waits for the test."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process = process
        self._out, self._err = out, err

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def says(self, text: str) -> Callable[[], bool]:
        """A condition: `text` is in what it has written."""
        return lambda: text in self.out + self.err

    def send(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def end(self) -> Ended:
        """Wait until it has ended by itself."""
        return Ended(self.process.wait(TIMEOUT_S), self.out, self.err)


class Cli:
    """`cli("list", "--json")` runs a command; `cli.background("run")` starts one."""

    def __init__(self, folder: Path, server: ForkServer | None = None) -> None:
        self._folder = folder
        self._server = server
        self._count = 0
        config = folder / "plugin-host.toml"
        config.write_text("entry_points = false\n")
        self.config = config
        self.env = {**os.environ, "PLUGIN_HOST_CONFIG": str(config), "HOME": str(folder)}
        # For those that outlive one test; that of pytest's own folders would be too long a path.
        self.env.setdefault("PLUGIN_HOST_SOCKET", f"{tempfile.mkdtemp(prefix='ph-')}/control.sock")
        self.env["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]

    def __call__(
        self, *words: str | Path, stdin: str | bytes = b"", env: Mapping[str, str] | None = None
    ) -> Ended:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        if env is None and self._server is not None and self._server.is_up and self._is_usual():
            status, out, err = self._server.run([*map(str, words)], data, self.env, TIMEOUT_S)
            return Ended(status, out.decode(), err.decode())
        ended = subprocess.run(
            [*COMMAND, *map(str, words)],
            input=data,
            capture_output=True,
            timeout=TIMEOUT_S,
            env={**self.env, **(env or {})},
            check=False,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def _is_usual(self) -> bool:
        """Whether the interpreter would be set up as that of the tests is."""
        ours = {name for name in {*self.env, *os.environ} if name.startswith(("PYTHON", "LC_", "LANG"))}
        return all(self.env.get(name) == os.environ.get(name) for name in ours)

    @contextlib.contextmanager
    def background(self, *words: str | Path) -> Iterator[Background]:
        """A command that runs; it is killed if it still does at the end, plugins and all."""
        self._count += 1
        out, err = (self._folder / f"{name}{self._count}" for name in ("out", "err"))
        with default_signals(), out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                [*COMMAND, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
                env=self.env,
            )
        try:
            yield Background(process, out, err)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def timed(self, *words: str | Path) -> tuple[float, Ended]:
        """The seconds a command took, and how it ended."""
        began = time.monotonic()
        ended = self(*words)
        return time.monotonic() - began, ended


@pytest.fixture
def cli(tmp_path: Path, cli_server: ForkServer | None) -> Cli:
    """Runs the command line; see ``tests.host.cli_run``."""
    folder = tmp_path / "cli"
    folder.mkdir()
    return Cli(folder, cli_server)


def install(site: Path, name: str, entry_points: str, modules: dict[str, str]) -> None:
    """A distribution as pip leaves it behind."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    for module, code in modules.items():
        (site / f"{module}.py").write_text(code)
