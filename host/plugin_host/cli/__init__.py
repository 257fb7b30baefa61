"""The `plugin-host` command, for operators: one file per command, and what they share beside them.

Nothing here is part of the Python API but `main`. Invariant: a module of this package imports click and
small standard modules when it is loaded; the host, asyncio and rich only when a command needs them.
"""

from __future__ import annotations

from .program import main

__all__ = ["main"]
