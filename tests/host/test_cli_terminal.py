"""What changes when a person looks: colours, the width of the terminal, a line of progress."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import termios
from pathlib import Path

import pytest

from tests.host.cli_plugin import plugins
from tests.host.cli_run import COMMAND, Cli, cli
from tests.stage import write_plugin
from tests.wait import WaitUntil

__all__ = ["cli", "plugins"]

pytestmark = pytest.mark.edges

COLOUR = re.compile(r"\x1b\[3\dm")


class Screen:
    """A command on a terminal of 24 rows and 80 columns, and all that it has written there."""

    def __init__(self, cli: Cli, *words: str | Path, **env: str) -> None:
        self._fd, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 80))
        surroundings = {**cli.env, "TERM": "xterm-256color", "COLUMNS": "80", **env}
        surroundings.pop("NO_COLOR", None) if "NO_COLOR" not in env else None
        self._process = subprocess.Popen(
            [*COMMAND, *map(str, words)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            env=surroundings,
        )
        os.close(terminal)
        self.text = ""

    def wait_for(self, text: str) -> None:
        while text not in self.text:
            self.text += os.read(self._fd, 65536).decode()

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Read on until it has ended; its status."""
        try:
            while data := os.read(self._fd, 65536):
                self.text += data.decode()
        except OSError:  # how a terminal says that nobody is there any more
            pass
        os.close(self._fd)
        return self._process.wait()


def test_tables_have_colours_on_a_terminal(cli: Cli, plugins: Path) -> None:
    screen = Screen(cli, "list", "--plugin-dir", plugins)
    assert screen.end() == 0
    assert COLOUR.search(screen.text)
    assert "odd" in screen.text


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_refused(cli: Cli, plugins: Path, env: dict[str, str]) -> None:
    screen = Screen(cli, "list", "--plugin-dir", plugins, **env)
    assert screen.end() == 0
    assert not COLOUR.search(screen.text)


def test_cells_are_whole_on_a_terminal_that_cannot_draw(cli: Cli, plugins: Path) -> None:
    screen = Screen(cli, "list", "--plugin-dir", plugins, TERM="dumb")
    assert screen.end() == 0
    assert screen.text.replace("\r", "") == cli("list", "--plugin-dir", plugins).out


def test_json_and_results_have_no_colours(cli: Cli, plugins: Path) -> None:
    screen = Screen(cli, "list", "--json", "--plugin-dir", plugins)
    assert screen.end() == 0
    assert "\x1b" not in screen.text


def test_colours_are_for_states_only(cli: Cli, tmp_path: Path) -> None:
    write_plugin(tmp_path / "dir", "broken")
    screen = Screen(cli, "list", "--plugin-dir", tmp_path / "dir")
    screen.end()
    row = next(line for line in screen.text.splitlines() if line.startswith("broken"))
    assert COLOUR.findall(row) == ["\x1b[32m"]


def test_run_shows_a_failure_once(cli: Cli, plugins: Path) -> None:
    write_plugin(plugins, "absent", head="import no_such_module")
    screen = Screen(cli, "run", "--plugin-dir", plugins)
    screen.wait_for("COMMANDS")
    screen.interrupt()
    assert screen.end() == 0
    assert screen.text.count("exited with status 1 before it was ready") == 1
    assert re.search(r"absent +failed\r\n", screen.text)


def test_progress_is_one_line_that_goes_away(cli: Cli, plugins: Path) -> None:
    screen = Screen(cli, "call", "odd", "wait", "seconds=0.5", "--plugin-dir", plugins)
    assert screen.end() == 0
    first, *_, last = screen.text.split("\r\x1b[K")
    assert first == ""
    assert last == "done\r\n"
    assert re.search(r"\r\x1b\[K *\d+ %  \\x1b\[2Jstep \d+", screen.text)


def test_progress_is_not_mixed_with_the_log(cli: Cli, plugins: Path) -> None:
    screen = Screen(cli, "call", "odd", "wait", "seconds=0.2", "-v", "--plugin-dir", plugins)
    assert screen.end() == 0
    assert "\x1b" not in screen.text


def test_interrupt_takes_the_progress_away(cli: Cli, plugins: Path) -> None:
    screen = Screen(cli, "call", "odd", "wait", "--plugin-dir", plugins)
    screen.wait_for("step")
    screen.interrupt()
    assert screen.end() == 130
    assert screen.text.endswith("\r\x1b[K")


def test_names_of_commands_in_metrics_move_no_terminal(
    cli: Cli, tmp_path: Path, own_socket: str, wait_until: WaitUntil
) -> None:
    handler = """
        @plugin.command("red\\x1b[31m")
        def red(ctx):
            pass
    """
    folder = tmp_path / "plugins"
    write_plugin(folder, "coloured", handler)
    cli.env["PLUGIN_HOST_SOCKET"] = own_socket
    with cli.background("run", "--plugin-dir", folder, "--only", "coloured") as host:
        wait_until(host.says("COMMANDS"))
        assert cli("call", "coloured", "red\x1b[31m").status == 0
        assert 'command="red\x1b[31m"' in cli("metrics").out
        screen = Screen(cli, "metrics")
        assert screen.end() == 0
    assert 'command="red\\x1b[31m"' in screen.text
    assert "\x1b" not in screen.text
