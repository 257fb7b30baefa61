"""This project: what commands and a host's start take where 300 distributions are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import distribution_crowd

__all__ = ["Discovery", "Started", "driver"]

_SETTLE_S = 2.5  # what is younger is not remembered
_HOST = """\
import time
before = time.perf_counter()
import asyncio, plugin_host
async def main():
    async with plugin_host.PluginHost(only=[]) as host:
        assert {f"plugin-{number}" for number in range(10)} <= {*host.plugins}
        print(time.perf_counter() - before)
asyncio.run(main())
"""


class Started:
    """Starts interpreters that find the distributions and have a home of their own."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="plugin-host-bench-"))
        distribution_crowd.fill(self.home / "site")
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": str(self.home / "site"),
        }

    def timed(self, *words: str, command: str = sys.executable) -> dict[str, float]:
        """From before the process exists to its end."""
        before = time.perf_counter()
        subprocess.run([command, *words], env=self.environ, check=True, stdout=subprocess.DEVNULL)
        return {"ms": (time.perf_counter() - before) * 1e3}

    def close(self) -> None:
        shutil.rmtree(self.home)


class Discovery(Started):
    """Each measurement is of a process of its own; `cold` ones find an empty cache."""

    def __init__(self) -> None:
        super().__init__()
        time.sleep(_SETTLE_S)

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        if verb.endswith("_cold"):
            shutil.rmtree(self.home / ".cache", ignore_errors=True)
        elif not (self.home / ".cache").exists():
            self._list()
        if verb.startswith("host"):
            return self._host()
        if verb == "help":
            return self.timed("-m", "plugin_host", "--help")
        if verb == "list_script":
            return self.timed("list", command=str(Path(sys.executable).with_name("plugin-host")))
        return self._list()

    def _list(self) -> dict[str, float]:
        return self.timed("-m", "plugin_host", "list")

    def _host(self) -> dict[str, float]:
        """In the host's own process: imports, discovery and entering; no plugin is started."""
        command = [sys.executable, "-c", _HOST]
        ended = subprocess.run(command, env=self.environ, check=True, capture_output=True, text=True)
        return {"ms": float(ended.stdout) * 1e3}


def driver() -> Discovery:
    return Discovery()
