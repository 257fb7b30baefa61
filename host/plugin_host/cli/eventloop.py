"""Runs a coroutine in a loop of its own, as `asyncio.run` does, and ends also where no thread is left.

The loop of asyncio starts a thread to wait for those it has used. A command that has done its work is not
to fail for want of one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["run"]

_T = TypeVar("_T")


def run(body: Coroutine[Any, Any, _T]) -> _T:
    """What `body` returns or raises."""
    runner = asyncio.Runner()
    try:
        return runner.run(body)
    finally:
        try:
            runner.close()
        except RuntimeError as error:
            from plugin_host.diagnosis import is_scarcity

            if not is_scarcity(error):
                raise
