"""How many launches may run at once.

A launch keeps a processor busy until its plugin is ready. More of them than that at the same time make
every one slower, until the deadline of each passes while it waits for the others.
"""

from __future__ import annotations

import asyncio

from .processors import processors

__all__ = ["launch_gate"]

_LAUNCHES_PER_CORE = 2


def launch_gate() -> asyncio.Semaphore:
    """A semaphore to hold from the spawn until the plugin is ready or has failed.

    It counts the cores this process may use; a launch's deadline starts once it is through.
    """
    return asyncio.Semaphore(_LAUNCHES_PER_CORE * processors())
