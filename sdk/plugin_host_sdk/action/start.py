"""Starting a program for an action: on pipes, in a session of its own, perhaps as another user.

Ownership: the descriptors are the caller's from the start, and the process is the caller's to reap.
"""

from __future__ import annotations

import errno
import os
import subprocess
import time
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.exec.executable import explain_failure, refusal
from plugin_host_sdk.exec.spawning import (
    SPAWN_LOCK,
    bad_folder,
    expect_fork,
    has_ordinary_signals,
    prepare,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from plugin_host_sdk.exec.spawning import Start

    from .identity import Identity

__all__ = ["start_program"]

# A child that another thread has just forked holds the file that was written, until it becomes its program.
_BUSY_S, _BUSY_PAUSE_S = 2.0, 0.01


def start_program(
    argv: Sequence[str], *, cwd: str | None, env: Mapping[str, str], identity: Identity | None
) -> tuple[int, int, int]:
    """Start it, and give its pid and our ends of its stdout and stderr, which do not block.

    `env` is its whole environment. With an `identity` it has that user and group, and no other group.
    Raises TerminalError, whose message says what is wrong with the program, its folder or the system.
    """
    start = prepare(argv, cwd, env)
    ours: list[int] = []
    theirs: list[int] = []
    try:
        with SPAWN_LOCK:
            for _ in range(2):
                reading, writing = os.pipe()
                ours.append(reading)
                theirs.append(writing)
                os.set_blocking(reading, False)
            pid = _start(start, theirs, identity)
    except BaseException as error:
        for fd in ours:
            os.close(fd)
        if isinstance(error, OSError):
            raise refusal(
                f"no pipes for {start.path!r}: {error.strerror}", "system", error.errno or 0, start.path
            ) from None
        raise
    finally:
        for fd in theirs:
            os.close(fd)
    return pid, ours[0], ours[1]


def _start(start: Start, ends: Sequence[int], identity: Identity | None) -> int:
    restore = None if has_ordinary_signals() else start.restore_signals
    if restore is not None:
        expect_fork("fork", "subprocess")
    who: dict[str, Any] = {}
    if identity is not None:
        # Its own group, and not an empty list, which some versions of Python take for "leave them".
        who = {"user": identity.uid, "group": identity.gid, "extra_groups": [identity.gid]}
    until = time.monotonic() + _BUSY_S
    while True:
        try:
            popen = subprocess.Popen(
                start.argv,
                executable=start.path,
                stdin=subprocess.DEVNULL,
                stdout=ends[0],
                stderr=ends[1],
                cwd=start.cwd,
                env=start.env,
                close_fds=True,
                start_new_session=True,
                preexec_fn=restore,
                **who,
            )
        except OSError as error:
            if error.errno == errno.ETXTBSY and time.monotonic() < until:
                time.sleep(_BUSY_PAUSE_S)
                continue
            raise _explained(start, error) from None
        except subprocess.SubprocessError as error:
            raise TerminalError(f"{start.path!r} could not be started: {error}") from None
        # Reaping is the caller's: a Popen that is dropped before would complain, and reap at any time.
        popen.returncode = 0
        return popen.pid


def _explained(start: Start, error: OSError) -> TerminalError:
    number = error.errno or 0
    if start.cwd is not None and error.filename == start.cwd:
        return bad_folder(start.cwd, number)
    return explain_failure(start.path, start.file, number)
