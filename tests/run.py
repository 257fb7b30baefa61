"""Runs a coroutine in a loop of its own and holds it to account: the fixture ``run``.

``run(body())`` returns what the coroutine returns and raises what it raises. It fails the test
when the coroutine takes too long (and shows where every task waits), when tasks are still pending
at its end, and when the loop met an exception that nobody was there to receive.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol, TypeVar

import pytest

from tests.deadline import deadline_of

_T = TypeVar("_T")

SHARE_OF_DEADLINE = 0.8
"""The coroutine's part of the test's deadline, so that this report comes before the alarm."""

SETTLING_TURNS = 5
"""Turns of the loop in which tasks that were already ending may end."""


class Run(Protocol):
    """The type of the fixture, for annotations."""

    def __call__(self, coro: Coroutine[Any, Any, _T], *, timeout: float | None = None) -> _T: ...


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine in a fresh loop, within ``timeout`` seconds; see ``tests.run``."""
    limit = deadline_of(request.node) * SHARE_OF_DEADLINE

    def run_one(coro: Coroutine[Any, Any, _T], *, timeout: float | None = None) -> _T:
        __tracebackhide__ = True
        return _run(coro, limit if timeout is None else timeout)

    return run_one


def _run(coro: Coroutine[Any, Any, _T], timeout: float) -> _T:
    __tracebackhide__ = True
    swallowed: list[dict[str, Any]] = []
    complaints: list[str] = []
    try:
        with asyncio.Runner(debug=False) as runner:
            loop = runner.get_loop()
            loop.set_exception_handler(lambda _loop, context: swallowed.append(context))
            result = runner.run(_watch(coro, timeout, complaints))
        # "never retrieved" is said when a task is freed, and a traceback holds it in a cycle.
        gc.collect()
    except BaseException as error:
        for complaint in complaints + [_describe_context(context) for context in swallowed]:
            error.add_note(complaint)
        raise
    complaints += [_describe_context(context) for context in swallowed]
    if complaints:
        pytest.fail("\n".join(complaints))
    return result


async def _watch(coro: Coroutine[Any, Any, _T], timeout: float, complaints: list[str]) -> _T:
    __tracebackhide__ = True
    task = asyncio.ensure_future(coro)
    await asyncio.wait({task}, timeout=timeout)
    if not task.done():
        waiting = _describe_tasks(_others())
        pytest.fail(f"the coroutine took more than {timeout:g} s; where each task waits:\n{waiting}")
    for _ in range(SETTLING_TURNS):
        await asyncio.sleep(0)
    if pending := _others():
        complaints.append(f"tasks left pending:\n{_describe_tasks(pending)}")
    return task.result()


def _others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {task for task in [asyncio.current_task()] if task}


def _describe_tasks(tasks: Iterable[asyncio.Task[Any]]) -> str:
    return "\n".join(f"  {task.get_name()}: {_stand(task)}" for task in tasks)


def _stand(task: asyncio.Task[Any]) -> str:
    """The coroutine's name and, from the outside in, the lines it waits at."""
    coro: Any = task.get_coro()
    name = getattr(coro, "__qualname__", repr(coro))
    lines = []
    while (frame := getattr(coro, "cr_frame", None)) is not None:
        lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        coro = coro.cr_await
    return f"{name} at {' > '.join(lines) or 'its start'}"


def _describe_context(context: dict[str, Any]) -> str:
    error = context.get("exception")
    about = context.get("task") or context.get("future") or context.get("handle") or ""
    return f"the loop swallowed: {context['message']} {about!r} {error!r}"
