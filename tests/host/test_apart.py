"""Work in a thread for a loop: what it ends with arrives, whatever that is."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from plugin_host.action.sourcethread import SourceThread
from plugin_host.errand import apart
from tests.run import Run

_word = contextvars.ContextVar("_word", default="none")


def raise_(error: BaseException) -> None:
    raise error


def test_work_runs_in_a_thread_of_its_own_and_its_result_arrives(run: Run) -> None:
    assert run(apart(threading.get_ident)) != threading.get_ident()


@pytest.mark.parametrize("kind", [ValueError, SystemExit, asyncio.CancelledError])
def test_what_work_raises_arrives(run: Run, kind: type[BaseException]) -> None:
    async def body() -> None:
        with pytest.raises(kind):
            await apart(lambda: raise_(kind()))

    run(body())


def test_end_of_an_iterator_is_an_error_that_a_future_can_carry(run: Run) -> None:
    async def body() -> None:
        with pytest.raises(RuntimeError, match=r"StopIteration\(3\)"):
            await apart(lambda: raise_(StopIteration(3)))

    run(body())


def test_source_is_read_in_one_thread_and_in_the_context_of_who_reads(run: Run) -> None:
    async def body() -> None:
        source = SourceThread()
        _word.set("mine")
        threads = {await source.do(threading.get_ident) for _ in range(3)}
        assert len(threads) == 1
        assert await source.do(_word.get) == "mine"
        source.end()

    run(body())
