"""Signals to `plugin-host exec` that are not keys: they are the command's, and nobody is stuck."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.host.cli_exec import Seat, box
from tests.host.cli_run import COMMAND, Background, Cli, cli, default_signals
from tests.stage import write_plugin
from tests.wait import WaitUntil

__all__ = ["box", "cli"]

pytestmark = pytest.mark.edges


def answering(name: str) -> str:
    """A script that says that it is ready, says which signal it gets, and then ends with 9.

    No process besides the shell gets the signal, which is sent to its whole group.
    """
    return f"trap 'echo got {name}; exit 9' {name}; echo ready; while :; do :; done"


@contextmanager
def started(cli: Cli, box: Path, script: str, *options: str) -> Iterator[Background]:
    """`plugin-host exec box sh -c SCRIPT` in the background."""
    with (
        default_signals(),
        cli.background("exec", *options, "--plugin-dir", box, "box", "sh", "-c", script) as one,
    ):
        yield one


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"])
def test_signals_reach_the_command(cli: Cli, box: Path, wait_until: WaitUntil, name: str) -> None:
    with started(cli, box, answering(name)) as one:
        wait_until(one.says("ready\n"))
        one.send(signal.Signals[f"SIG{name}"])
        ended = one.end()
    assert (ended.status, ended.out, ended.err) == (9, f"ready\ngot {name}\n", "")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_command_that_a_signal_ends_says_so_in_its_status(
    cli: Cli, box: Path, wait_until: WaitUntil, signum: signal.Signals
) -> None:
    with started(cli, box, "echo ready; exec sleep 60") as one:
        wait_until(one.says("ready\n"))
        one.send(signum)
        ended = one.end()
    assert (ended.status, ended.out, ended.err) == (128 + signum, "ready\n", "")


def test_signals_reach_a_command_on_a_terminal(cli: Cli, box: Path, wait_until: WaitUntil) -> None:
    with started(cli, box, answering("INT"), "-t") as one:
        wait_until(one.says("ready\n"))
        one.send(signal.SIGINT)
        ended = one.end()
    assert (ended.status, ended.out, ended.err) == (9, "ready\ngot INT\n", "")


def test_interrupt_key_reaches_a_command_on_pipes(cli: Cli, box: Path) -> None:
    with Seat(cli, "-i", "--plugin-dir", box, "box", "sh", "-c", answering("INT")) as seat:
        seat.see("ready\r\n")
        seat.type("\x03")
        seat.see("got INT\r\n")
        assert seat.end() == 9


def test_third_interrupt_ends_a_command_that_does_not_care(
    cli: Cli, box: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    script = f"trap '' INT TERM HUP; echo $$ > {tmp_path}/pid; echo ready; while :; do sleep 1; done"
    with started(cli, box, script) as one:
        wait_until(one.says("ready\n"))
        program = int((tmp_path / "pid").read_text())
        for _ in range(3):
            one.send(signal.SIGINT)
            next_at = time.monotonic() + 0.6
            wait_until(lambda: time.monotonic() > next_at)  # noqa: B023
        ended = one.end()
    assert (ended.status, ended.out, ended.err) == (130, "ready\n", "")
    assert not psutil.pid_exists(program)


def test_interrupt_while_the_plugin_starts_ends_all(
    cli: Cli, box: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    mark = tmp_path / "started"
    write_plugin(box, "late", head=f"import time; open({str(mark)!r}, 'w'); time.sleep(60)")
    with default_signals(), cli.background("exec", "--plugin-dir", box, "late", "true") as one:
        wait_until(mark.exists)
        one.send(signal.SIGINT)
        ended = one.end()
    assert (ended.status, ended.out, ended.err) == (130, "", "")


def test_interrupt_while_the_plugin_stops_does_not_change_the_status(
    cli: Cli, box: Path, wait_until: WaitUntil
) -> None:
    code = 'sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[sdk.exec.Handler("local")]))'
    write_plugin(
        box,
        "slow",
        f"{code}\natexit.register(time.sleep, 60)",
        head="import atexit, time",
        launch={"stop_timeout_s": 120},
    )
    words = ("exec", "-v", "--plugin-dir", box, "slow", "sh", "-c", "exit 5")
    with default_signals(), cli.background(*words) as one:
        wait_until(one.says("ready -> stopping"))
        began = time.monotonic()
        one.send(signal.SIGINT)
        ended = one.end()
    assert ended.status == 5
    assert time.monotonic() - began < 10


def test_reader_that_stops_for_good_leaves_nobody_stuck(
    cli: Cli, box: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    mark = tmp_path / "over"
    script = f"head -c 300000 /dev/zero; touch {mark}"
    command = [*COMMAND, "exec", "--plugin-dir", str(box), "box", "sh", "-c", script]
    with default_signals():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.env)
    wait_until(mark.exists)
    # One may still be meant for the command, which has just ended; a third would be nobody's to handle.
    for patience in (2, 15):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    assert process.returncode == 128 + signal.SIGTERM
    process.communicate()
