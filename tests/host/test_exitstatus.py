"""How a process ended, in words and figures."""

from __future__ import annotations

import resource
import signal
import subprocess
from typing import Any

import pytest

from plugin_host.exitstatus import ExitStatus, signal_name

MIB = 1024 * 1024


def killed_by(number: int, **others: Any) -> ExitStatus:
    return ExitStatus(code=None, signal=number, **others)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (ExitStatus(0, None), "exited with status 0"),
        (ExitStatus(3, None), "exited with status 3"),
        (killed_by(signal.SIGSEGV), "killed by SIGSEGV (segmentation fault)"),
        (
            killed_by(signal.SIGABRT, core_dumped=True),
            "killed by SIGABRT (aborted, core dumped)",
        ),
        (killed_by(signal.SIGUSR1), "killed by SIGUSR1"),
        (killed_by(signal.SIGTERM, by_us=True), "killed by SIGTERM (terminated)"),
        (killed_by(signal.SIGTERM), "killed by SIGTERM (terminated, not by us)"),
        (killed_by(signal.SIGKILL, by_us=True), "killed by SIGKILL"),
        (
            killed_by(signal.SIGKILL),
            "killed by SIGKILL, not by us (out of memory, or somebody's kill)",
        ),
        (killed_by(40), "killed by signal 40"),
    ],
)
def test_every_end_has_words(status: ExitStatus, words: str) -> None:
    assert status.describe() == words


def test_lost_status_says_so() -> None:
    lost = ExitStatus.lost()
    assert "status lost" in lost.describe()
    assert not lost.ok


def test_only_status_zero_is_ok() -> None:
    assert ExitStatus(0, None).ok
    assert not ExitStatus(1, None).ok
    assert not killed_by(signal.SIGTERM).ok


def usage(maxrss: int) -> resource.struct_rusage:
    return resource.struct_rusage((0.25, 0.5, maxrss) + (0,) * 13)


def test_wait_status_becomes_code_and_figures() -> None:
    status = ExitStatus.from_wait4(3 << 8, usage(50 * 1024))
    assert status == ExitStatus(3, None, peak_memory=50 * MIB, cpu_s=0.75)


def test_wait_status_becomes_signal_and_knows_the_sender() -> None:
    ours = ExitStatus.from_wait4(signal.SIGTERM, sent={signal.SIGTERM})
    assert (ours.code, ours.signal, ours.by_us) == (None, signal.SIGTERM, True)
    assert not ExitStatus.from_wait4(signal.SIGSEGV, sent={signal.SIGTERM}).by_us
    assert ExitStatus.from_wait4(signal.SIGSEGV | 0x80).core_dumped


def test_peak_memory_of_the_host_is_not_taken_for_the_plugins() -> None:
    assert ExitStatus.from_wait4(0, usage(50 * 1024), memory_floor=50 * MIB).peak_memory is None
    assert ExitStatus.from_wait4(0, usage(51 * 1024), memory_floor=50 * MIB).peak_memory == 51 * MIB


def test_signal_names_are_those_of_the_system() -> None:
    listed = subprocess.run(["kill", "-l", "11"], capture_output=True, text=True, check=True)
    assert signal_name(11) == f"SIG{listed.stdout.strip()}"
    assert signal_name(40) == "signal 40"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (128, "exited with status 128"),
        (128 + 11, "killed by SIGSEGV (segmentation fault)"),
        (255, "exited with status 255"),
    ],
)
def test_sandbox_tells_how_its_program_ended(code: int, words: str) -> None:
    status = ExitStatus.from_sandbox(code << 8)
    assert status.describe() == words
    assert (status.peak_memory, status.cpu_s) == (None, None)


def test_sandbox_that_was_killed_itself_says_so_and_by_whom() -> None:
    assert ExitStatus.from_sandbox(9, sent={9}).describe() == "killed by SIGKILL"
    assert ExitStatus.from_sandbox((128 + 15) << 8, sent={15}).by_us
    assert not ExitStatus.from_sandbox((128 + 15) << 8).by_us
