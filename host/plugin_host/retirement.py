"""The last part of an instance that was replaced: it finishes what it has, and is stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from . import hang

if TYPE_CHECKING:
    from .health import HealthVerdict
    from .instance import Instance

__all__ = ["end_hung", "retire"]

_FIRST_LOOK_S = 0.01
_LONGEST_LOOK_S = 1.0


async def retire(instance: Instance) -> None:
    """Wait until no call is in flight and no session open, then stop it.

    There is no bound to the wait: a session may be somebody's shell for days. Cancelling ends it, and so
    does the end of the instance, as by `end_hung`.
    """
    pause = _FIRST_LOOK_S
    while instance.is_busy:
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_LOOK_S)
    await instance.stop()


async def end_hung(instance: Instance, verdict: HealthVerdict) -> None:
    """End one that does not answer, and so never finishes, unless its manifest says otherwise."""
    if instance.manifest.health.action == "restart":
        found = await hang.examine(instance.process, instance.link)
        words = f"was unresponsive and killed by the host: {verdict.describe()}"
        await instance.kill(words, found.render())
