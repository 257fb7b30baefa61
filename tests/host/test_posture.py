"""What a process notices of itself that its children would have from it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import threading
from collections.abc import Callable

import pytest

from plugin_host.warm.posture import posture


def test_posture_is_what_a_child_would_notice() -> None:
    before = posture()
    assert posture() == before
    umask = os.umask(0o123)
    try:
        assert posture() != before
    finally:
        os.umask(umask)
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0 if soft else -1 if hard < 0 else hard, hard))
    try:
        assert (posture() == before) is (soft == hard == 0)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    assert posture() == before


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def _notices(change: Callable[[], object]) -> str:
    """What a process thinks of its posture before and after it has changed something about itself."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "it cannot be changed here"
        try:
            before = posture()
            change()
            said = "the same" if posture() == before else "another"
        except OSError as error:
            said = f"not possible: {error}"
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    with open(read) as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    return said


CHANGES: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "umask": lambda: os.umask(0o123),
    "blocked signals": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}),
    "ignored signals": lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN),
    "niceness": lambda: os.nice(1),
    "scheduler": lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
    "processors": lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    "out of memory score": lambda: _write("/proc/self/oom_score_adj", "500"),
    "core dumps": lambda: _write("/proc/self/coredump_filter", "0x7f"),
    "personality": lambda: _call("personality", 0x0040000),
    "no new privileges": lambda: _call("prctl", 38, 1, 0, 0, 0),
    "network": lambda: _call("unshare", 0x40000000),
    "host name": lambda: _call("unshare", 0x04000000),
    "mounts": lambda: _call("unshare", 0x00020000),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_a_process_changes_about_itself_is_another_posture(what: str) -> None:
    said = _notices(CHANGES[what])
    if said.startswith("not possible") or (what == "processors" and len(os.sched_getaffinity(0)) == 1):
        pytest.skip(said)
    assert said == ("the same" if what == "nothing" else "another")


def test_posture_is_that_of_the_thread_that_would_start_a_child() -> None:
    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        seen.append(posture())

    seen = [posture()]
    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert seen[1] != seen[0] == posture()
