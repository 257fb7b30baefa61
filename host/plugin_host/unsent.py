"""Why a call was not sent, or an answer."""

from __future__ import annotations

from plugin_host_sdk.errors import CallFailed, LocalProtocolError, MessageTooLarge
from plugin_host_sdk.protocol import PENDING_REQUESTS

__all__ = ["refusal", "stuck", "too_many", "unheld"]


def too_many(peer: str) -> CallFailed:
    """What a call ends with when as many as may wait already."""
    return CallFailed(f"{PENDING_REQUESTS} calls to this {peer} are not answered", name="rpc.busy")


def stuck(peer: str, waiting: int) -> CallFailed:
    """What a call ends with when too much waits for its peer."""
    text = f"{waiting} bytes wait for this {peer} besides its open calls: it reads too slowly, or not"
    return CallFailed(text, name="rpc.busy")


def unheld(peer: str, waiting: int) -> CallFailed:
    """What stands for an answer when too much waits for who asked. It was made: no retry."""
    text = f"the answer is not kept: {waiting} bytes of others wait until the {peer} has read them"
    return CallFailed(text, name="rpc.too_large")


def refusal(error: LocalProtocolError) -> CallFailed:
    """What a message that cannot be sent means for the call that it is of."""
    name = "rpc.too_large" if isinstance(error, MessageTooLarge) else "rpc.not_encodable"
    return CallFailed(str(error), name=name)
