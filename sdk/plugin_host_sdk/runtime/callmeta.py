"""The metadata of a call: the time it has left, the plugins it came through, the trace it is part of."""

from __future__ import annotations

from time import monotonic

from plugin_host_sdk.errors import CallError, CallFailed, CallTimeout, excerpt
from plugin_host_sdk.protocol import CHAIN_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from plugin_host_sdk.context import Context

__all__ = ["expired", "read_meta"]

_ENDLESS_MS = 1e12  # thirty years and more are no deadline; clocks and locks cannot count so far


def read_meta(ctx: Context, meta: dict[str, Any], plugin_id: str) -> None:
    """Put deadline, chain and trace into `ctx`. Raises CallError when the call may not start."""
    timeout = meta.get("timeout_ms")
    if timeout is not None:
        if not isinstance(timeout, (int, float)):
            raise CallFailed(f"timeout_ms is a number, not {excerpt(timeout)}", name="rpc.invalid_params")
        if not timeout > 0:  # nor is what is no number at all
            raise expired(ctx)
        if timeout < _ENDLESS_MS:
            ctx.deadline = monotonic() + timeout / 1000
    if "traceparent" in meta:
        from plugin_host_sdk.tracecontext import read_trace  # most calls have none

        ctx.trace = read_trace(meta)
    chain = meta.get("chain")
    if chain:
        if not isinstance(chain, list) or not all(type(link) is str for link in chain):
            raise CallFailed("chain is a list of plugin ids", name="rpc.invalid_params")
        ctx.chain = tuple(chain)
        if len(chain) > CHAIN_DEPTH:
            raise CallFailed(
                f"calls nested deeper than {CHAIN_DEPTH}: {' -> '.join([*chain, plugin_id])}",
                name="rpc.chain_too_deep",
                data={"chain": [*chain, plugin_id]},
            )


def expired(ctx: Context) -> CallError:
    """The error for a call whose time was over before it could start."""
    return CallTimeout(
        f"the deadline of {ctx.name!r} passed before it started", name="rpc.deadline_exceeded"
    )
