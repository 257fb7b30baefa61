"""`plugin-host exec`: what runs, with which words, variables and folder, and its statuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.host.cli_exec import box
from tests.host.cli_run import Cli, cli
from tests.stage import write_plugin

__all__ = ["box", "cli"]

pytestmark = pytest.mark.edges


# What runs.


def test_command_runs_and_its_output_is_shown(cli: Cli, box: Path) -> None:
    ended = cli("exec", "box", "--plugin-dir", box, "echo", "hi")
    assert (ended.status, ended.out, ended.err) == (0, "hi\n", "")


def test_default_command_runs_when_none_is_given(cli: Cli, box: Path) -> None:
    ended = cli("exec", "-i", "--plugin-dir", box, "box", stdin="echo hi; exit 3\n")
    assert (ended.status, ended.out, ended.err) == (3, "hi\n", "")


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["box", "--", "printf", "%s.", "-l", "--"], "-l.--."),
        (["box", "printf", "%s.", "-i", "--json", "-h"], "-i.--json.-h."),
        (["-e", "A=1", "box", "-e", "B=2", "sh", "-c", "echo $A$B"], "12\n"),
        (["box", "-ie", "A=1", "--", "sh", "-c", "echo $A"], "1\n"),
        (["box/local", "echo", "a  b", ""], "a  b \n"),
    ],
)
def test_options_stand_around_the_plugin_and_the_rest_is_the_commands(
    cli: Cli, box: Path, words: list[str], out: str
) -> None:
    ended = cli("exec", "--plugin-dir", box, *words)
    assert (ended.status, ended.out, ended.err) == (0, out, "")


def test_shared_options_may_follow_the_plugin(cli: Cli, box: Path) -> None:
    ended = cli("exec", "box", "--plugin-dir", box, "--only", "box", "--socket", "/nope", "echo", "hi")
    assert (ended.status, ended.out) == (0, "hi\n")
    ended = cli("exec", "box", "--plugin-dir", box, "--no-plugin", "box", "echo", "hi")
    assert ended.status == 125
    assert ended.err == "plugin-host: plugin `box` may not be started: blocked\n"


def test_resource_is_chosen_behind_a_slash(cli: Cli, box: Path) -> None:
    ended = cli("exec", "--plugin-dir", box, "many/local", "echo", "hi")
    assert (ended.status, ended.out) == (0, "hi\n")
    ended = cli("exec", "-t", "--plugin-dir", box, "many/answer")
    assert (ended.status, ended.out) == (42, "forty-two\r\n")


@pytest.mark.parametrize("words", [["many"], ["many/nope"], ["box/nope"]])
def test_resources_are_named_where_it_is_not_clear_which(cli: Cli, box: Path, words: list[str]) -> None:
    ended = cli("exec", "--plugin-dir", box, *words, "true")
    assert (ended.status, ended.out) == (125, "")
    assert f"{words[0].partition('/')[0]}/local" in ended.err
    assert "[" not in ended.err.partition("/local")[0]


def test_words_of_any_language_arrive_whole(cli: Cli, box: Path) -> None:
    ended = cli("exec", "--plugin-dir", box, "box", "-e", "A=ü", "sh", "-c", 'echo "$A$1"', "sh", "🙂\n")
    assert ended.out == "ü🙂\n\n"


# Surroundings.


def test_own_environment_is_not_forwarded(cli: Cli, box: Path) -> None:
    words = ("--plugin-dir", box, "box", "sh", "-c", "echo $SECRET$GIVEN$TAKEN")
    env = {"SECRET": "s", "TAKEN": "t"}
    assert cli("exec", *words, env=env).out == "\n"
    assert cli("exec", "-e", "GIVEN=g", "--env", "TAKEN", "-e", "ABSENT", *words, env=env).out == "gt\n"


def test_kind_of_the_terminal_is_forwarded_with_a_terminal_only(cli: Cli, box: Path) -> None:
    words = ("--plugin-dir", box, "box", "sh", "-c", "echo .$TERM.")
    env = {"TERM": "xterm-odd"}
    assert cli("exec", "-t", *words, env=env).out == ".xterm-odd.\r\n"
    assert cli("exec", "-t", "-e", "TERM=mine", *words, env=env).out == ".mine.\r\n"


def test_command_starts_in_the_folder(cli: Cli, box: Path, tmp_path: Path) -> None:
    ended = cli("exec", "box", "-w", tmp_path, "--plugin-dir", box, "pwd")
    assert (ended.status, ended.out) == (0, f"{tmp_path}\n")


# Statuses.


@pytest.mark.parametrize(("command", "status"), [("exit 0", 0), ("exit 3", 3), ("exit 255", 255)])
@pytest.mark.parametrize("options", [[], ["-t"]])
def test_status_is_the_commands(cli: Cli, box: Path, options: list[str], command: str, status: int) -> None:
    ended = cli("exec", *options, "--plugin-dir", box, "box", "sh", "-c", command)
    assert (ended.status, ended.out, ended.err) == (status, "", "")


@pytest.mark.parametrize(("signal", "status"), [("KILL", 137), ("TERM", 143), ("INT", 130)])
def test_status_stands_for_the_signal_that_ended_the_command(
    cli: Cli, box: Path, signal: str, status: int
) -> None:
    ended = cli("exec", "--plugin-dir", box, "box", "sh", "-c", f"kill -{signal} $$")
    assert (ended.status, ended.out, ended.err) == (status, "", "")


@pytest.mark.parametrize("options", [[], ["-t"]])
def test_command_that_cannot_run_has_the_statuses_of_shells(
    cli: Cli, box: Path, options: list[str], tmp_path: Path
) -> None:
    where = ("--plugin-dir", box, "box")
    missing = cli("exec", *options, *where, "no-such-program")
    assert (missing.status, missing.out) == (127, "")
    assert "no-such-program" in missing.err
    (tmp_path / "text").write_text("text")
    forbidden = cli("exec", *options, *where, tmp_path / "text")
    assert (forbidden.status, forbidden.out) == (126, "")
    assert str(tmp_path / "text") in forbidden.err
    lost = cli("exec", *options, "-w", "/no/such/folder", *where, "true")
    assert (lost.status, lost.out) == (125, "")
    assert "/no/such/folder" in lost.err
    for ended in (missing, forbidden, lost):
        assert ended.err.startswith("plugin-host: ")
        assert "TERMINAL_ERROR" not in ended.err


def test_plugin_that_is_not_there_is_an_own_failure(cli: Cli, box: Path) -> None:
    ended = cli("exec", "--plugin-dir", box, "bo", "true")
    assert (ended.status, ended.out) == (125, "")
    assert "no plugin `bo` was found (did you mean `box`?)" in ended.err


def test_plugin_that_does_not_start_is_an_own_failure(cli: Cli, box: Path) -> None:
    write_plugin(box, "absent", head="import no_such_module")
    ended = cli("exec", "--plugin-dir", box, "absent", "true")
    assert (ended.status, ended.out) == (125, "")
    assert "ModuleNotFoundError" in ended.err


def test_plugin_without_sessions_is_an_own_failure(cli: Cli, box: Path) -> None:
    write_plugin(box, "plain")
    ended = cli("exec", "--plugin-dir", box, "plain", "true")
    assert (ended.status, ended.out) == (125, "")
    assert "plain" in ended.err


def test_plugin_that_dies_is_an_own_failure(cli: Cli, box: Path) -> None:
    ended = cli("exec", "--plugin-dir", box, "box", "sh", "-c", "kill -9 $PPID; sleep 60")
    assert (ended.status, ended.out) == (125, "")
    assert ended.err.startswith("plugin-host: ")
    assert "plugin `box` died" in ended.err
    assert "SIGKILL" in ended.err


def test_broken_configuration_is_an_own_failure(cli: Cli, box: Path) -> None:
    cli.config.write_text("nope = 1\n")
    ended = cli("exec", "--plugin-dir", box, "box", "true")
    assert (ended.status, ended.out) == (125, "")
    assert "unknown key" in ended.err


@pytest.mark.parametrize(("options", "out"), [([], ""), (["-t"], "in a moment\r\n")])
def test_refusal_of_a_handler_is_shown_with_its_advice(
    cli: Cli, box: Path, options: list[str], out: str
) -> None:
    ended = cli("exec", *options, "--plugin-dir", box, "many/closed")
    assert (ended.status, ended.out) == (125, out)
    assert ended.err == (
        "plugin-host: No access: ask\n  nicely\n  hint: Ask the owner.\n  try: ask --nicely\n"
    )


def test_own_failures_are_json_for_programs(cli: Cli, box: Path) -> None:
    words = ("--json", "--plugin-dir", box)
    error = cli("exec", *words, "box", "no-such-program").error
    assert (error["type"], error["exit_code"]) == ("TerminalError", 127)
    assert cli("exec", *words, "bo", "true").error["near"] == ["box"]
    ended = cli("exec", *words, "box", "echo", "hi")
    assert (ended.out, ended.err) == ("hi\n", "")


# Usage.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing argument 'PLUGIN[/RESOURCE]'"),
        (["-d", "box", "true"], "-d needs a host that goes on running"),
        (["box", "--detach", "true"], "-d needs a host that goes on running"),
        (["box/", "true"], "box/: expected PLUGIN or PLUGIN/RESOURCE"),
        (["-e", "=1", "box"], "-e =…: expected NAME=VALUE or NAME"),
        (["-e"], "Option '-e' requires an argument"),
        (["box", "-l"], "No such option '-l'. If it is for COMMAND: what is its own stands behind --"),
        (["box", "--", "echo", "a\udcff"], "COMMAND: expected UTF-8 text"),
        (["box/a\udcff"], "Invalid value for 'PLUGIN[/RESOURCE]': expected UTF-8 text"),
        (["box", "-w", "a\udcff"], "-w: expected UTF-8 text"),
        (["--plugin-dir", "/nope", "box"], "Invalid value for '--plugin-dir': Directory '/nope' does"),
    ],
)
def test_wrong_usage_is_an_own_failure_and_starts_nothing(cli: Cli, words: list[str], said: str) -> None:
    ended = cli("exec", *words)
    assert (ended.status, ended.out) == (125, "")
    assert ended.err.startswith(f"plugin-host: {said}")
    assert ended.err.endswith("Try 'plugin-host exec --help' for help.\n")


def test_wrong_usage_is_json_for_programs(cli: Cli) -> None:
    error = cli("exec", "--json", "-d", "box").error
    assert (error["type"], error["exit_code"]) == ("UsageError", 125)


# Listening in.


def test_log_is_shown_on_demand(cli: Cli, box: Path) -> None:
    ended = cli("exec", "-v", "--plugin-dir", box, "box", "echo", "hi")
    assert (ended.status, ended.out) == (0, "hi\n")
    assert "plugin box: starting -> ready" in ended.err
    assert "plugin box: stopping -> stopped" in ended.err
