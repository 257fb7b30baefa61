"""Who is asking: the asyncio task that runs now, or nobody.

Invariant: a result that is there can also be had behind the end of a loop, where no task runs.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["current_task"]


def current_task() -> asyncio.Task[Any] | None:
    """The task that runs; None without a loop, as after the end of a host that is used from threads."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
