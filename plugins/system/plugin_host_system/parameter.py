"""The bounds of what callers may pass; a value outside is refused before a handler runs."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

__all__ = ["Interval", "Limit", "Pid", "Sort"]

# The kernel counts CPU time in ticks of 10 ms: five of them are the least that says anything.
Interval = Annotated[float, msgspec.Meta(ge=0.05, le=60.0)]

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]

Pid = Annotated[int, msgspec.Meta(ge=1)]

Sort = Literal["cpu", "memory", "pid", "name", "started"]
