"""Values as lines of JSON, as streams carry them to clients."""

from __future__ import annotations

import asyncio
from typing import Any

from plugin_host.notation import to_json
from plugin_host.weight import weigh

__all__ = ["json_line"]

# What is written as JSON on the loop; more takes a thread.
_QUICK_BYTES = 64 << 10


async def json_line(told: dict[str, Any]) -> bytes:
    """The line of a map, with its end. A big one is written by a thread."""
    if weigh(told, _QUICK_BYTES) > _QUICK_BYTES:
        return await asyncio.to_thread(_line, told)
    return _line(told)


def _line(told: dict[str, Any]) -> bytes:
    return to_json(told, ascii_only=True).encode() + b"\n"
