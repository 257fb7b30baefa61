"""A task is ended with all that it started: asked child first while all are frozen, then made to."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from plugin_host_sdk.exec import family as family_module
from plugin_host_sdk.metadata.killing import CallKilling, TreeKilling
from tests.sdk.ends import close_pipes, end_of, read_until
from tests.sdk.kin import family_of
from tests.wait import WaitUntil

STUBBORN = """
trap '' TERM
sh -c "trap '' TERM; echo up; while :; do sleep 0.05; done" &
echo up
while :; do sleep 0.05; done
"""


def test_all_are_frozen_then_asked_child_first_and_then_go_on(
    wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []
    real = family_module._signal

    def record(pid: int, started: float, signum: int, **options: bool) -> bool:
        sent.append((signum, pid))
        return real(pid, started, signum, **options)

    monkeypatch.setattr(family_module, "_signal", record)
    process, family = family_of("sh", "-c", "sh -c 'echo $$; sleep 60; true'; true")
    try:
        child = int(read_until(process.stdout_fd, b"\n"))
        wait_until(lambda: len(family.look()) == 3)
        assert TreeKilling(family).kill(10)
        [grandchild] = {pid for _, pid in sent} - {process.pid, child}
        ages = [process.pid, child, grandchild]
        assert sent == [
            *((signal.SIGSTOP, pid) for pid in ages),
            *((signal.SIGTERM, pid) for pid in reversed(ages)),
            *((signal.SIGCONT, pid) for pid in reversed(ages)),
        ]
        wait_until(lambda: not family.alive())
    finally:
        close_pipes(process)
        assert end_of(process.pid).signal == "SIGTERM"


def test_what_does_not_listen_is_killed_after_the_grace(wait_until: WaitUntil) -> None:
    process, family = family_of("sh", "-c", STUBBORN)
    try:
        read_until(process.stdout_fd, b"up\nup\n")
        began = time.monotonic()
        assert TreeKilling(family).kill(0.3)
        wait_until(lambda: not family.alive())
        assert time.monotonic() - began >= 0.3
    finally:
        close_pipes(process)
        assert end_of(process.pid).signal == "SIGKILL"


def test_second_kill_may_shorten_the_grace(wait_until: WaitUntil) -> None:
    process, family = family_of("sh", "-c", STUBBORN)
    try:
        read_until(process.stdout_fd, b"up\nup\n")
        killing = TreeKilling(family)
        assert killing.kill(3600)
        assert killing.kill(0)
        wait_until(lambda: not family.alive())
        assert not killing.kill(0)
    finally:
        close_pipes(process)
        end_of(process.pid)


def test_stopped_program_hears_that_it_is_to_end(wait_until: WaitUntil) -> None:
    process, family = family_of("sleep", "60")
    try:
        os.kill(process.pid, signal.SIGSTOP)
        assert TreeKilling(family).kill(60)
        wait_until(lambda: not family.alive())
    finally:
        close_pipes(process)
        assert end_of(process.pid).signal == "SIGTERM"


def test_what_has_ended_leaves_what_it_started_to_be_killed(wait_until: WaitUntil) -> None:
    process, family = family_of("sh", "-c", "sleep 60 & echo up")
    read_until(process.stdout_fd, b"up\n")
    killing = TreeKilling(family)
    wait_until(lambda: len(family.look()) == 1)  # the shell is dead and not reaped
    killing.finish()
    close_pipes(process)
    end_of(process.pid)
    assert killing.kill(5)
    wait_until(lambda: not family.alive())
    assert not killing.kill(5)


def test_authors_function_is_called_once_on_a_thread_of_its_own(wait_until: WaitUntil) -> None:
    calls: list[tuple[float, bool]] = []
    here = threading.get_ident()
    killing = CallKilling(lambda grace: calls.append((grace, threading.get_ident() != here)))
    assert killing.kill(1.5)
    assert killing.kill(1.0), "it has not ended by itself"
    wait_until(lambda: calls)
    assert calls == [(1.5, True)]
    killing.finish()
    assert not killing.kill(1.0)


def test_authors_function_is_not_called_for_what_has_ended() -> None:
    killing = CallKilling(lambda grace: None)
    killing.finish()
    assert not killing.kill(1.0)
