"""Whether the thread that asks is one that may not wait.

An async handler awaits what takes time, on its loop. What it gives to a thread, as by `asyncio.to_thread`,
has no loop there and waits as plain handlers do.
"""

from __future__ import annotations

__all__ = ["on_loop"]


def on_loop() -> bool:
    """Whether this thread is running an event loop at the moment."""
    from asyncio import _get_running_loop  # loaded already where there can be one

    return _get_running_loop() is not None
