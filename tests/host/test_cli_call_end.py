"""How a call ends before its time, and what becomes of its output when nobody takes it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.host.cli_plugin import plugins
from tests.host.cli_run import COMMAND, Cli, cli
from tests.stage import write_plugin
from tests.wait import WaitUntil

__all__ = ["cli", "plugins"]

pytestmark = pytest.mark.edges


ANSWER_AND_STAY = """
import os, time, msgpack
kind, msgid, method, params = msgpack.unpackb(os.read(0, 9999))
os.write(1, msgpack.packb([1, msgid, None, "early"]))
time.sleep(99)
"""


def test_timeout_ends_the_call_with_a_status_of_its_own(cli: Cli, plugins: Path) -> None:
    words = ("call", "odd", "wait", "--timeout", "0.2", "--plugin-dir", plugins)
    ended = cli(*words)
    assert (ended.status, ended.out) == (124, "")
    assert ended.err == "plugin-host: odd wait: no answer within 0.2 s\n"
    assert cli(*words, "--json").error["type"] == "CallTimeout"


def test_start_of_the_plugin_does_not_count_for_the_timeout(cli: Cli, plugins: Path) -> None:
    write_plugin(
        plugins,
        "late",
        "@plugin.command('hi')\ndef hi(ctx): return 'hi'",
        head="import time; time.sleep(1)",
    )
    ended = cli("call", "late", "hi", "--timeout", "0.9", "--plugin-dir", plugins)
    assert (ended.status, ended.out) == (0, "hi\n")


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_cancels_the_call(
    cli: Cli, plugins: Path, wait_until: WaitUntil, signum: signal.Signals, status: int
) -> None:
    with cli.background("call", "odd", "wait", "-v", "--plugin-dir", plugins) as call:
        wait_until(call.says("stderr: waiting"))
        call.send(signum)
        ended = call.end()
    assert (ended.status, ended.out) == (status, "")
    assert "stderr: cancelled" in ended.err


def test_interrupted_call_is_quiet(cli: Cli, plugins: Path, tmp_path: Path, wait_until: WaitUntil) -> None:
    mark = tmp_path / "called"
    code = (
        f"@plugin.command('hold')\ndef hold(ctx):\n    open({str(mark)!r}, 'w')\n    ctx.cancelled.wait(60)"
    )
    write_plugin(plugins, "held", code)
    with cli.background("call", "held", "hold", "--plugin-dir", plugins) as call:
        wait_until(mark.exists)
        call.send(signal.SIGINT)
        ended = call.end()
    assert (ended.status, ended.out, ended.err) == (130, "", "")


def test_second_interrupt_does_not_wait_for_the_plugin(
    cli: Cli, plugins: Path, wait_until: WaitUntil
) -> None:
    code = """
        @plugin.command("ignore")
        def ignore(ctx):
            print("ignoring", file=sys.stderr, flush=True)
            while True:
                time.sleep(60)
    """
    write_plugin(plugins, "deaf", code, head="import sys, time", launch={"stop_timeout_s": 120})
    with cli.background("call", "deaf", "ignore", "-v", "--plugin-dir", plugins) as call:
        wait_until(call.says("stderr: ignoring"))
        call.send(signal.SIGINT)
        wait_until(call.says("ready -> stopping"))
        began = time.monotonic()
        call.send(signal.SIGINT)
        ended = call.end()
    assert ended.status == 130
    assert time.monotonic() - began < 10


def test_result_is_there_before_the_plugin_has_stopped(
    cli: Cli, plugins: Path, wait_until: WaitUntil
) -> None:
    launch = {"argv": ["python3", "-c", ANSWER_AND_STAY], "stop_timeout_s": 60}
    write_plugin(plugins, "sticky", launch=launch, protocol="msgpack-rpc")
    with cli.background("call", "sticky", "x", "--plugin-dir", plugins) as call:
        wait_until(call.says("early\n"))
        assert call.process.poll() is None
        call.send(signal.SIGINT)
        call.send(signal.SIGINT)
        call.end()


def written_to(cli: Cli, plugins: Path, fd: int) -> subprocess.CompletedProcess[bytes]:
    """A call whose stdout is `fd`."""
    command = [*COMMAND, "call", "odd", "echo", "value=x", "--plugin-dir", str(plugins)]
    return subprocess.run(command, stdout=fd, stderr=subprocess.PIPE, env=cli.env, check=False)


def test_reader_that_goes_away_is_no_error(cli: Cli, plugins: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    ended = written_to(cli, plugins, write_end)
    os.close(write_end)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


def test_full_disk_is_an_error(cli: Cli, plugins: Path) -> None:
    with open("/dev/full", "wb") as full:
        ended = written_to(cli, plugins, full.fileno())
    assert ended.returncode == 1
    assert ended.stderr == b"plugin-host: cannot write to stdout: No space left on device\n"


@pytest.mark.parametrize(("closed", "status"), [("<&- 2>&-", 0), ("<&- >&- 2>&-", 1)])
def test_closed_standard_descriptors_cost_at_most_the_result(
    cli: Cli, plugins: Path, closed: str, status: int
) -> None:
    """Nothing else gets their numbers."""
    words = ["call", "odd", "echo", "value=x", "--plugin-dir", str(plugins)]
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, *words],
        env=cli.env,
        check=False,
        stdout=subprocess.PIPE,
    )
    assert (ended.returncode, ended.stdout) == (status, b"" if status else b"x\n")


def test_slow_reader_on_a_nonblocking_pipe_gets_everything(cli: Cli, plugins: Path) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    words = ["call", "odd", "echo", "-", "--json", "--plugin-dir", str(plugins)]
    process = subprocess.Popen([*COMMAND, *words], stdin=subprocess.PIPE, stdout=write_end, env=cli.env)
    os.close(write_end)
    assert process.stdin is not None
    text = "x" * 1_000_000
    process.stdin.write(f'{{"value": "{text}"}}'.encode())
    process.stdin.close()
    with open(read_end, "rb") as reader:
        assert reader.read() == f'"{text}"\n'.encode()
    assert process.wait() == 0


def test_pipeline_of_two_calls(cli: Cli, plugins: Path) -> None:
    call = f"{' '.join(COMMAND)} call odd echo --json --plugin-dir {plugins}"
    script = f"set -o pipefail; {call} value:='{{\"value\": [1, 2]}}' | {call} -"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, env=cli.env, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"[1, 2]\n", b"")
