"""Giving up, for this process and all that come of it, what set-user-id programs would add to their rights.

Owns that one step. It cannot be taken back. Imported only where it is asked for, since it loads ctypes.
"""

from __future__ import annotations

import os
import sys

__all__ = ["give_up_new_privileges", "main"]

_PR_SET_NO_NEW_PRIVS = 38


def give_up_new_privileges() -> None:
    """Set `no_new_privs` for this thread and what it starts from now on. Raises OSError where it cannot.

    Call it while there is one thread only, or the others keep what they have.
    """
    import ctypes

    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except AttributeError:
        raise OSError("this system has no no_new_privs, which the plugin is to be started with") from None
    one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
    if prctl(_PR_SET_NO_NEW_PRIVS, one, zero, zero, zero) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot set no_new_privs: {os.strerror(number)}")


def main() -> None:
    """Become the program that the arguments name, found by PATH, without any new privileges."""
    give_up_new_privileges()
    try:
        os.execvp(sys.argv[1], sys.argv[1:])
    except OSError as error:
        sys.stderr.write(f"cannot run {sys.argv[1]!r}: {error.strerror}\n")
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)
