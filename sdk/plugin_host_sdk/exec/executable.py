"""Which file a command means, and why it cannot be run.

The search is that of the session's program, not the plugin's: its PATH, from its folder. Says what is
wrong before anything is started, and after a start that failed explains the kernel's number.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import TerminalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["explain_failure", "find_executable", "refusal"]

# Conditions that pass: the same call may succeed later.
_SCARCITY = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC})
_DESCRIPTORS = (
    "; this plugin may have {} descriptors, of which a session takes three to five: end other sessions, "
    "spread them over several plugins, or raise `open_files` in its limits or `ulimit -n` for the host"
)
_INTERPRETER_LINE_BYTES = 256  # what Linux reads of it


def refusal(message: str, reason: str, number: int, file: str, detail: str = "") -> TerminalError:
    """A TerminalError whose data are `reason`, `errno`, `file` and, where given, `detail`."""
    data = {"reason": reason, "errno": number, "file": file}
    if number == errno.EMFILE:
        message += _DESCRIPTORS.format(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if detail:
        data["detail"] = detail
    return TerminalError(message, data=data, retryable=number in _SCARCITY)


def find_executable(name: str, cwd: str | None, env: Mapping[str, str]) -> str:
    """The path of `name`, for a process in folder `cwd` (None: the plugin's) with environment `env`.

    A relative path is relative to that folder. Raises TerminalError, `reason` "not_found" or
    "not_executable" (`detail` "directory" or "permission").
    """
    if not name:
        raise refusal("the program's name is empty: name a program", "not_found", errno.ENOENT, name)
    blocked = ""
    candidates = [name] if "/" in name else list(_candidates(name, env))
    for path in candidates:
        try:
            mode = os.stat(os.path.join(cwd or "", path)).st_mode
        except PermissionError:
            blocked = blocked or path
            continue
        except OSError:
            continue
        if stat.S_ISREG(mode) and os.access(os.path.join(cwd or "", path), os.X_OK):
            return path
        if not stat.S_ISDIR(mode) or path == name:
            blocked = blocked or path
    if blocked:
        raise _not_executable(blocked, os.path.join(cwd or "", blocked))
    if "/" in name:
        where = f" (seen from {cwd})" if cwd and not os.path.isabs(name) else ""
        message = f"there is no file {name!r}{where}: check the path"
    else:
        searched = env.get("PATH", os.defpath)
        message = (
            f"program {name!r} is not in the session's PATH ({searched}): install it or give its full path"
        )
    raise refusal(message, "not_found", errno.ENOENT, name)


def explain_failure(path: str, file: str, number: int) -> TerminalError:
    """Why `path`, which was found, could not be started. `file` is the same file as seen from here.

    `reason` is "not_executable" for what will never run (`detail` "interpreter", "format", "permission"),
    "not_found" for what has gone, otherwise "system".
    """
    if number == errno.ENOENT and os.path.exists(file):
        return _no_interpreter(path, file, number)
    if number in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return refusal(f"there is no file {path!r} any more", "not_found", number, path)
    if number == errno.ENOEXEC:
        return refusal(
            f"{path!r} is no program of this machine: a script begins with a line like '#!/bin/sh'",
            "not_executable",
            number,
            path,
            "format",
        )
    if number in (errno.EACCES, errno.EPERM):
        interpreter = _interpreter(file)
        blamed = f"its interpreter {interpreter!r} or the file system" if interpreter else "the file system"
        return refusal(
            f"{path!r} may not be executed: {blamed} does not allow it",
            "not_executable",
            number,
            path,
            "permission",
        )
    if number == errno.E2BIG:
        message = f"the arguments and the environment of {path!r} are too long for the system"
    else:
        message = f"{path!r} could not be started: {os.strerror(number) if number else 'unknown cause'}"
    return refusal(message, "system", number, path)


def _candidates(name: str, env: Mapping[str, str]) -> Iterator[str]:
    for folder in env.get("PATH", os.defpath).split(os.pathsep):
        # An empty entry is the folder the program starts in; a path without a slash would be searched.
        yield os.path.join(folder or ".", name)


def _not_executable(path: str, file: str) -> TerminalError:
    if os.path.isdir(file):
        message, detail = f"{path!r} is a directory: name a program", "directory"
    else:
        message, detail = f"{path!r} is not executable: try chmod +x, or name its interpreter", "permission"
    return refusal(message, "not_executable", errno.EACCES, path, detail)


def _no_interpreter(path: str, file: str, number: int) -> TerminalError:
    interpreter = _interpreter(file)
    if interpreter:
        hint = " (the line ends like those of Windows)" if interpreter.endswith("\r") else ""
        message = (
            f"{path!r} asks for interpreter {interpreter!r}, which does not exist{hint}: mend its #! line"
        )
    else:
        message = f"{path!r} needs a loader that does not exist here: it was built for another system"
    return refusal(message, "not_executable", number, path, "interpreter")


def _interpreter(file: str) -> str:
    """The program in the `#!` line of `file`; "" when it has none."""
    try:
        with open(file, "rb", buffering=0) as script:
            line = script.read(_INTERPRETER_LINE_BYTES).partition(b"\n")[0]
    except OSError:
        return ""
    words = line[2:].strip(b" \t").split(b" ", 1) if line.startswith(b"#!") else [b""]
    return os.fsdecode(words[0])
