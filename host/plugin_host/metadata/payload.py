"""The parameters of what plugins ask, as types of the wire."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from plugin_host.errors import InvalidPayload

__all__ = ["converted"]

_T = TypeVar("_T", bound=msgspec.Struct)


def converted(method: str, params: Any, kind: type[_T]) -> _T:
    """The parameters of `method`. Raises InvalidPayload."""
    try:
        return msgspec.convert(params, kind)
    except msgspec.ValidationError as error:
        raise InvalidPayload(f"{method}: {error}") from None
