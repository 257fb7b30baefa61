"""`logs`, `events`, `top` and `metrics` of a host that runs, for people and programs, and on a terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.cli_plugin import plugins
from tests.host.cli_run import Background, Cli, cli
from tests.host.tmux import Tmux, tmux_window
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

__all__ = ["cli", "plugins"]


@pytest.fixture
def host(cli: Cli, plugins: Path, own_socket: str, wait_until: WaitUntil) -> Iterator[Background]:
    """A host with the plugin `odd`, which has logged something."""
    cli.env["PLUGIN_HOST_SOCKET"] = own_socket
    with cli.background("run", "--json", "--plugin-dir", plugins, "--only", "odd") as running:
        wait_until(lambda: '"event": "ready"' in running.out)
        yield running


@pytest.fixture
def window(cli: Cli, host: Background, tmp_path: Path) -> Iterator[Tmux]:
    with tmux_window(tmp_path, cli.env) as tmux:
        yield tmux


SAY = """
import asyncio
from plugin_host.control import connect
async def main():
    async with await connect() as client:
        await client.call("odd", "say")
asyncio.run(main())
"""


def say(cli: Cli) -> None:
    """Let the plugin log."""
    subprocess.run([sys.executable, "-c", SAY], env=cli.env, check=True, timeout=20)


def test_what_was_logged_and_what_happened_can_be_asked_for(cli: Cli, host: Background) -> None:
    say(cli)
    shown = cli("logs", "odd")
    assert (shown.status, shown.err) == (0, "")
    first, second, third = shown.out.splitlines()
    assert re.fullmatch(r'\d\d:\d\d:\d\d\.\d{3} warning  odd  odd\.say: watch out \{"n": 1\}', first)
    assert second.endswith("info     odd  library: a library")
    assert third == "    speaks"
    (line,) = cli("logs", "--level", "warning", "--json", "-n", "5").out.splitlines()
    told = json.loads(line)
    assert (told["message"], told["fields"], told["source"]) == ("watch out", {"n": 1}, "log")
    wrong = cli("logs", "od")
    assert (wrong.status, wrong.out) == (3, "")
    assert "did you mean `odd`?" in wrong.err
    events = cli("events", "-n", "1")
    assert re.fullmatch(r"\d\d:\d\d:\d\d  odd  ready \(pid \d+\)\n", events.out)
    top = cli("top", "--once", "--interval", "0.2").json
    assert [(one["plugin"], one["state"]) for one in top["plugins"]] == [("odd", "ready")]
    assert 'plugin_host_plugin_state{plugin="odd",state="ready"} 1.0' in cli("metrics").out


def test_who_follows_is_told_that_the_host_has_stopped(
    cli: Cli, host: Background, wait_until: WaitUntil
) -> None:
    with (
        cli.background("events", "-f", "--json") as events,
        cli.background("top", "--interval", "30") as top,
    ):
        wait_until(lambda: '"ready"' in events.out)
        host.send(signal.SIGTERM)
        assert host.end().status == 0
        ended = events.end()
        assert json.loads(ended.out.splitlines()[-1])["new"] == "stopped"
        assert (ended.status, json.loads(ended.err)["error"]["type"]) == (4, "HostLost")
        assert top.end().status in (3, 4)  # perhaps it was not there yet
    none = cli("logs")
    assert none.status == 3
    assert "no host listens there" in none.err


def test_logs_are_followed_on_a_terminal_until_the_interrupt_key(
    cli: Cli, window: Tmux, wait_until: WaitUntil
) -> None:
    window.enter("plugin-host logs -f --level warning; echo status $?")
    wait_until(lambda: not window.is_as_found())
    say(cli)
    window.sees('warning  odd  odd.say: watch out {"n": 1}')
    assert "library" not in window.screen
    assert "\x1b[33mwarning" in window.run("capture-pane", "-p", "-e")
    window.type("C-c")
    window.sees("status 130")
    assert "Traceback" not in window.screen
    wait_until(window.is_as_found)


def test_top_has_a_screen_of_its_own_and_gives_the_terminal_back(
    cli: Cli, host: Background, window: Tmux, wait_until: WaitUntil
) -> None:
    window.enter("cd $HOME; stty -g >before")
    window.enter("plugin-host top --interval 0.2")
    shown = window.sees("P99", "every 0.2 s, by cpu; q quits")
    assert re.search(r"^odd +ready +\d+ ", shown, re.MULTILINE)
    window.run("resize-window", "-x", "110", "-y", "8")
    window.sees("odd", "q quits")
    window.type("C-z")
    window.sees("Stopped")
    wait_until(window.is_as_found)
    window.enter("fg")
    window.sees("q quits", "plugins: 1 ready")
    window.type("q")
    _is_given_back(window, wait_until, 0)
    window.enter("plugin-host top")
    window.sees("q quits")
    window.type("C-c")
    _is_given_back(window, wait_until, 130)
    window.enter("plugin-host top")
    window.sees("q quits")
    host.send(signal.SIGKILL)
    assert "the connection to the host at" in _is_given_back(window, wait_until, 4)


def test_top_gives_the_terminal_back_when_a_signal_ends_it(
    window: Tmux, wait_until: WaitUntil, tmp_path: Path
) -> None:
    window.enter("cd $HOME; stty -g >before")
    window.enter("plugin-host top")
    window.sees("q quits")
    window.type("C-\\")
    _is_given_back(window, wait_until, 128 + signal.SIGQUIT)
    pid = tmp_path / "pid"
    for ending in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
        window.enter(f"sh -c 'echo $$ >{pid}; exec plugin-host top'")
        window.sees("q quits")
        os.kill(int(pid.read_text()), ending)
        _is_given_back(window, wait_until, 128 + ending)


def test_top_has_a_table_for_each_interval_on_a_terminal_that_cannot_draw(
    window: Tmux, wait_until: WaitUntil
) -> None:
    window.enter("TERM=dumb plugin-host top --interval 0.2; echo status $?")
    wait_until(lambda: len(re.findall(r"^odd +ready +\d+ ", window.screen, re.MULTILINE)) > 1)
    assert "\x1b" not in window.run("capture-pane", "-p", "-e")
    window.type("C-c")
    window.sees("status 130")


@pytest.mark.parametrize("cols", [80, 90])
def test_top_that_looks_once_breaks_no_word_on_a_narrow_terminal(window: Tmux, cols: int) -> None:
    window.run("resize-window", "-x", str(cols), "-y", "12")
    window.enter("clear; plugin-host top --once --interval 0.2; echo do''ne")
    shown = window.sees("done").splitlines()
    titles, row = (shown[shown.index("done") - back].split() for back in (2, 1))
    assert titles[:5] == ["PLUGIN", "STATE", "PID", "CPU%", "MEM"]
    assert row[:2] == ["odd", "ready"]


def _is_given_back(window: Tmux, wait_until: WaitUntil, status: int) -> str:
    """The command has ended with this status, and the terminal is as it was; what is on it."""
    wait_until(window.is_as_found)
    window.enter("echo status $?; stty -g | cmp - before && echo same mode; echo")
    shown = window.sees(f"status {status}", "same mode\n")
    window.enter("clear")
    wait_until(lambda: "status" not in window.screen)
    return shown
