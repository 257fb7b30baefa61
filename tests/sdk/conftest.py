"""What tests of sessions need; each of these is let go of when its test ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from plugin_host_sdk.exec import Handler
from tests.sdk.managed import Manage, Managed, Perform, PipeFiles, acts
from tests.sdk.sitting import Sit, Sitting


@pytest.fixture
def sit() -> Iterator[Sit]:
    """Makes sittings: sessions without a manager."""
    made: list[Sitting] = []

    def make(**options: Any) -> Sitting:
        made.append(Sitting(**options))
        return made[-1]

    yield make
    for sitting in made:
        sitting.release()
        assert sitting.sink.faults == []


@pytest.fixture
def manage() -> Iterator[Manage]:
    """Makes managers of handlers."""
    made: list[Managed] = []

    def make(*handlers: Handler, **options: Any) -> Managed:
        made.append(Managed(handlers, **options))
        return made[-1]

    yield make
    for managed in made:
        managed.close()


@pytest.fixture
def given() -> Iterator[PipeFiles]:
    """What an author's handler gives."""
    files = PipeFiles()
    yield files
    files.close()


@pytest.fixture(params=["function", "coroutine"])
def perform(request: pytest.FixtureRequest, manage: Manage) -> Perform:
    """Opens session "s" of a function, which is a plain one or a coroutine function; viewer 1 looks."""

    def start(function: Callable[..., Any], stdin: int | None = None, **options: Any) -> Managed:
        is_plain = request.param == "function"
        managed = manage(acts(function if is_plain else _as_coroutine(function), **options))
        managed.create(stdin=stdin)
        managed.attach()
        return managed

    return start


def _as_coroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    async def coroutine(*arguments: Any) -> Any:
        return await asyncio.to_thread(function, *arguments)

    return coroutine
