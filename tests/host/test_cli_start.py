"""What starting the command line costs: what has been imported when it does its work."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

import plugin_host
from plugin_host.cli import action
from plugin_host.cli.program import program
from tests.host.cli_run import COMMAND, Cli, cli, default_signals

__all__ = ["cli"]

COMMANDS = {"plugin_host.cli.call", "plugin_host.cli.task", "plugin_host.cli.run", "plugin_host.cli.top"}
HEAVY = {"asyncio", "psutil", "rich", "msgpack", "subprocess", "plugin_host.host"}


def imported_by(cli: Cli, *words: str) -> set[str]:
    """The modules in memory when the command has ended."""
    code = (
        "import sys; from plugin_host.cli import main; sys.argv[0] = 'plugin-host'\n"
        "status = main(); print(*sys.modules, file=sys.stderr); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, *words]
    ended = subprocess.run(command, capture_output=True, text=True, env=cli.env, check=False)
    return set(ended.stderr.split())


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["call", "--help"], ["exec", "--help"]])
def test_help_imports_nothing_that_runs_plugins(cli: Cli, words: list[str]) -> None:
    modules = imported_by(cli, *words)
    assert "plugin_host.cli.program" in modules
    assert modules & (HEAVY | {"msgspec", "pluggy", "logging", "importlib.metadata"}) == set()


@pytest.mark.parametrize("words", [["--help"], ["action", "--help"], ["action"], ["no-such-command"]])
def test_what_is_said_of_commands_imports_none_of_them(cli: Cli, words: list[str]) -> None:
    assert imported_by(cli, *words) & COMMANDS == set()


def test_command_imports_no_other(cli: Cli) -> None:
    assert imported_by(cli, "list") & COMMANDS == set()


def test_every_command_is_what_its_table_says() -> None:
    for group in (program, action.command):
        for name in group.list_commands(click.Context(group)):
            assert group.commands[name].name == name


@pytest.mark.parametrize("words", [["list"], ["validate", "."], ["schema"]])
def test_commands_that_start_nothing_import_no_event_loop(
    cli: Cli, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugin_manifest.json").write_text('{"id": "a", "version": "1", "launch": {"argv": ["a"]}}')
    monkeypatch.chdir(tmp_path)
    modules = imported_by(cli, *words)
    assert "msgspec" in modules
    assert modules & HEAVY == set()


def test_list_imports_only_what_there_is_to_look_at(cli: Cli) -> None:
    """Without extensions no registry of them, without limits no machine, without schemas no check."""
    cli("list")  # what is installed is remembered from now on
    modules = imported_by(cli, "list")
    assert "plugin_host.discovery" in modules
    unneeded = {
        "pluggy",
        "jsonschema",
        "importlib.metadata",
        "plugin_host.machine",
        "plugin_host.schemacheck",
    }
    assert modules & unneeded == set()


def test_importing_the_package_imports_none_of_it() -> None:
    code = "import sys, plugin_host; print(*[name for name in sys.modules if 'plugin_host' in name])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["plugin_host"]


def test_package_has_every_name_it_lists_and_no_other() -> None:
    assert {name for name in plugin_host.__all__ if not hasattr(plugin_host, name)} == set()
    assert set(plugin_host.__all__) <= set(dir(plugin_host))
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        plugin_host.nope  # type: ignore[attr-defined]  # noqa: B018


INTERRUPT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == MODULE:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from plugin_host.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "module", ["plugin_host.cli.program", "click", "plugin_host.cli.option", "plugin_host.cli.contact"]
)
def test_interrupt_key_ends_a_start_at_any_time_without_a_word(cli: Cli, module: str) -> None:
    code = INTERRUPT.replace("MODULE", repr(module))
    command = [sys.executable, "-c", code, "status"]
    with default_signals():
        ended = subprocess.run(command, capture_output=True, text=True, env=cli.env, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.strip()) == (128 + signal.SIGINT, "", "")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["exec", "--help"], ["call", "--help"]])
def test_help_that_cannot_be_written_is_an_error_in_words(cli: Cli, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, env=cli.env, check=False
        )
    expected = (1, b"plugin-host: cannot write to stdout: No space left on device\n")
    assert (ended.returncode, ended.stderr) == expected
