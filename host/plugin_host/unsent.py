"""Why a call was not sent."""

from __future__ import annotations

from plugin_host_sdk.errors import CallFailed, LocalProtocolError, MessageTooLarge
from plugin_host_sdk.protocol import PENDING_REQUESTS

__all__ = ["refusal", "too_many"]


def too_many(peer: str) -> CallFailed:
    """What a call ends with when as many as may wait already."""
    return CallFailed(f"{PENDING_REQUESTS} calls to this {peer} are not answered", name="rpc.busy")


def refusal(error: LocalProtocolError) -> CallFailed:
    """What a message that cannot be sent means for the call that it is of."""
    name = "rpc.too_large" if isinstance(error, MessageTooLarge) else "rpc.not_encodable"
    return CallFailed(str(error), name=name)
