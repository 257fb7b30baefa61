"""Which limit ended a plugin: from what was counted to the words of the death report."""

from __future__ import annotations

import signal

import pytest

from plugin_host.exitstatus import ExitStatus
from plugin_host.limit import Enforcement
from plugin_host.usage import Excess
from plugin_host.verdict import Counts, verdict

MIB = 1024 * 1024
MEMORY = Enforcement("memory_bytes", 256 * MIB, "cgroup v2")
PROCESSES = Enforcement("processes", 64, "cgroup v2")
CPU = Enforcement("cpu_s", 60, "rlimit")
FILES = Enforcement("open_files", 256, "rlimit")
SPACE = Enforcement("address_space_bytes", 512 * MIB, "rlimit")
EVERY = (MEMORY, PROCESSES, CPU, FILES, SPACE)

KILLED = ExitStatus(None, signal.SIGKILL, cpu_s=1.0)
FULL = Counts(oom_kills=1, is_out_of_memory=True)


def test_memory_limit_that_killed_is_named() -> None:
    assert verdict(KILLED, EVERY, FULL) == (
        "killed by the kernel's out-of-memory killer: its memory limit of 256 MiB was reached"
    )


def test_machine_without_memory_is_not_blamed_on_the_limit() -> None:
    words = verdict(KILLED, EVERY, Counts(oom_kills=1))
    assert words == (
        "killed by the kernel's out-of-memory killer, although it kept to its own limit: "
        "there was no memory left around it"
    )


def test_plugin_without_limits_is_known_to_be_out_of_memory_from_the_cgroup_of_the_host() -> None:
    assert verdict(KILLED, (), Counts(oom_kills_beside=1)) == "killed by the kernel's out-of-memory killer"
    assert verdict(KILLED, (), Counts()) is None


def test_child_that_the_limit_killed_is_told_when_the_plugin_follows() -> None:
    assert verdict(ExitStatus(1, None), EVERY, FULL) == (
        "exited with status 1; before, the kernel's out-of-memory killer had killed 1 of its processes: "
        "its memory limit of 256 MiB was reached"
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            ExitStatus(None, signal.SIGXCPU, cpu_s=60.0),
            "killed by SIGXCPU: its cpu limit of 60 s of processor time was used up",
        ),
        (
            ExitStatus(None, signal.SIGKILL, cpu_s=61.0),
            "killed by SIGKILL: its cpu limit of 60 s of processor time was used up, "
            "and it did not end at SIGXCPU",
        ),
        (ExitStatus(None, signal.SIGKILL, cpu_s=59.0), None),
        (ExitStatus(None, signal.SIGKILL), None),
    ],
)
def test_cpu_limit_is_named_by_its_signal_or_by_the_time_used(
    status: ExitStatus, words: str | None
) -> None:
    assert verdict(status, EVERY, Counts()) == words


def test_signal_of_a_cpu_limit_that_is_not_ours_speaks_for_itself() -> None:
    assert verdict(ExitStatus(None, signal.SIGXCPU), (MEMORY,), Counts()) is None


def test_refused_processes_are_told_when_it_dies_otherwise() -> None:
    words = verdict(ExitStatus(None, signal.SIGSEGV), EVERY, Counts(refused_forks=12))
    assert words == (
        "killed by SIGSEGV (segmentation fault); before, its limit of 64 processes was reached "
        "(new ones refused: 12)"
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("OSError: [Errno 24] Too many open files: 'a'", "its limit of 256 open files"),
        ("MemoryError", "its address space limit of 512 MiB"),
        (
            "ImportError: x.so: failed to map segment",
            "its address space limit of 512 MiB",
        ),
        ("OSError: [Errno 12] Cannot allocate memory", "its address space limit of 512 MiB"),
    ],
)
def test_limit_that_only_fails_calls_is_known_by_the_last_lines(line: str, words: str) -> None:
    status = ExitStatus(1, None)
    assert verdict(status, EVERY, Counts(), stderr=["x", line]) == (
        f"exited with status 1; by its last lines, {words} was reached"
    )
    assert verdict(status, (CPU,), Counts(), stderr=["x", line]) is None
    assert verdict(status, EVERY, Counts(), stderr=["something else"]) is None


@pytest.mark.parametrize(
    "status",
    [
        ExitStatus(None, signal.SIGKILL, by_us=True),
        ExitStatus(None, signal.SIGTERM, by_us=True),
        ExitStatus(0, None),
    ],
)
def test_end_that_the_host_wanted_is_no_limits_unless_it_was_why(status: ExitStatus) -> None:
    counts = Counts(oom_kills=3, is_out_of_memory=True, refused_forks=3, oom_kills_beside=3)
    assert verdict(status, EVERY, counts) is None
    assert verdict(status, EVERY, counts, excess=Excess("memory_bytes", 300 * MIB, 256 * MIB)) == (
        "ended by the host: its memory limit of 256 MiB was exceeded (it had 300 MiB)"
    )
    assert verdict(status, (), counts, excess=Excess("processes", 70, 64)) == (
        "ended by the host: its limit of 64 processes was exceeded (it had 70)"
    )
