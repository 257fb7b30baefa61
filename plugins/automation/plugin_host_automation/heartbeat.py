"""A sign of life: what was asked comes back, with who answers and where."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import plugin_host_sdk as sdk
from plugin_host_sdk.action import HeartbeatResult
from plugin_host_sdk.protocol import PROTOCOL_VERSIONS

from . import plugin
from .property import properties

if TYPE_CHECKING:
    from plugin_host_sdk.action import Heartbeat

__all__ = ["run"]


def run(ctx: sdk.Context, request: Heartbeat) -> HeartbeatResult:
    versions = {
        "plugin": plugin.version,
        "sdk": sdk.__version__,
        "protocol": str(max(PROTOCOL_VERSIONS)),
        "python": platform.python_version(),
    }
    return HeartbeatResult(nonce=request.nonce, versions=versions, properties=properties())
