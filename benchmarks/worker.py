"""The bench's hold on one driver process: give an order, take the figures, with a time limit."""

from __future__ import annotations

import json
import select
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from . import affinity

if TYPE_CHECKING:
    from .contestant import Contestant

__all__ = ["Worker", "WorkerFailed"]

# Beyond the measured time itself: a start, a warm-up, a last slow call.
_PATIENCE_S = 60.0

_ROOT = Path(__file__).resolve().parent.parent


class WorkerFailed(Exception):
    """A driver that ended, reported an error, or did not answer in time."""


class Worker:
    """One contestant's driver, started and ready. Raises WorkerFailed when it cannot be."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant = contestant
        self._is_pinned = False
        try:
            command = contestant.command()
        except RuntimeError as error:
            raise WorkerFailed(str(error)) from None
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        try:
            self._answer(_PATIENCE_S)
        except WorkerFailed:
            self.close()
            raise

    def measure(self, verb: str, seconds: float, *, pinned: bool) -> dict[str, float]:
        """The figures of one measurement. Raises WorkerFailed."""
        if pinned != self._is_pinned:
            (affinity.pin if pinned else affinity.unpin)(self._process.pid)
            self._is_pinned = pinned
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"verb": verb, "seconds": seconds}) + "\n")
        except BrokenPipeError:
            raise WorkerFailed(f"{self.contestant.name}: its driver ended") from None
        figures: dict[str, float] = self._answer(seconds + _PATIENCE_S)
        return figures

    def _answer(self, timeout: float) -> Any:
        name, stdout = self.contestant.name, self._process.stdout
        assert stdout is not None
        # An answer is one line, written at once, so what is readable is all of it.
        if not select.select([stdout], [], [], timeout)[0]:
            raise WorkerFailed(f"{name}: no answer within {timeout:.0f} s")
        line = stdout.readline()
        if not line:
            raise WorkerFailed(f"{name}: its driver ended with status {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(f"{name}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the driver and with it the contestant's child."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # an order was on its way when it ended
        try:
            self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._kill()
        self._process.stdout.close()

    def _kill(self) -> None:
        """The driver and everything it started, found before it is gone."""
        family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                pass


# Stopping a plugin politely takes this long at the very most.
_CLOSE_S = 15.0
