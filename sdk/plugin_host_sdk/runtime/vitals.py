"""How far a plugin's calls are, in the few numbers that `vitals` answers with.

Taken by the reading thread while everything else may be stuck: it waits for nobody and runs nothing of the
author's. Times are those of the crew's clock, in seconds; what travels is whole milliseconds.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from plugin_host_sdk.context import Context

__all__ = ["take_vitals"]

_NAME_CHARACTERS = 200


def take_vitals(calls: Iterable[Context], finished: int, lag: float | None, now: float) -> dict[str, Any]:
    """The answer to `vitals`.

    `calls` are those not answered yet, in the order in which they came; `finished` is how many were,
    without those that never began: a call that was cancelled while it waited is no progress.
    `lag` is how long the loop of async handlers has not come round, None when there is none.
    """
    every = list(calls)
    begun = [ctx for ctx in every if ctx.has_begun]
    vitals: dict[str, Any] = {
        "running": len(begun),
        "waiting": len(every) - len(begun),
        "finished": finished,
    }
    if begun:
        vitals["oldest"] = begun[0].name[:_NAME_CHARACTERS]
        vitals["oldest_ms"] = max(0, int((now - begun[0].arrived) * 1000))
    if lag is not None:
        vitals["loop_ms"] = int(lag * 1000)
    return vitals
