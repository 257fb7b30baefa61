"""Terminals when there is too little of something: the words, and nothing left behind."""

from __future__ import annotations

import errno
import itertools
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.exec.terminal import RealTerminal, RealTerminalFactory
from tests.sdk.ends import ENV, descriptors, end_of, has_children

FACTORY = RealTerminalFactory()


def spawn(*argv: str) -> RealTerminal:
    return FACTORY.spawn(argv, cwd=None, env=ENV, rows=27, cols=72)


def test_scarcity_of_descriptors_is_retryable_and_leaks_none() -> None:
    before = descriptors()
    refusals: list[TerminalError] = []
    opened = 0
    for spare in range(12):
        with few_descriptors(spare):
            try:
                terminal = spawn("true")
            except TerminalError as error:
                refusals.append(error)
            else:
                terminal.close()
                assert terminal.pid is not None
                end_of(terminal.pid)
                opened += 1
        assert descriptors() == before, f"with {spare} to spare"
    assert refusals
    assert opened
    assert all(refusal.retryable for refusal in refusals)
    assert {refusal.data["errno"] for refusal in refusals} <= {errno.EMFILE, errno.ENOSPC}
    assert not has_children()


@contextmanager
def few_descriptors(spare: int) -> Iterator[None]:
    """No more than `spare` can be opened."""
    used = descriptors()
    free = (number for number in itertools.count() if number not in used)
    limit = next(itertools.islice(free, spare, None))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_scarcity_of_processes_is_retryable_and_leaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "forkpty", refuse)
    monkeypatch.setattr(os, "fork", refuse)
    before = descriptors()
    with pytest.raises(TerminalError) as caught:
        spawn("true")
    assert caught.value.retryable
    assert caught.value.data["errno"] == errno.EAGAIN
    assert descriptors() == before


def test_scarcity_of_terminals_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> tuple[int, int]:
        raise OSError("out of pty devices")

    monkeypatch.setattr(os, "openpty", refuse)
    with pytest.raises(TerminalError, match="no terminal could be opened: out of pty devices") as caught:
        FACTORY.open(27, 72)
    assert caught.value.retryable


def test_child_that_fails_late_is_ended_and_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int, blocking: bool) -> None:
        raise RuntimeError("late")

    before = descriptors()
    monkeypatch.setattr(os, "set_blocking", fail)
    with pytest.raises(RuntimeError, match="late"):
        spawn("cat")
    assert not has_children()
    assert descriptors() == before
