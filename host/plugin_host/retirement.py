"""The last part of an instance that was replaced: it finishes what it has, and is stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .instance import Instance

__all__ = ["retire"]

_FIRST_LOOK_S = 0.01
_LONGEST_LOOK_S = 1.0


async def retire(instance: Instance) -> None:
    """Wait until no call is in flight and no session open, then stop it.

    There is no bound to the wait: a session may be somebody's shell for days. Cancelling ends it.
    """
    pause = _FIRST_LOOK_S
    while instance.is_busy:
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_LOOK_S)
    await instance.stop()
