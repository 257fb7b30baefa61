"""A host and its plugins as plain maps, the same for every program that asks."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.state import State
from plugin_host.version import VERSION
from plugin_host_sdk.types.session import HandlerInfo

from .errormap import to_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plugin_host.plugin import Plugin

__all__ = ["plugin_map", "status_map"]


def status_map(plugins: Sequence[Plugin], started_at: float, began: float) -> dict[str, Any]:
    """A host at this moment; times are seconds, `started_at` since the epoch.

    `began` is the same by `time.monotonic()`, which nobody sets: so long it has been up.
    """
    counts = Counter(plugin.state for plugin in plugins)
    return {
        "version": VERSION,
        "pid": os.getpid(),
        "started_at": started_at,
        "uptime_s": round(time.monotonic() - began, 3),
        "plugins": {str(state): counts[state] for state in State if counts[state]},
    }


def plugin_map(plugin: Plugin) -> dict[str, Any]:
    """One plugin at this moment; `error` as errors travel, None when nothing is wrong."""
    candidate = plugin.candidate
    return {
        "id": plugin.id,
        "version": plugin.version or None,
        "state": str(plugin.state),
        "healthy": plugin.healthy,
        "pid": plugin.pid,
        "restarts": plugin.restarts,
        "source": plugin.source,
        "raw": plugin.is_raw,
        "skipped": candidate.skipped,
        "capabilities": sorted(plugin.capabilities),
        "commands": plugin.commands,
        "handlers": _handlers(plugin.capabilities.get("exec")),
        "error": None if plugin.error is None else to_map(plugin.error),
        "death": None if plugin.death is None else plugin.death.to_map(),
    }


class _Offered(msgspec.Struct):
    handlers: list[HandlerInfo] = []


def _handlers(offered: Any) -> list[dict[str, Any]]:
    """What sessions a plugin offers, and whether on terminals, on pipes or on both."""
    try:
        handlers = msgspec.convert(offered, _Offered).handlers
    except msgspec.ValidationError:
        return []  # none, or described oddly
    return [{"key": one.key, "tty": one.tty, "pipes": one.pipes} for one in handlers]
