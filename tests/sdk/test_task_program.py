"""A task's program: its output to the last byte and in order, how it ended, and why it did not start."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from plugin_host_sdk.errors import CallFailed, TerminalError
from plugin_host_sdk.exec.identity import find_identity
from plugin_host_sdk.exec.process import Status
from plugin_host_sdk.metadata.program import Program
from tests.otheruser import NOBODY, needs_root
from tests.sdk.ends import ENV

TERMINAL = (24, 80)


def start(*argv: str, **options: Any) -> Program:
    options = {"cwd": None, "env": ENV, "size": None, "identity": None} | options
    return Program(argv, **options)


def run(*argv: str, **options: Any) -> tuple[bytes, Status]:
    """All of its output, and how it ended."""
    pieces: list[bytes] = []
    status = start(*argv, **options).relay(lambda: None, pieces.append, lambda: None)
    return b"".join(pieces), status


def sh(script: str, **options: Any) -> tuple[bytes, Status]:
    return run("sh", "-c", script, **options)


def test_both_outputs_are_one_in_the_order_of_the_writes() -> None:
    output, status = sh("echo 1; echo 2 >&2; echo 3; echo 4 >&2")
    assert output == b"1\n2\n3\n4\n"
    assert status == Status(0, None, "exited with status 0")


def test_there_is_no_input() -> None:
    assert run("cat")[0] == b""


@pytest.mark.parametrize("size", [None, TERMINAL])
def test_code_and_signal_are_told(size: tuple[int, int] | None) -> None:
    assert sh("exit 3", size=size)[1].code == 3
    status = sh("kill -9 $$", size=size)[1]
    assert (status.code, status.signal) == (None, "SIGKILL")


def test_terminal_has_the_size_that_is_asked_for() -> None:
    output, _ = sh("tty; stty size", size=(11, 33))
    assert output.startswith(b"/dev/")
    assert output.endswith(b"\r\n11 33\r\n")


@pytest.mark.parametrize("size", [None, TERMINAL])
def test_flood_arrives_whole(size: tuple[int, int] | None) -> None:
    output, _ = run("head", "-c", "3000001", "/dev/zero", size=size)
    assert len(output) == 3_000_001


def test_slow_reader_loses_nothing() -> None:
    pieces: list[bytes] = []

    def put(data: bytes) -> None:
        pieces.append(data)
        time.sleep(0.005)

    start("head", "-c", "1000000", "/dev/zero").relay(lambda: None, put, lambda: None)
    assert sum(map(len, pieces)) == 1_000_000
    assert max(map(len, pieces)) <= 64 * 1024


@pytest.mark.parametrize("size", [None, TERMINAL])
def test_what_it_leaves_in_the_background_does_not_hold_it_up(size: tuple[int, int] | None) -> None:
    began = time.monotonic()
    output, status = sh("trap '' HUP; sleep 15 & echo done", size=size)
    assert output.strip() == b"done"
    assert status.code == 0
    assert time.monotonic() - began < 10


def test_program_that_closes_its_output_is_waited_for() -> None:
    assert sh("exec >&- 2>&-; sleep 0.2; exit 4")[1].code == 4
    assert sh("exec </dev/null >/dev/null 2>&1; sleep 0.2; exit 4", size=TERMINAL)[1].code == 4


def test_program_may_come_back_to_its_terminal() -> None:
    script = "exec </dev/null >/dev/null 2>&1; sleep 0.1; echo again >/dev/tty"
    assert sh(script, size=TERMINAL)[0] == b"again\r\n"


@pytest.mark.parametrize("size", [None, TERMINAL])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_program_is_killed_when_nobody_can_take_what_it_says(
    size: tuple[int, int] | None, place: int
) -> None:
    def lost(*_: object) -> None:
        raise CallFailed("the host is gone")

    calls = [lambda *_: None] * 3
    calls[place] = lost
    program = start("sh", "-c", "echo up; sleep 0.1" if place == 2 else "echo up; sleep 60", size=size)
    with pytest.raises(CallFailed, match="the host is gone"):
        program.relay(*calls)
    assert not os.path.exists(f"/proc/{program.pid}")


@pytest.mark.parametrize("size", [None, TERMINAL])
@pytest.mark.parametrize(
    ("argv", "reason", "number"),
    [
        (["no-such-program"], "not_found", errno.ENOENT),
        (["/etc/passwd"], "not_executable", errno.EACCES),
        ([], "not_found", errno.ENOENT),
        (["a\0b"], "invalid", errno.EINVAL),
    ],
)
def test_why_it_did_not_start_is_told(
    argv: Sequence[str], reason: str, number: int, size: tuple[int, int] | None
) -> None:
    with pytest.raises(TerminalError) as caught:
        start(*argv, size=size)
    assert caught.value.data["reason"] == reason
    assert caught.value.data["errno"] == number


def test_folder_that_cannot_be_entered_is_named(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="cannot start in"):
        start("true", cwd=str(tmp_path / "nothing"))


# As another user.

WHO = "id -u; id -g; id -G; echo $HOME $USER"


@needs_root
@pytest.mark.parametrize("size", [None, TERMINAL])
def test_it_runs_as_another_user_with_that_users_groups_only(size: tuple[int, int] | None) -> None:
    identity = find_identity("nobody")
    assert identity is not None
    output, status = sh(WHO, size=size, identity=identity, env=ENV | identity.variables(), cwd="/")
    uid, gid, groups, account = output.decode().split("\n", 3)
    assert (int(uid), int(gid)) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert {int(group) for group in groups.split()} == {NOBODY.pw_gid}
    assert account.strip() == f"{NOBODY.pw_dir} nobody"
    assert status.code == 0


@needs_root
def test_another_user_can_open_the_terminal_by_name() -> None:
    output, status = sh(
        "echo by name >$(tty)", size=TERMINAL, identity=find_identity(NOBODY.pw_uid), cwd="/"
    )
    assert output == b"by name\r\n"
    assert status.code == 0


@needs_root
@pytest.mark.parametrize("size", [None, TERMINAL])
def test_folder_that_only_the_plugin_may_enter_is_refused(
    size: tuple[int, int] | None, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(TerminalError, match=r"cannot start in .*: Permission denied"):
        start("true", cwd=str(tmp_path), identity=find_identity("nobody"), size=size)
