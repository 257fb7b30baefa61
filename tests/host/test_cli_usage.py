"""The command line itself: help, versions, and wrong words, which start nothing."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from plugin_host import __version__
from tests.host.cli_plugin import plugins
from tests.host.cli_run import COMMAND, TIMEOUT_S, Cli, cli

pytestmark = pytest.mark.edges

__all__ = ["cli", "plugins"]

COMMANDS = (
    *("run", "list", "call", "exec", "validate", "schema", "status", "start", "stop", "restart", "reload"),
    *("reconfigure", "sessions", "attach", "kill", "close", "completion", "send"),
)


def test_version_is_the_packages(cli: Cli) -> None:
    ended = cli("--version")
    assert (ended.status, ended.out, ended.err) == (0, f"plugin-host {__version__}\n", "")


def test_help_lists_every_command(cli: Cli) -> None:
    ended = cli("--help")
    assert (ended.status, ended.err) == (0, "")
    for command in COMMANDS:
        assert f"\n  {command} " in ended.out
    assert cli("-h").out == ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_shows_examples(cli: Cli, command: str) -> None:
    ended = cli(command, "--help")
    assert (ended.status, ended.err) == (0, "")
    assert "Example" in ended.out
    assert f"\n    plugin-host {command}" in ended.out


def test_without_a_command_the_help_is_on_stderr(cli: Cli) -> None:
    ended = cli()
    assert (ended.status, ended.out) == (2, "")
    assert "Commands:" in ended.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope"], "No such command 'nope'"),
        (["list", "extra"], "unexpected extra argument"),
        (["list", "--nope"], "No such option"),
        (["list", "--plugin-dir", "/nope"], "Directory '/nope' does not exist"),
        (["list", "--only", "a,,b"], "expected an id"),
        (["call"], "Missing argument 'PLUGIN'"),
        (["stop"], "Missing argument 'PLUGIN...'"),
        (["kill", "x", "-s", "nope"], "'nope' is no signal"),
        (["reconfigure", "odd", "a"], "a is no parameter"),
        (["call", "odd", "echo", "--timeout", "0"], "expected seconds above 0"),
        (["call", "odd", "echo", "--timeout", "nan"], "expected seconds above 0"),
        (["call", "odd", "echo", "--timeout", "soon"], "not a valid float"),
        (["top", "--interval", "nan"], "expected seconds from 0.1 to 3600"),
        (["top", "--interval", "0"], "expected seconds from 0.1 to 3600"),
    ],
)
def test_wrong_words_are_wrong_usage(cli: Cli, words: list[str], said: str) -> None:
    ended = cli(*words)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("plugin-host: ")
    assert said in ended.err
    assert "--help' for help.\n" in ended.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "--json", "--nope"], "No such option"),
        (["list", "--nope", "--json"], "No such option"),
        (["call", "--json"], "Missing argument 'PLUGIN'"),
    ],
)
def test_wrong_usage_is_told_as_json_where_that_was_asked(cli: Cli, words: list[str], said: str) -> None:
    ended = cli(*words)
    assert (ended.status, ended.out, ended.error["type"]) == (2, "", "UsageError")
    assert said in ended.error["message"]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (["a"], "a is no parameter: expected key=value, key:=JSON, one JSON map or list, @file, or -"),
        (["=x"], "=x is no parameter"),
        ([":=1"], ":=1 is no parameter"),
        (["a=1", "a:=2"], "parameter a is given twice"),
        (["a:=nope"], "parameter a: expected JSON, found an error at column 1"),
        (['{"a": 1}', "b=1"], '{"a": 1} must stand alone'),
        (["b=1", "-"], "- must stand alone"),
        (["{"], "parameters: expected JSON, found an error at column 2"),
        (['"text"'], '"text" is no parameter'),
        (["@"], "no file after @"),
        (["@/nope"], "@/nope: No such file or directory"),
        (["@/"], "@/: Is a directory"),
        (["-"], "stdin: expected a JSON map or list, found nothing"),
        (['a:={"$bytes": 1}'], "parameter a: $bytes: expected base64 text"),
    ],
)
def test_wrong_parameters_are_wrong_usage(
    cli: Cli, plugins: Path, parameters: list[str], said: str
) -> None:
    ended = cli("call", "odd", "echo", *parameters, "--plugin-dir", plugins)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"plugin-host: {said}")


def test_documents_that_are_no_text_are_wrong_usage(cli: Cli) -> None:
    ended = cli("call", "odd", "echo", "-", stdin=b'{"a": "\xff"}')
    assert (ended.status, ended.err.splitlines()[0]) == (
        2,
        "plugin-host: stdin: expected UTF-8 text, found byte 0xff at offset 7",
    )
    assert "expected a JSON map or list, found 5" in cli("call", "odd", "echo", "-", stdin="5").err


def test_arguments_that_are_no_text_say_how_to_send_bytes(cli: Cli) -> None:
    ended = cli("call", "odd", "echo", "value=a\udcff")
    assert ended.status == 2
    assert 'gets them by :={"$bytes": "Yf8="}' in ended.err


def test_wrong_parameters_are_json_for_programs(cli: Cli) -> None:
    error = cli("call", "odd", "echo", "a", "--json").error
    assert (error["type"], error["exit_code"]) == ("UsageError", 2)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["list", "--plugin-dir", "/nope", "--json"], 2, "Directory '/nope' does not exist"),
        (["call", "odd", "echo", "--timeout", "0", "--json"], 2, "expected seconds above 0"),
        (["call", "--json"], 2, "Missing argument 'PLUGIN'"),
        (["logs", "--json", "-n", "-1"], 2, "-1 is not in the range"),
        (["exec", "--json"], 125, "Missing argument 'PLUGIN[/RESOURCE]'"),
    ],
)
def test_wrong_words_are_json_for_programs(cli: Cli, words: list[str], status: int, said: str) -> None:
    ended = cli(*words)
    assert (ended.status, ended.out) == (status, "")
    assert (ended.error["type"], ended.error["exit_code"]) == ("UsageError", status)
    assert said in ended.error["message"]


@pytest.mark.parametrize(
    "words",
    [
        ["attach"],
        ["attach", "a", "--offset", "x"],
        ["attach", "a", "--connect", "x", "--socket", "y"],
        ["exec", "a", "--connect", "x", "--socket", "y"],
        ["exec", "a", "--workdir"],
        ["task", "run", "--nope"],
        ["task", "shell", "a", "--connect", "x", "--socket", "y"],
        ["action", "run-script", "a", "b", "--timeout", "x"],
        ["action", "run-script", "a", "b", "--connect", "x", "--socket", "y"],
    ],
)
def test_wrong_usage_is_no_status_of_a_program(cli: Cli, words: list[str]) -> None:
    ended = cli(*words)
    assert (ended.status, ended.out) == (125, "")
    assert "--help' for help.\n" in ended.err


def test_control_socket_is_accepted(cli: Cli, plugins: Path) -> None:
    assert cli("list", "--socket", "/nope", "--plugin-dir", plugins).status == 0
    assert cli("list", "--plugin-dir", plugins, env={"PLUGIN_HOST_SOCKET": "/nope"}).status == 0


@pytest.mark.parametrize(
    "words",
    [
        *(["stop", "\udcff"], ["call", "\udcff"], ["kill", "\udcff"], ["metadata", "get", "/\udcff"]),
        *(["task", "list", "\udcff"], ["action", "list", "\udcff"], ["logs", "\udcff"]),
    ],
    ids=lambda words: "-".join(words[:-1]),
)
def test_name_that_is_no_text_is_wrong_usage(cli: Cli, words: list[str]) -> None:
    ended = cli(*words)
    assert (ended.status, ended.out) == (2, "")
    assert "expected UTF-8 text, found '" in ended.err


def test_count_that_does_not_travel_is_wrong_usage(cli: Cli) -> None:
    ended = cli("logs", "-n", str(2**63))
    assert ended.status == 2
    assert "is not in the range" in ended.err


def redirected(cli: Cli, command: str, how: str) -> tuple[int, str]:
    """The status, and what is on stderr, of a command that a shell starts with this redirection."""
    text = f"{command.replace('plugin-host', 'exec ' + shlex.join(COMMAND))} {how}"
    ended = subprocess.run(
        ["sh", "-c", text],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=cli.env,
        timeout=TIMEOUT_S,
    )
    return ended.returncode, ended.stderr.decode()


@pytest.mark.parametrize("command", ["list", "list --json", "schema", "doctor"])
def test_result_that_goes_to_a_stdout_that_is_closed_is_a_failure(cli: Cli, command: str) -> None:
    status, said = redirected(cli, f"plugin-host {command}", ">&-")
    assert status == 1
    assert "cannot write to stdout: it is closed" in said


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("plugin-host action run-script odd -", 125),
        ("plugin-host action upload odd - /tmp/x", 1),
        ("plugin-host action change-key odd -", 1),
    ],
)
def test_stdin_that_is_to_be_read_and_is_closed_is_told(
    cli: Cli, plugins: Path, command: str, expected: int
) -> None:
    status, said = redirected(cli, f"{command} --plugin-dir {plugins}", "<&-")
    assert (status, said) == (expected, "plugin-host: cannot read stdin: it is closed\n")


@pytest.mark.parametrize("command", ["--help", "--version", "call --help", "task list --help"])
def test_help_that_nobody_reads_ends_as_by_a_closed_pipe(cli: Cli, command: str) -> None:
    heard, say = os.pipe()
    os.close(heard)
    ended = subprocess.run(
        [*COMMAND, *command.split()], stdout=say, stderr=subprocess.PIPE, env=cli.env, timeout=TIMEOUT_S
    )
    os.close(say)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("name", ["a..b", ".a", "a" * 64, "é" * 200])
def test_address_that_is_none_is_wrong_everywhere(
    cli: Cli, plugins: Path, tmp_path: Path, name: str
) -> None:
    for words in (
        ["status", "--connect", f"{name}:1"],
        ["run", "--plugin-dir", str(plugins), "--listen", f"{name}:0"],
    ):
        ended = cli(*words, "--psk-file", tmp_path / "psk")
        assert (ended.status, ended.out) == (2, ""), ended.err
        assert "no host has such a name" in ended.err
