"""`plugin-host exec -it` as a user has it in front of him: keys, sizes, and the terminal afterwards."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from tests.host.cli_exec import PYTHON, Seat, box
from tests.host.cli_run import COMMAND, Cli, cli
from tests.wait import WaitUntil

__all__ = ["box", "cli"]

pytestmark = pytest.mark.edges

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


def shell(cli: Cli, box: Path, script: str, *options: str, kind: str = "xterm") -> Seat:
    """A seat at `plugin-host exec -it box sh -c SCRIPT`."""
    return Seat(cli, "-it", *options, "--plugin-dir", box, "box", "sh", "-c", script, env={"TERM": kind})


# Keys and sizes.


def test_terminal_is_raw_while_the_command_runs(cli: Cli, box: Path) -> None:
    with shell(cli, box, "echo ready; read line; echo got $line; exit 3") as seat:
        seat.see("ready\r\n")
        assert seat.is_raw()
        seat.type("text\r")
        seat.see("got text\r\n")
        assert seat.end() == 3
        assert seat.mode == seat.found


def test_interrupt_key_reaches_the_command_and_not_the_host(cli: Cli, box: Path) -> None:
    with shell(cli, box, "trap 'echo interrupted' INT; echo ready; read a || read b; echo $b") as seat:
        seat.see("ready\r\n")
        seat.type("\x03")
        seat.see("interrupted\r\n")
        seat.type("on\r")
        seat.see("on\r\n")
        assert seat.end() == 0


def test_keys_reach_a_program_as_the_bytes_they_are(cli: Cli, box: Path) -> None:
    keys = "\x03\x04\x1a\x1c\x11\x13\r\n\x7f\x10é"
    count = len(keys.encode())
    script = f"stty raw -echo; echo ready; head -c {count} | od -An -tx1 -w{count}"
    with shell(cli, box, script) as seat:
        seat.see("ready\n")
        seat.type(keys)
        seat.see(keys.encode().hex(" "))
        assert seat.end() == 0


def test_end_of_file_key_ends_the_command(cli: Cli, box: Path) -> None:
    with shell(cli, box, "echo ready; cat; echo over") as seat:
        seat.see("ready\r\n")
        seat.type("\x04")
        seat.see("over\r\n")
        assert seat.end() == 0


def test_size_is_that_of_the_users_terminal_and_follows_it(cli: Cli, box: Path) -> None:
    script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"
    with shell(cli, box, script) as seat:
        seat.see("40 100\r\n")
        seat.resize(50, 120)
        seat.see("50 120\r\n")
        seat.resize(20, 60)
        seat.see("20 60\r\n")
        seat.type("\x1c")
        assert seat.end() == 128 + signal.SIGQUIT


def test_kind_of_the_terminal_is_the_users(cli: Cli, box: Path) -> None:
    with shell(cli, box, "echo kind=$TERM", kind="vt220") as seat:
        seat.see("kind=vt220\r\n")
        assert seat.end() == 0


def test_without_keys_the_terminal_stays_as_it_is(cli: Cli, box: Path) -> None:
    script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"
    with Seat(cli, "-t", "--plugin-dir", box, "box", "sh", "-c", script) as seat:
        seat.see("40 100\r")
        assert seat.mode == seat.found
        seat.resize(50, 120)
        seat.see("50 120\r")
        seat.type("\x03")
        assert seat.end() == 128 + signal.SIGINT


def test_terminal_of_the_command_needs_none_here(cli: Cli, box: Path) -> None:
    ended = cli("exec", "-it", "--plugin-dir", box, "box", stdin="tty; stty size; exit 4\n")
    assert ended.status == 4
    assert re.search(r"/dev/pts/\d+\r\n27 72\r\n", ended.out)
    assert ended.err == ""


def test_end_of_stdin_is_the_end_of_file_on_the_terminal(cli: Cli, box: Path) -> None:
    ended = cli("exec", "-it", "--plugin-dir", box, "box", "cat", stdin="line\n")
    assert (ended.status, ended.out) == (0, "line\r\nline\r\n")


# The terminal afterwards.


@pytest.mark.parametrize("signum", ENDING)
def test_terminal_is_restored_when_a_signal_ends_it(
    cli: Cli, box: Path, wait_until: WaitUntil, signum: signal.Signals
) -> None:
    with shell(cli, box, "echo pid=$$,; read line") as seat:
        seat.see("pid=")
        seat.see(",")
        assert seat.is_raw()
        seat.process.send_signal(signum)
        assert seat.end() == 128 + signum
        assert seat.mode == seat.found


def test_terminal_is_restored_when_the_plugin_dies(cli: Cli, box: Path) -> None:
    with shell(cli, box, "echo ready; read line; kill -9 $PPID; read line") as seat:
        seat.see("ready\r\n")
        assert seat.is_raw()
        seat.type("\r")
        seat.see("plugin-host: ")
        seat.see("plugin `box` died")
        assert seat.end() == 125
        assert seat.mode == seat.found


def test_terminal_is_restored_when_nobody_reads_it(cli: Cli, box: Path) -> None:
    with shell(cli, box, "echo ready; exec yes") as seat:
        seat.see("ready\r\n")
        # Nothing is read from here on, so that the writing stands still.
        seat.process.send_signal(signal.SIGTERM)
        assert seat.process.wait(15) == 128 + signal.SIGTERM
        assert seat.mode == seat.found


def test_terminal_is_restored_although_the_plugin_hangs(cli: Cli, box: Path, wait_until: WaitUntil) -> None:
    with shell(cli, box, "echo ready; read line") as seat:
        seat.see("ready\r\n")
        # Besides there are the keeper and, perhaps, what the plugin was forked from.
        children = psutil.Process(seat.process.pid).children(recursive=True)
        served = [one for one in children if "plugin_host_sdk" in " ".join(one.cmdline())]
        (plugin,) = [one for one in served if one.name() != "plugin-forks"]
        plugin.suspend()
        seat.process.send_signal(signal.SIGHUP)
        wait_until(lambda: seat.mode == seat.found)
        # And nobody needs to wait for it.
        seat.process.send_signal(signal.SIGHUP)
        seat.process.send_signal(signal.SIGHUP)
        assert seat.end() == 128 + signal.SIGHUP


def test_terminal_that_goes_away_ends_the_command(
    cli: Cli, box: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    seat = shell(cli, box, f"echo $$ > {tmp_path}/pid; echo ready; read line; sleep 60")
    with seat:
        seat.see("ready\r\n")
        program = int((tmp_path / "pid").read_text())
        seat.vanish()
        assert seat.process.wait(15) == 128 + signal.SIGHUP
        wait_until(lambda: not psutil.pid_exists(program))


def test_terminal_is_the_shells_while_the_command_is_stopped(
    cli: Cli, box: Path, wait_until: WaitUntil
) -> None:
    command = f"{' '.join(COMMAND)} exec -it --plugin-dir {box} box -- sh -c"
    with Seat(cli, program=["bash", "--norc", "--noprofile", "-i"], env={"PS1": "prompt> "}) as seat:
        seat.see("prompt> ")
        seat.type(f"{command} 'echo pid=$PPID,; read line; stty size; exit 5'\r")
        seat.see("pid=$PPID")  # the echo
        seat.see("pid=")
        assert seat.is_raw()
        (bash,) = [psutil.Process(seat.process.pid)]
        (host,) = bash.children()
        host.send_signal(signal.SIGTSTP)
        seat.see("Stopped")
        seat.see("prompt> ")
        assert not seat.is_raw()
        seat.resize(33, 77)
        seat.type("fg\r")
        wait_until(lambda: seat.is_raw())
        seat.type("\r")
        seat.see("33 77\r\n")
        seat.see("prompt> ")
        seat.type("echo status=$?\r")
        seat.see("status=5")
        assert not seat.is_raw()
        seat.type("exit\r")
        assert seat.end() == 0


def test_command_in_the_background_waits_for_the_terminal(
    cli: Cli, box: Path, wait_until: WaitUntil
) -> None:
    command = f"{' '.join(COMMAND)} exec -it --plugin-dir {box} box -- sh -c"
    with Seat(cli, program=["bash", "--norc", "--noprofile", "-i"], env={"PS1": "prompt> "}) as seat:
        seat.see("prompt> ")
        seat.type(f"{command} 'read line; echo got $line; exit 5' &\r")
        seat.see("prompt> ")
        (host,) = psutil.Process(seat.process.pid).children()
        wait_until(lambda: host.status() == psutil.STATUS_STOPPED)
        assert not seat.is_raw()
        seat.type("fg\r")
        wait_until(seat.is_raw)
        seat.type("text\r")
        seat.see("got text\r\n")
        seat.see("prompt> ")
        seat.type("echo status=$?\r")
        seat.see("status=5")
        seat.type("exit\r")
        assert seat.end() == 0


def test_log_keeps_to_its_columns_while_the_terminal_is_raw(cli: Cli, box: Path) -> None:
    with shell(cli, box, "echo ready; read line; echo $line >&2", "-v") as seat:
        seat.see("ready\r\n")
        seat.type("x\r")
        assert seat.end() == 0
        assert "\n" not in re.sub(r"\r\n", "", seat.seen)


# Real programs.


def test_bash_has_a_prompt_and_jobs(cli: Cli, box: Path) -> None:
    words = ("-it", "-e", "PS1=in> ", "--plugin-dir", box, "box", "bash", "--norc", "--noprofile", "-i")
    with Seat(cli, *words) as seat:
        seat.see("in> ")
        # Not sh: dash starts `sleep` by vfork, and a ^Z just then stops the child and never the parent.
        seat.type("bash -c 'trap \"echo again\" CONT; echo up; while :; do sleep 0.05; done'\r")
        seat.see("up\r\n")
        seat.type("\x1a")
        seat.see("Stopped")
        seat.see("in> ")
        seat.type("fg\r")
        seat.see("again\r\n")
        seat.type("\x03")
        seat.see("in> ")
        seat.type("exit 6\r")
        assert seat.end() == 6


def test_python_answers(cli: Cli, box: Path) -> None:
    with Seat(cli, "-it", "--plugin-dir", box, "box", "--", PYTHON, "-i") as seat:
        seat.see(">>> ")
        seat.type("print(6 * 7)\r")
        seat.see("42")
        seat.see(">>> ")  # as it switches the terminal over for that, it may lose what is typed
        seat.type("\x04")
        assert seat.end() == 0


@pytest.mark.skipif(shutil.which("vi") is None, reason="there is no vi")
def test_vi_fills_the_screen_and_edits(cli: Cli, box: Path, tmp_path: Path) -> None:
    with Seat(cli, "-it", "--plugin-dir", box, "box", "-w", tmp_path, "vi", "file") as seat:
        seat.see("\x1b[?1049h")
        seat.type("ihello\x1b:wq\r")
        seat.see("\x1b[?1049l")
        assert seat.end() == 0
        assert seat.mode == seat.found
    assert (tmp_path / "file").read_text() == "hello\n"
