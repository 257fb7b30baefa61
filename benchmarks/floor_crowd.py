"""Floor of many sessions: terminals and pipes that one process opens itself and does nothing with."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

from ptyprocess import PtyProcess

from .burden import burden
from .crowd import COMMAND, SESSIONS, costs, is_terminal
from .fresh import FreshDriver

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["driver"]


def main() -> None:
    """Open all of them one after another, look at this process, and end them."""
    before = burden(os.getpid())
    start = time.perf_counter()
    ends = [_terminal() if is_terminal(number) else _pipes() for number in range(SESSIONS)]
    took = time.perf_counter() - start
    after = burden(os.getpid())
    for end in ends:
        end()
    print(json.dumps({"open_ms": took / SESSIONS * 1e3, **costs("", before, after)}))


def _terminal() -> Callable[[], None]:
    process = PtyProcess.spawn(COMMAND)

    def end() -> None:
        process.kill(9)
        process.wait()
        process.fileobj.close()
        process.closed = True  # or else it would sleep when it is freed

    return end


def _pipes() -> Callable[[], None]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
    )

    def end() -> None:
        process.kill()
        process.communicate()

    return end


def driver() -> FreshDriver:
    return FreshDriver("floor_crowd")


if __name__ == "__main__":
    main()
