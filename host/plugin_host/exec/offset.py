"""Where an output is read from, as callers say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugin_host.errors import CallFailed

__all__ = ["offset_given"]


def offset_given(offset: Any) -> int | dict[str, int | None] | None:
    """As it travels; whether it is in range is the plugin's to say, which has the output.

    Raises CallFailed named `rpc.invalid_params` for what is neither a number nor a map of numbers.
    """
    if offset is None or isinstance(offset, int):
        return offset
    if isinstance(offset, Mapping):
        return dict(offset)
    kind = type(offset).__name__
    text = f"attach: offset is a number of bytes, or a map of these by output, not of type {kind}"
    raise CallFailed(text, name="rpc.invalid_params")
