"""Children for tests of the process floor: short Python programs, and what they say on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Literal

from plugin_host.environment import build_environment, run_token
from plugin_host.process import PluginProcess, ProcessSpec

TOKEN = run_token(f"tests-{os.getpid()}", "child", 1)
"""No other test run on this machine may find, or end, the children of this one."""

READY = "\nsys.stderr.write('ready\\n'); sys.stderr.flush()\n"
WAIT = f"\nimport signal, sys{READY}\nwhile True: signal.pause()\n"
"""The end of a program that says "ready" and then waits for signals."""

ECHO = """
import os
while data := os.read(0, 65536):
    os.write(1, data)
"""


def spec(
    code: str,
    *arguments: str,
    channel: Literal["socketpair", "pipes"] = "socketpair",
    token: str = TOKEN,
) -> ProcessSpec:
    """Runs ``code`` in this interpreter, without site-packages, which makes it start quickly."""
    argv = (sys.executable, "-S", "-c", code, *arguments)
    return ProcessSpec(argv, None, build_environment(os.environ, token=token), channel)


class Child:
    """A spawned program with the lines of its stderr; ``said`` tests whether a line is among them."""

    def __init__(self, what: ProcessSpec) -> None:
        self.lines: list[str] = []
        self.process = PluginProcess.spawn(what, on_stderr=self.lines.append)

    def said(self, line: str) -> Callable[[], bool]:
        return lambda: line in self.lines

    def number(self, word: str) -> Callable[[], int]:
        """What follows ``word`` in a line such as "grandchild 123"; 0 until there is such a line."""

        def look() -> int:
            found = [line.split() for line in self.lines if line.startswith(word + " ")]
            return int(found[0][1]) if found else 0

        return look
