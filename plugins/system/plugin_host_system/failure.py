"""The statuses a command of this plugin ends with when it has no result.

One table, repeated in the README; nothing else in the package invents a number. Each function turns
one kind of foreign error into the `CommandError` for it, with what was asked for as a field.
"""

from __future__ import annotations

import errno

import plugin_host_sdk as sdk

from . import deferred

TYPE_CHECKING = False
if TYPE_CHECKING:
    import psutil

__all__ = [
    "MEANINGS",
    "NOT_ACCESSIBLE",
    "NO_SUCH_PATH",
    "NO_SUCH_PROCESS",
    "PERMISSION_DENIED",
    "path_failure",
    "process_failure",
]

NO_SUCH_PATH = 1
NO_SUCH_PROCESS = 2
PERMISSION_DENIED = 3
NOT_ACCESSIBLE = 4

MEANINGS = {
    NO_SUCH_PATH: "no such path",
    NO_SUCH_PROCESS: "no such process",
    PERMISSION_DENIED: "permission denied",
    NOT_ACCESSIBLE: "path is not accessible",
}

_STATUS_OF_ERRNO = {
    errno.ENOENT: NO_SUCH_PATH,
    errno.ENOTDIR: NO_SUCH_PATH,
    errno.EACCES: PERMISSION_DENIED,
    errno.EPERM: PERMISSION_DENIED,
}


def path_failure(error: OSError | ValueError, path: str) -> sdk.CommandError:
    """What to raise when the file system refused `path`; a `ValueError` means it holds a NUL."""
    if isinstance(error, ValueError):
        return _failure(NO_SUCH_PATH, repr(path), "a path cannot hold a NUL", path=path)
    status = _STATUS_OF_ERRNO.get(error.errno or 0, NOT_ACCESSIBLE)
    detail = (error.strerror or str(error)) if status == NOT_ACCESSIBLE else ""
    return _failure(status, repr(path), detail, path=path)


def process_failure(error: psutil.Error, pid: int) -> sdk.CommandError:
    """What to raise when psutil could not look at the process `pid`.

    Whatever is not a refusal is a process that was never there, or ended while it was looked at.
    """
    # An integer of more than 64 bits cannot be sent, but be asked for in words.
    told = pid if pid < 2**64 else str(pid)
    if isinstance(error, deferred.psutil.AccessDenied):
        return _failure(PERMISSION_DENIED, f"process {pid}", "", pid=told)
    return _failure(NO_SUCH_PROCESS, str(pid), "", pid=told)


def _failure(status: int, subject: str, detail: str, **fields: object) -> sdk.CommandError:
    """The error for `status`, worded `meaning: subject (detail)`."""
    message = f"{MEANINGS[status]}: {subject}"
    return sdk.CommandError(status, f"{message} ({detail})" if detail else message, **fields)
