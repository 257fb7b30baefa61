"""Stacks that are written without the interpreter: on a signal into the host's file, and at a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from plugin_host_sdk.runtime.dump import DUMP_SIGNAL
from tests.wait import WaitUntil

HEAD = """
import os, sys
from plugin_host_sdk.runtime.dump import dump_crashes, dump_on_signal
fd = int(sys.argv[1])
"""
TOLD = "\nprint('told', flush=True)\nsys.stdin.readline()\n"


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """What the host gives: open for both, and inherited by nobody unasked."""
    with open(tmp_path / "dump", "w+") as file:
        yield file


def program(code: str, file: IO[str], **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HEAD + code, str(file.fileno())]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, pass_fds=[file.fileno()], **options
    )


def until_told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def content(file: IO[str]) -> str:
    return os.pread(file.fileno(), 1 << 16, 0).decode()


def test_signal_is_one_that_nobody_else_uses() -> None:
    assert DUMP_SIGNAL == signal.SIGRTMIN + 1


def test_every_thread_is_written_on_the_signal_and_the_program_goes_on(
    file: IO[str], wait_until: WaitUntil
) -> None:
    code = """
import threading, time
def other():
    time.sleep(60)
threading.Thread(target=other, daemon=True).start()
dump_on_signal(fd)
def here():
    print('told', flush=True)
    sys.stdin.readline()
here()
print('goes on', flush=True)
"""
    process = program(code, file)
    until_told(process)
    process.send_signal(signal.SIGRTMIN + 1)
    wait_until(lambda: "in here" in content(file) and "in other" in content(file))
    out, err = process.communicate("\n", timeout=10)
    assert (process.returncode, out, err) == (0, "goes on\n", "")


def test_a_second_signal_writes_again(file: IO[str], wait_until: WaitUntil) -> None:
    process = program("dump_on_signal(fd)" + TOLD, file)
    until_told(process)
    for count in (1, 2, 3):
        process.send_signal(signal.SIGRTMIN + 1)
        wait_until(lambda: content(file).count("most recent call first") == count)  # noqa: B023
    process.communicate("\n", timeout=10)
    assert process.returncode == 0


@pytest.mark.parametrize(
    "start",
    [
        "os.system('ls -l /proc/self/fd')",
        "subprocess.run(['ls', '-l', '/proc/self/fd'], close_fds=False)",
        "(pid := os.posix_spawn('/bin/ls', ['ls', '-l', '/proc/self/fd'], {})) and os.waitpid(pid, 0)",
    ],
)
def test_no_program_that_it_starts_has_the_file(file: IO[str], start: str) -> None:
    process = program(f"import subprocess\ndump_on_signal(fd)\n{start}", file)
    out, _ = process.communicate(timeout=10)
    assert "/proc" in out or "pipe:" in out
    assert file.name not in out


def test_program_that_it_starts_is_ended_by_the_signal_as_any_other(file: IO[str]) -> None:
    code = f"""
import subprocess
dump_on_signal(fd)
child = subprocess.Popen(['sleep', '60'])
child.send_signal({signal.SIGRTMIN + 1})
print(child.wait(), flush=True)
"""
    out, _ = program(code, file).communicate(timeout=10)
    assert int(out) == -(signal.SIGRTMIN + 1)
    assert content(file) == ""


def test_child_that_is_only_forked_writes_nothing_to_it(file: IO[str]) -> None:
    code = f"""
dump_on_signal(fd)
if not (pid := os.fork()):
    os.kill(os.getpid(), {signal.SIGRTMIN + 1})
    os._exit(0)
_, status = os.waitpid(pid, 0)
print(os.WTERMSIG(status), flush=True)
"""
    out, _ = program(code, file).communicate(timeout=10)
    assert int(out) == signal.SIGRTMIN + 1  # what it does to a process that does not know it
    assert content(file) == ""


@pytest.mark.parametrize("number", ["-1", "900"])
def test_number_that_is_no_descriptor_is_none(file: IO[str], number: str) -> None:
    process = program(f"dump_on_signal({number})\nprint('fine')", file)
    assert process.communicate(timeout=10) == ("fine\n", "")


# Crashes.


def crash(file: IO[str], code: str, **options: Any) -> tuple[int, str]:
    """How it ended, and what it wrote to standard error."""
    process = program(code, file, **options)
    _, err = process.communicate(timeout=10)
    return process.returncode, err


SEGFAULT = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
def crash():
    ctypes.string_at(8)
dump_crashes()
crash()
"""


def test_crash_in_c_is_told_with_its_line_and_no_other_threads(file: IO[str]) -> None:
    code, err = crash(file, SEGFAULT)
    assert code == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in err
    assert "line 9 in crash" in err
    assert err.count("most recent call first") == 1


@pytest.mark.parametrize(
    ("call", "number"),
    [("os.abort()", signal.SIGABRT), ("os.kill(os.getpid(), 8)", signal.SIGFPE)],
)
def test_other_fatal_signals_are_told_too(file: IO[str], call: str, number: int) -> None:
    code, err = crash(file, f"dump_crashes()\n{call}")
    assert code == -number
    assert "Fatal Python error" in err


def test_what_an_author_asked_for_stays(file: IO[str]) -> None:
    _, err = crash(file, SEGFAULT, env={**os.environ, "PYTHONFAULTHANDLER": "1"})
    assert err.count("most recent call first") == 2  # all threads


def test_without_standard_error_nothing_is_told(file: IO[str]) -> None:
    code, _ = crash(file, "os.close(2)\n" + SEGFAULT)
    assert code == -signal.SIGSEGV


# As a host starts it.


@pytest.fixture
def served(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Serves a plugin that says on standard error what it finds when it is imported, until end of file."""

    def serve(code: str, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
        (tmp_path / "found.py").write_text(f"import sys\n{code}\nimport plugin_host_sdk as sdk\n")
        command = [sys.executable, "-m", "plugin_host_sdk", "--path", str(tmp_path), *options, "found"]
        env = {**os.environ, "PLUGIN_HOST_COOKIE": "x"}
        return subprocess.run(
            command, env=env, input="", capture_output=True, text=True, check=False, timeout=15, **more
        )

    return serve


FACTS = f"""
import faulthandler, os, signal
caught = int(open('/proc/self/status').read().split('SigCgt:')[1].split()[0], 16)
print(faulthandler.is_enabled(), bool(caught >> {signal.SIGRTMIN} & 1), file=sys.stderr)
"""


def test_both_are_set_up_before_the_authors_code(served: Any, file: IO[str]) -> None:
    done = served(FACTS, "--stacks-fd", str(file.fileno()), pass_fds=[file.fileno()])
    assert done.stderr.splitlines()[0] == "True True"


def test_without_a_descriptor_the_signal_is_nobodys(served: Any) -> None:
    assert served(FACTS).stderr.splitlines()[0] == "True False"
    assert served(FACTS, "--stacks-fd", "-1").stderr.splitlines()[0] == "True False"


@pytest.mark.parametrize("words", [["--stacks-fd"], ["--unheard-of", "5"], ["--stacks-fd", "x"]])
def test_option_that_makes_no_sense_ends_the_start(served: Any, words: list[str]) -> None:
    done = served(FACTS, *words)
    assert done.returncode in (1, 64)
    assert "True" not in done.stderr
