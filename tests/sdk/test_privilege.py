"""Giving new privileges up, in a process of its own, since it cannot be taken back."""

from __future__ import annotations

import subprocess
import sys

import pytest

GIVE_UP = "from plugin_host_sdk.runtime.privilege import give_up_new_privileges, main; "
SHOW = "print(next(line for line in open('/proc/self/status') if line.startswith('NoNewPrivs')).split()[1])"


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=15, check=False
    )


def test_it_holds_for_the_process_and_what_it_starts() -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SHOW!r}])"
    assert python(f"{SHOW}").stdout == "0\n"
    assert python(f"{GIVE_UP}give_up_new_privileges(); {SHOW}").stdout == "1\n"
    assert python(f"{GIVE_UP}give_up_new_privileges(); {child}").stdout == "1\n"


def test_program_takes_the_place_of_this_one() -> None:
    done = python(f"{GIVE_UP}main()", "sh", "-c", "grep NoNewPrivs /proc/self/status; exit $1", "sh", "5")
    assert (done.returncode, done.stdout.split()) == (5, ["NoNewPrivs:", "1"])


@pytest.mark.parametrize(("program", "status"), [("/no/such/program", 127), ("/etc", 126)])
def test_program_that_cannot_be_run_is_named(program: str, status: int) -> None:
    done = python(f"{GIVE_UP}main()", program)
    assert done.returncode == status
    assert f"cannot run '{program}': " in done.stderr


@pytest.mark.parametrize("prctl", ["None", "lambda *_: 1"])
def test_system_without_it_is_an_error(prctl: str) -> None:
    fake = f"type('Library', (), {{'prctl': staticmethod({prctl})}})" if prctl != "None" else "object()"
    code = f"import ctypes; ctypes.CDLL = lambda *_, **__: {fake}; {GIVE_UP}give_up_new_privileges()"
    done = python(code)
    assert done.returncode == 1
    assert "no_new_privs" in done.stderr.splitlines()[-1]
