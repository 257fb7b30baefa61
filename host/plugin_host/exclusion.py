"""One thread at a time in what several threads share.

An object with a `mutex` has its methods made `exclusive`. The mutex is reentrant, so these may call each
other; nobody else's code is ever called with it held.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["exclusive"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def exclusive(method: Callable[Concatenate[Any, _P], _R]) -> Callable[Concatenate[Any, _P], _R]:
    """The method, called with the `mutex` of its object held."""

    @functools.wraps(method)
    def held(self: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with self.mutex:
            return method(self, *args, **kwargs)

    return held
