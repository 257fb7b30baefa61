"""`plugin-host exec` in pipelines: every byte, in order, at the pace of the slowest."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.effort import IS_LONG
from tests.host.cli_exec import PYTHON, box
from tests.host.cli_run import COMMAND, Cli, cli, default_signals
from tests.wait import WaitUntil

__all__ = ["box", "cli"]

pytestmark = pytest.mark.edges

MIB = 1024 * 1024
GIB = 1024 * MIB


def pipeline(cli: Cli, box: Path, script: str) -> subprocess.CompletedProcess[bytes]:
    """Run a script of bash in which `x` is `plugin-host exec --plugin-dir …`; a pipe fails in any part."""
    command = shlex.join([*COMMAND, "exec", "--plugin-dir", str(box)])
    text = f'set -o pipefail\nx() {{ {command} "$@"; }}\n{script}'
    return subprocess.run(["bash", "-c", text], capture_output=True, env=cli.env, check=False)


def test_stdin_reaches_the_command_up_to_its_end(cli: Cli, box: Path) -> None:
    ended = pipeline(cli, box, "echo hi | x -i box -- cat")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"hi\n", b"")


def test_all_byte_values_pass_both_ways(cli: Cli, box: Path) -> None:
    data = bytes(range(256)) * 300
    command = [*COMMAND, "exec", "-i", "--plugin-dir", str(box), "box", "cat"]
    ended = subprocess.run(command, input=data, capture_output=True, env=cli.env, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, data, b"")


def test_stderr_is_apart(cli: Cli, box: Path) -> None:
    ended = cli("exec", "--plugin-dir", box, "box", "sh", "-c", "echo out; echo err >&2")
    assert (ended.status, ended.out, ended.err) == (0, "out\n", "err\n")


def test_stdin_is_at_its_end_and_left_alone_unless_it_is_asked_for(cli: Cli, box: Path) -> None:
    ended = pipeline(cli, box, "echo mine | { x box -- cat; cat; }")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"mine\n", b"")


@pytest.mark.parametrize("source", ["< file", "< /dev/null", "<&-"])
def test_stdin_may_be_a_file_or_nothing(cli: Cli, box: Path, tmp_path: Path, source: str) -> None:
    (tmp_path / "file").write_text("text")
    ended = pipeline(cli, box, f"cd {tmp_path}; x -i box -- cat {source}")
    expected = b"text" if source == "< file" else b""
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, expected, b"")


def test_stdin_that_cannot_be_read_is_an_own_failure(cli: Cli, box: Path) -> None:
    ended = pipeline(cli, box, "x -i box -- cat 0> /dev/null")
    assert (ended.returncode, ended.stdout) == (125, b"")
    assert ended.stderr == b"plugin-host: cannot read stdin: Bad file descriptor\n"


@pytest.mark.parametrize("command", ["true", "head -c 1", "sh -c 'exec <&-; echo x'"])
def test_command_that_does_not_read_on_ends_as_it_does(cli: Cli, box: Path, command: str) -> None:
    ended = pipeline(cli, box, f"yes | x -i box -- {command}; echo ${{PIPESTATUS[1]}} >&2")
    assert ended.stderr == b"0\n"


@pytest.mark.deadline(60)
@pytest.mark.parametrize("source", ["pipe", "file"])
def test_large_streams_arrive_intact(cli: Cli, box: Path, tmp_path: Path, source: str) -> None:
    data = os.urandom(64 * MIB)
    (tmp_path / "file").write_bytes(data)
    feed = {"pipe": "cat file | x -i box -- cat", "file": "x -i box -- cat < file"}[source]
    ended = pipeline(cli, box, f"cd {tmp_path}; {feed} | sha256sum")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


@pytest.mark.deadline(60)
def test_large_streams_arrive_intact_on_a_terminal(cli: Cli, box: Path) -> None:
    size = 16 * MIB
    script = f"stty raw -echo; yes | head -c {size}"
    ended = pipeline(cli, box, f"x -t box -- sh -c {shlex.quote(script)} | cmp - <(yes | head -c {size})")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


@pytest.mark.deadline(300)
@pytest.mark.skipif(not IS_LONG, reason="takes long: `tox -e long` runs it")
def test_a_gibibyte_arrives_intact(cli: Cli, box: Path) -> None:
    yes = f"<(yes | head -c {GIB})"
    script = f"cat {yes} | x box -i -- cat | cmp - {yes}"
    ended = pipeline(cli, box, script)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


@pytest.mark.deadline(60)
@pytest.mark.parametrize("options", ["", "-t"])
def test_every_byte_is_written_before_the_status_is_given(cli: Cli, box: Path, options: str) -> None:
    # A reader that begins late, and after the command has ended.
    size = 300_000
    late = f"{PYTHON} -c 'import sys, time; time.sleep(0.5); print(len(sys.stdin.buffer.read()))'"
    for _ in range(3):
        ended = pipeline(cli, box, f"x {options} box -- sh -c 'head -c {size} /dev/zero; exit 7' | {late}")
        assert (ended.returncode, ended.stdout, ended.stderr) == (7, f"{size}\n".encode(), b"")


def test_reader_that_stops_keeps_nothing_waiting_but_the_command(
    cli: Cli, box: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    poured = tmp_path / "poured"
    script = f"while head -c 65536 /dev/zero; do echo >> {poured}; done"
    command = [*COMMAND, "exec", "--plugin-dir", str(box), "box", "sh", "-c", script]
    with default_signals():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.env)
    assert process.stdout is not None
    wait_until(poured.exists)
    assert _grown_up(poured) * 65536 <= 8 * MIB
    # Its own part in it goes on: signals are forwarded.
    process.send_signal(signal.SIGTERM)
    data = process.stdout.read()
    assert process.wait() == 128 + signal.SIGTERM
    assert set(data) == {0}
    process.communicate()


def _grown_up(path: Path) -> int:
    """The size of a file once it does not grow any more."""
    while True:
        size = path.stat().st_size
        end = time.monotonic() + 0.5
        while path.stat().st_size == size:
            if time.monotonic() > end:
                return size
            time.sleep(0.02)


@pytest.mark.parametrize("options", ["", "-t"])
def test_reader_that_goes_away_ends_the_command_quietly(
    cli: Cli, box: Path, tmp_path: Path, options: str
) -> None:
    script = (
        f"x {options} box -- sh -c 'echo $$ > {tmp_path}/pid; yes' | head -n 1; echo ${{PIPESTATUS[0]}} >&2"
    )
    ended = pipeline(cli, box, script)
    assert ended.stdout.strip() == b"y"
    assert ended.stderr == f"{128 + signal.SIGPIPE}\n".encode()
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_full_disk_is_an_own_failure(cli: Cli, box: Path) -> None:
    ended = pipeline(cli, box, "x box -- sh -c 'echo x; sleep 60' > /dev/full")
    assert ended.returncode == 125
    assert ended.stderr == b"plugin-host: cannot write to stdout: No space left on device\n"


def test_exec_can_be_both_ends_of_a_pipe(cli: Cli, box: Path) -> None:
    ended = pipeline(cli, box, "x box -- seq 3 | x -i box -- tac | x -i box -- cat")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"3\n2\n1\n", b"")
