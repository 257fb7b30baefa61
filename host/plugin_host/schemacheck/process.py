"""Has schemas checked by a process that may be lost: the host's end of it.

A schema is the plugin's word, and so is what it costs: a regular expression can take for ever, and
references can multiply. So it is evaluated where it harms nobody, under limits of processor time and
memory; and what evaluates it, which is slow to import, is never imported by the host. Invariant: there is
an answer for every task, within a bounded time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from plugin_host.errors import ConfigurationError

from .task import Answer, Task

__all__ = ["answers"]

# In place of `-m`, which would look for the package where this interpreter does and not where the host's
# own path leads.
_START = "import sys; sys.path[:] = sys.argv[1:]; from plugin_host.schemacheck.__main__ import main; main()"
_PATIENCE_S = 30.0
_KEPT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME")


def answers(tasks: Sequence[Task]) -> list[Answer]:
    """An answer for each, in order. Blocks, some 0.2 s for a few.

    Raises ConfigurationError when nothing can be checked: there is no interpreter, process or library.
    """
    given: list[Answer] = []
    while len(given) < len(tasks):
        done = _run(tasks[len(given) :])
        given += [_read(line) for line in done.stdout.splitlines()]
        if len(given) < len(tasks):
            given.append(_lost(done))
    return given


def _run(tasks: Sequence[Task]) -> subprocess.CompletedProcess[bytes]:
    if not sys.executable:
        raise ConfigurationError("settings cannot be checked: this host does not know its own interpreter")
    command = [
        sys.executable,
        "-I",
        "-c",
        _START,
        *[path for path in sys.path if path and isinstance(path, str)],
    ]
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        return subprocess.run(
            command,
            input=b"".join(map(_line, tasks)),
            capture_output=True,
            env=environment,
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired as late:
        return subprocess.CompletedProcess(command, -signal.SIGXCPU, late.stdout or b"", b"")
    except OSError as error:
        raise ConfigurationError(f"settings cannot be checked: {error.strerror}") from None


def _line(task: Task) -> bytes:
    try:
        return json.dumps({"schema": task.schema, "settings": task.settings}).encode() + b"\n"
    except RecursionError:
        return b"[" * 100_000 + b"\n"  # so the process comes to the same conclusion


def _read(line: bytes) -> Answer:
    told = json.loads(line)
    if "settings" in told:
        return Answer(settings=told["settings"])
    return Answer(of_schema=told["of_schema"], steps=tuple(told["steps"]), text=told["text"])


def _lost(done: subprocess.CompletedProcess[bytes]) -> Answer:
    """The task at which the process ended. Raises ConfigurationError when it was none of them."""
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        text = "takes too long to check: look for a pattern or a reference that multiplies its work"
        return Answer(of_schema=True, text=text)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return Answer(of_schema=True, text=f"cannot be checked: the process that did ended by {name}")
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it says nothing"]
    raise ConfigurationError(f"settings cannot be checked: {lines[-1]}")
