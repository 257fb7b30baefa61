"""A host in a process of its own, to be killed: the fixture-like ``Victim``.

What it is to do is code inside `async with PluginHost(...) as host`, with a map `told` to put into what the
test shall know. It prints that when it is ready, and waits.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.stage import PERSONALITIES

__all__ = ["CGROUP_ROOTS", "SCRIPT", "Victim", "is_there", "marked"]

CGROUP_ROOTS = [
    root
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids")
    if os.access(f"{root}/cgroup.procs", os.W_OK)
]
"""Where this test run may make cgroups, of both versions."""

SCRIPT = """
import asyncio, json, os, signal, sys, time
from pathlib import Path
from plugin_host import PluginHost

dirs, ids = json.loads(sys.argv[1])
host = PluginHost(plugin_dirs=dirs, entry_points=False, only=ids)
told = {"run": host._run}

def tell():
    told["keeper"] = host._keeper.pid
    print(json.dumps(told), flush=True)

async def main():
%s
    async with host:
        told["pids"] = [host.plugins[id].pid for id in ids]
%s
        tell()
        await asyncio.sleep(600)

asyncio.run(main())
"""


class Victim:
    """Runs a host of the plugins `ids` until `kill`; leaving the context kills whatever is left.

    `before` runs before the host is entered, `code` once it is.
    """

    def __init__(
        self, ids: Sequence[str], dirs: Iterable[Path] = (), code: str = "", before: str = ""
    ) -> None:
        folders = [str(folder) for folder in (PERSONALITIES, *dirs)]
        script = SCRIPT % (_indented(before, 4), _indented(code, 8))
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, json.dumps([folders, list(ids)])],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.stdout = self._process.stdout
        self.told: dict[str, Any] = {}
        self._is_without_keeper = False

    def __enter__(self) -> Victim:
        line = self.stdout.readline()
        if not line:
            self.__exit__(None, None, None)
            pytest.fail(f"the host ended with status {self._process.returncode}", pytrace=False)
        self.told = json.loads(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self.stdout.close()
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)
        if self._is_without_keeper:
            self._remove_groups()

    def _remove_groups(self) -> None:
        """What is a keeper's to do, once nobody is in them."""
        name = f"plugin-host-{self.told.get('run', 'no run')}.*"
        end = time.monotonic() + 2
        for folder in [folder for root in CGROUP_ROOTS for folder in Path(root).glob(name)]:
            while folder.exists() and time.monotonic() < end:
                try:
                    folder.rmdir()
                except OSError:
                    time.sleep(0.01)

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> float:
        """Kill the host; the monotonic time of it."""
        at = time.monotonic()
        self._process.kill()
        self._process.wait()
        return at

    def kill_with_keeper(self) -> float:
        """Kill the keeper and then the host, which has no time to replace it."""
        self._is_without_keeper = True
        os.kill(self.pid, signal.SIGSTOP)
        os.kill(self.told["keeper"], signal.SIGKILL)
        return self.kill()

    def left(self) -> set[int]:
        """Of all that was told and all that carries its mark, what has not ended."""
        pids = {*self.told.get("pids", ()), *self.told.get("others", ())}
        return {pid for pid in pids if pid and is_there(pid)} | marked(self.told.get("run", "no run"))

    def plugins_left(self) -> set[int]:
        """The same without a forkserver and the children that wait in it."""
        return self.left() - marked(f"{self.told.get('run', 'no run')}/(forkserver)/")

    def seconds_until_gone(self, since: float, patience_s: float = 12.0) -> float:
        """How long after `since` nothing was left, or `patience_s`."""
        while (took := time.monotonic() - since) < patience_s and self.left():
            time.sleep(0.01)
        return took


def marked(run: str) -> set[int]:
    """The living processes whose environment holds `run` in PLUGIN_HOST_RUN."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            environ = Path("/proc", name, "environ").read_bytes()
        except OSError:
            continue
        entries = [entry for entry in environ.split(b"\0") if entry.startswith(b"PLUGIN_HOST_RUN=")]
        if any(run.encode() in entry for entry in entries):
            found.add(int(name))
    return found


def is_there(pid: int) -> bool:
    """Whether it has not ended; one that nobody reaps has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


def _indented(code: str, blanks: int) -> str:
    return textwrap.indent(textwrap.dedent(code).strip("\n") or "pass", " " * blanks)
