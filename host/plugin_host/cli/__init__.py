"""The `plugin-host` command, for operators: one file per command, and what they share beside them.

Nothing here is part of the Python API but `main`. Invariant: a module of this package imports click and
small standard modules when it is loaded; the host, asyncio and rich only when a command needs them.
"""

from __future__ import annotations

__all__ = ["main"]

_INTERRUPTED = 130  # 128 + SIGINT, which is spelled without a module that would be imported for this alone


def main() -> int:
    """Run the command line; the exit status."""
    try:
        # Most of a start is this import, in which Ctrl-C is pressed as well as anywhere.
        from . import program

        return program.main()
    except KeyboardInterrupt:
        return _INTERRUPTED
