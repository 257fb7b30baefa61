"""Telling a running plugin its new settings, and understanding what it makes of them.

Owns the one request and its answers. What the settings may be was decided before, and restarting is the
caller's. Invariant: after an exception the plugin has its old settings, or nobody knows (CallTimeout,
CancelledError, PluginDied) and only a restart makes it certain.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from plugin_host_sdk.errors import excerpt

from .errors import CallFailed, CallTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .link import Link

__all__ = ["reconfigure"]


async def reconfigure(
    link: Link, settings: Mapping[str, Any], timeout: float
) -> Literal["applied", "restart"]:
    """Give a plugin that is ready its new settings; what came of it within `timeout` seconds.

    "restart" when it says so, and for peers that know nothing of settings. Raises CallFailed when the
    plugin refuses them (its message says why), CallTimeout, and what ends every call in flight.
    """
    if link.connection.raw:
        return "restart"
    params = {"settings": dict(settings)}
    link.survey(params)
    deadline = asyncio.get_running_loop().time() + timeout
    meta = {"timeout_ms": max(1, int(timeout * 1000))}
    msgid, answer = link.request("reconfigure", params, meta, deadline)
    try:
        result = await answer
    except asyncio.CancelledError:
        link.abandon(msgid)
        raise
    except CallTimeout as error:
        text = f"the plugin did not take its new settings within {timeout:g} s"
        raise CallTimeout(text, name="command.timeout", data=error.data) from None
    except CallFailed as error:
        if error.name == "rpc.method_not_found":
            return "restart"
        raise
    if type(result) is not dict:
        raise CallFailed(f"reconfigure was answered with {excerpt(result)}, not a map", name="rpc.foreign")
    return "restart" if result.get("restart") is True else "applied"
