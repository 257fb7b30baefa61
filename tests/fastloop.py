"""Coroutines of tests on uvloop. What uvloop opens once for all its loops is opened when this is imported,
so that no test is said to have left it behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

__all__ = ["run_fast"]

_T = TypeVar("_T")

uvloop.new_event_loop().close()


def run_fast(body: Coroutine[Any, Any, _T]) -> _T:
    """Run in a fresh loop of uvloop. Raises AssertionError when the loop swallowed an error."""
    swallowed: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(lambda _loop, context: swallowed.append(context))
        result = runner.run(body)
    assert not swallowed, swallowed
    return result
