"""Asking a plugin something, and reading its answer as a type of the wire."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from .errors import CallCancelled, CallFailed

if TYPE_CHECKING:
    from .link import Link

__all__ = ["ask"]

_T = TypeVar("_T")


async def ask(
    link: Link,
    plugin: str,
    method: str,
    params: dict[str, Any],
    kind: type[_T],
    meta: dict[str, Any] | None = None,
) -> _T:
    """The answer of `plugin` to `method`; cancelled when this is.

    Raises what the plugin answers, PluginDied, and CallFailed for parameters that cannot be sent and,
    named `rpc.foreign`, for an answer of another kind.
    """
    link.survey(params)
    msgid, answer = link.request(method, params, meta)
    try:
        result = await answer
    except asyncio.CancelledError:
        link.abandon(msgid)
        raise
    except CallCancelled as error:
        if plugin not in error.message:  # the plugin itself says that it stops, not who it is
            error.message = f"{plugin} {method}: {error.message}"
            error.args = (error.message,)
        raise
    try:
        return msgspec.convert(result, kind)
    except msgspec.ValidationError as error:
        raise CallFailed(f"{plugin} answered {method} oddly: {error}", name="rpc.foreign") from None
