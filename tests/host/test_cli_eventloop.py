"""What runs a command's coroutine: ends as that does, also where no thread can be started any more."""

from __future__ import annotations

import asyncio
import threading

import click
import pytest

from plugin_host.cli import eventloop
from plugin_host.cli.failure import reported


def refuse(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_result_and_error_are_those_of_the_coroutine() -> None:
    async def double(number: int) -> int:
        return 2 * await asyncio.to_thread(lambda: number)

    async def fail() -> None:
        raise LookupError("nothing there")

    assert eventloop.run(double(4)) == 8
    with pytest.raises(LookupError, match="nothing there"):
        eventloop.run(fail())


def test_end_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> str:
        await asyncio.to_thread(lambda: None)  # the loop has threads to wait for now
        monkeypatch.setattr(threading.Thread, "start", refuse)
        return "done"

    assert eventloop.run(work()) == "done"


def test_lack_of_threads_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        await asyncio.to_thread(lambda: None)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(click.exceptions.Exit) as caught, reported(as_json=False, verbose=False):
        eventloop.run(work())
    assert caught.value.exit_code == 3


def test_other_faults_stay_faults() -> None:
    async def work() -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"), reported(as_json=False, verbose=False):
        eventloop.run(work())
