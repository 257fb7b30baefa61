"""What a guest was told to run: its process, its log on the way to the host, and its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator

from tests.guest.tools.caller import Caller

_GRACE_S = 1.0


class Job:
    """The one task of this guest. A kill that comes before the process is remembered."""

    def __init__(self, caller: Caller, entrypoint: list[str], env: dict[str, str]) -> None:
        self._caller = caller
        self._entrypoint = entrypoint
        self._env = env
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_killed = False

    def run(self) -> None:
        """Fetch it, run it, and say how it ended once the whole log was taken."""
        status, answer = self._caller.insist("GET", "execute")
        if status != 200:
            return
        told = json.loads(answer)
        process = self._start([*self._entrypoint, *told["command"]], self._env | told["env"])
        if process is None:
            self._report("failed", code=127, reason="it could not be started")
            return
        self._caller.ask("POST", "log", _output(process), timeout=None)
        code = process.wait()
        if code == 0:
            self._report("success")
        elif code > 0:
            self._report("failed", code=code)
        else:
            self._report("failed", signal=signal.Signals(-code).name)

    def _start(self, command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes] | None:
        with self._lock:
            try:
                self._process = subprocess.Popen(
                    command,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError:
                return None
            if self._is_killed:
                self._signal(signal.SIGKILL)
            return self._process

    def _report(self, route: str, **told: object) -> None:
        self._caller.insist("PUT", route, json.dumps(told).encode(), Content_Type="application/json")

    def kill(self) -> None:
        """End it gently, and for certain a little later."""
        with self._lock:
            self._is_killed = True
            process = self._process
        if process is not None:
            self._signal(signal.SIGTERM)
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass


def _output(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    assert process.stdout is not None
    while data := os.read(process.stdout.fileno(), 65536):
        yield data
