"""Waits on a condition, never for a time: the fixture ``wait_until``.

``wait_until(lambda: path.exists())`` in plain tests, ``await wait_until.aio(...)`` inside a loop.
Both return the first true value of the predicate and fail the test when there is none in time.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar, overload

import pytest

_T = TypeVar("_T")

DEFAULT_S = 10.0
"""Half of a test's deadline: a busy machine may take seconds to start an interpreter."""

FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.05


class WaitUntil:
    """The two waits; the predicate's own exceptions pass through."""

    def __call__(self, predicate: Callable[[], _T], timeout: float = DEFAULT_S) -> _T:
        __tracebackhide__ = True
        for pause in _pauses(timeout):
            value = predicate()
            if value:
                return value
            time.sleep(pause)
        return _last_chance(predicate, predicate(), timeout)

    @overload
    async def aio(self, predicate: Callable[[], Awaitable[_T]], timeout: float = DEFAULT_S) -> _T: ...
    @overload
    async def aio(self, predicate: Callable[[], _T], timeout: float = DEFAULT_S) -> _T: ...
    async def aio(self, predicate: Callable[[], Any], timeout: float = DEFAULT_S) -> Any:
        """The same inside a running loop; the predicate may be a coroutine function."""
        __tracebackhide__ = True
        for pause in _pauses(timeout):
            value = await _value(predicate)
            if value:
                return value
            await asyncio.sleep(pause)
        return _last_chance(predicate, await _value(predicate), timeout)


async def _value(predicate: Callable[[], Any]) -> Any:
    value = predicate()
    return await value if isinstance(value, Awaitable) else value


def _pauses(timeout: float) -> Iterator[float]:
    """Growing pauses until ``timeout`` has passed; the caller looks once more after the last."""
    end = time.monotonic() + timeout
    pause = FIRST_PAUSE_S
    while (left := end - time.monotonic()) > 0:
        yield min(pause, left)
        pause = min(pause * 1.5, LONGEST_PAUSE_S)


def _last_chance(predicate: Callable[[], object], value: _T, timeout: float) -> _T:
    __tracebackhide__ = True
    if value:
        return value
    pytest.fail(f"waited {timeout:g} s, still {value!r}: {_source(predicate)}")


def _source(predicate: Callable[[], object]) -> str:
    try:
        return " ".join(inspect.getsource(predicate).split())
    except (OSError, TypeError):  # built-in, partial, or defined in a shell
        return repr(predicate)


@pytest.fixture(scope="session")
def wait_until() -> WaitUntil:
    """Waits until a predicate is true, ``timeout`` seconds at most; see ``tests.wait``."""
    return WaitUntil()
