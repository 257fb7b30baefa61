"""What the SDK's start-up lays on its own process before it imports the author's module."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from plugin_host_sdk.runtime import shim
from tests.wait import WaitUntil

AUTHOR = """
import resource, sys, os
limits = [resource.getrlimit(kind) for kind in
          (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_AS)]
print(limits, oct(os.umask(0o22)), sys.argv, file=sys.stderr, flush=True)
raise SystemExit(9)
"""


def start(folder: Path, *options: str, code: str = AUTHOR) -> tuple[subprocess.Popen[bytes], socket.socket]:
    (folder / "author.py").write_text(code)
    host, wire = socket.socketpair()
    environment = {"PATH": os.environ["PATH"], "TMPDIR": os.environ["TMPDIR"], "PLUGIN_HOST_COOKIE": "1"}
    with wire:
        child = subprocess.Popen(
            [sys.executable, "-m", "plugin_host_sdk", *options, "--path", str(folder), "author:plugin"],
            stdin=wire.fileno(),
            stdout=wire.fileno(),
            stderr=subprocess.PIPE,
            env=environment,
        )
    return child, host


def outcome(folder: Path, *options: str, code: str = AUTHOR) -> tuple[int, str]:
    """Status and stderr of a start whose wire is at its end."""
    child, host = start(folder, *options, code=code)
    host.close()
    _, err = child.communicate(timeout=15)
    return child.returncode, err.decode()


def test_limits_hold_before_the_authors_module_is_imported(tmp_path: Path) -> None:
    limits = ("--limit", "open_files=99", "--limit", "cpu_s=7", "--limit", f"address_space_bytes={1 << 33}")
    status, err = outcome(tmp_path, *limits, "--umask", "027")
    assert status == 9, err
    assert err == f"[(99, 99), (7, 8), ({1 << 33}, {1 << 33})] 0o27 ['author:plugin']\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--limit", "open_files=15"], "--limit open_files=15: at least 16 are needed to start at all"),
        (["--limit", "memory=1"], "--limit memory=1: 'memory'"),
        (["--limit"], "--limit needs a value"),
    ],
)
def test_what_cannot_be_done_stops_the_start_and_is_explained(options: list[str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plugin_host_sdk", *options],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=15,
    )
    assert done.returncode == 64
    assert done.stderr == f"this plugin cannot be started with {words}\n"


def test_first_byte_on_the_wire_opens_the_gate_and_stays_on_it(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    mark = tmp_path / "mark"
    code = f"""
open({str(mark)!r}, "w").close()
import plugin_host_sdk as sdk
plugin = sdk.Plugin("author", version="1")
"""
    child, host = start(tmp_path, "--gate", "0", code=code)
    with child, host:
        wait_until(lambda: sleeps(child.pid))
        assert not mark.exists()
        host.sendall(b"\x94\x00\x01\xa4ping\x91\x81\xa5nonce\x07")
        wait_until(mark.exists)
        host.settimeout(15)
        assert host.recv(100)  # the request was not lost at the gate
        host.shutdown(socket.SHUT_RDWR)


def sleeps(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return ") S " in file.read()


def test_end_of_the_wire_opens_the_gate_too(tmp_path: Path) -> None:
    status, err = outcome(tmp_path, "--gate", "0")
    assert status == 9, err


@pytest.mark.parametrize(
    ("arguments", "options", "rest"),
    [
        ([], [], []),
        (["a:b"], [], ["a:b"]),
        (["--limit", "cpu_s=1", "--path", "x", "a:b"], [("--limit", "cpu_s=1")], ["--path", "x", "a:b"]),
        (
            ["--no-new-privs", "--gate", "3", "--", "--gate", "4"],
            [("--no-new-privs", ""), ("--gate", "3")],
            ["--", "--gate", "4"],
        ),
    ],
)
def test_options_end_where_something_else_begins(
    arguments: Sequence[str], options: list[tuple[str, str]], rest: list[str]
) -> None:
    assert shim.split(arguments) == (options, rest)


def test_shim_without_a_program_says_so() -> None:
    folder = os.path.dirname(shim.__file__)
    code = "import sys; sys.path.append(sys.argv[1]); import shim; shim.main(sys.argv[2:])"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, folder, "--umask", "022", "true"],
        capture_output=True,
        check=False,
        timeout=15,
    )
    assert done.returncode == 127
    assert done.stderr == b"0 no `--` and program after the options\n"
