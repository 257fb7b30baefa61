"""`plugin-host call`: parameters in, results out, and every way in which a call can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.host.cli_plugin import plugins
from tests.host.cli_run import Cli, cli
from tests.source import ROOT
from tests.stage import write_plugin

__all__ = ["cli", "plugins"]

REAL = ROOT / "plugins"


# Results.


def test_system_plugin_tells_the_disk_usage(cli: Cli) -> None:
    ended = cli("call", "system", "disk_usage", "path=/", "--plugin-dir", REAL)
    assert (ended.status, ended.err) == (0, "")
    assert ended.json["path"] == "/"
    assert ended.out == json.dumps(ended.json, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.edges
def test_neovim_multiplies(cli: Cli) -> None:
    ended = cli("call", "neovim", "nvim_eval", '["6*7"]', "--plugin-dir", REAL)
    assert (ended.status, ended.out, ended.err) == (0, "42\n", "")


@pytest.mark.edges
def test_extension_types_of_neovim_survive_json_and_can_be_sent_back(cli: Cli) -> None:
    where = ("--plugin-dir", REAL, "--json")
    buffer = cli("call", "neovim", "nvim_get_current_buf", *where).out
    assert json.loads(buffer) == {"$ext": [0, "AQ=="]}
    ended = cli("call", "neovim", "nvim_buf_line_count", f"[{buffer}]", *where)
    assert (ended.status, ended.out) == (0, "1\n")


@pytest.mark.edges
def test_error_of_neovim_is_shown_as_text_and_kept_whole_for_programs(cli: Cli) -> None:
    words = ("call", "neovim", "nvim_eval", '["foo("]', "--plugin-dir", REAL)
    ended = cli(*words)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("plugin-host: neovim nvim_eval: Vim:E116: ")
    error = cli(*words, "--json").error
    assert error["data"][0] == 0
    assert error["data"][1].startswith("Vim:E116: ")


@pytest.mark.parametrize(
    ("parameter", "plain", "as_json"),
    [
        ("value=some text", "some text\n", '"some text"\n'),
        ("value:=NaN", "NaN\n", '{"$float": "NaN"}\n'),
        ('value:=["é",{}]', '[\n  "é",\n  {}\n]\n', '["é", {}]\n'),
    ],
)
def test_scalars_are_plain_structures_indented_and_json_exact(
    cli: Cli, plugins: Path, parameter: str, plain: str, as_json: str
) -> None:
    words = ("call", "odd", "echo", parameter, "--plugin-dir", plugins)
    assert cli(*words).out == plain
    assert cli(*words, "--json").out == as_json


@pytest.mark.edges
def test_maps_with_other_keys_than_text_survive_json(cli: Cli, plugins: Path) -> None:
    ended = cli("call", "odd", "weird", "--json", "--plugin-dir", plugins)
    pairs = [[1, {"$bytes": "/w=="}], ["nan", {"$float": "NaN"}], ["big", 2**64 - 1]]
    assert ended.json == {"$map": pairs}


@pytest.mark.edges
def test_result_as_deep_as_the_wire_allows_is_printed(cli: Cli, plugins: Path) -> None:
    ended = cli("call", "odd", "deep", "levels=490", "--plugin-dir", plugins)
    assert ended.status == 0
    assert ended.out.count("[") == 490


@pytest.mark.edges
def test_stdout_that_takes_no_unicode_gets_ascii(cli: Cli, plugins: Path) -> None:
    words = ("call", "odd", "echo", "value=é", "--plugin-dir", plugins)
    narrow = {"PYTHONIOENCODING": "ascii"}
    assert cli(*words, "--json", env=narrow).out == '"\\u00e9"\n'
    assert cli(*words, env=narrow).out == "\\xe9\n"


# Parameters.


def test_text_is_converted_to_the_type_the_handler_declares(cli: Cli, plugins: Path) -> None:
    given = ("n=5", "share=2", "flag=true", "name=7")
    ended = cli("call", "odd", "typed", *given, "--json", "--plugin-dir", plugins)
    assert ended.json == {"n": 5, "share": 2.0, "flag": True, "items": [], "name": "7"}


@pytest.mark.edges
def test_text_and_json_parameters_can_be_mixed(cli: Cli, plugins: Path) -> None:
    ended = cli("call", "odd", "typed", "n=5", "items:=[1, 2]", "--json", "--plugin-dir", plugins)
    assert (ended.json["n"], ended.json["items"]) == (5, [1, 2])


@pytest.mark.edges
def test_json_parameters_are_not_converted(cli: Cli, plugins: Path) -> None:
    ended = cli("call", "odd", "typed", 'n:="5"', "--plugin-dir", plugins)
    assert ended.status == 1
    assert "parameter n: Expected `int`, got `str`" in ended.err


@pytest.mark.edges
def test_handler_without_types_gets_the_text(cli: Cli, plugins: Path) -> None:
    ended = cli("call", "odd", "echo", "value=5=6", "--json", "--plugin-dir", plugins)
    assert ended.out == '"5=6"\n'


def test_parameters_come_from_an_argument_a_file_or_stdin(cli: Cli, plugins: Path, tmp_path: Path) -> None:
    text = '{"value": {"a": 1}}'
    file = tmp_path / "parameters.json"
    file.write_text(text)
    for word, stdin in ((text, ""), (f"@{file}", ""), ("-", text), ("-", "\ufeff" + text)):
        ended = cli("call", "odd", "echo", word, "--json", "--plugin-dir", plugins, stdin=stdin)
        assert (ended.status, ended.json) == (0, {"a": 1})


def test_file_without_an_end_is_wrong_usage(cli: Cli, plugins: Path) -> None:
    ended = cli("call", "odd", "echo", "@/dev/zero", "--plugin-dir", plugins)
    assert (ended.status, ended.out) == (2, "")
    assert "@/dev/zero: expected at most 128 MiB, which is more than a call takes" in ended.err


@pytest.mark.edges
def test_raw_peer_takes_positions_and_nothing_else(cli: Cli, plugins: Path) -> None:
    where = ("--json", "--plugin-dir", plugins)
    assert cli("call", "raw", "echo", '["a", 1]', *where).json == ["a", 1]
    assert cli("call", "raw", "echo", *where).json == []
    for word in ("a=1", '{"a": 1}'):
        error = cli("call", "raw", "echo", word, *where).error
        assert error["exit_code"] == 2
        assert error["message"].startswith("plugin `raw` speaks plain msgpack-RPC and takes no named")


@pytest.mark.edges
def test_plugin_with_names_takes_no_list(cli: Cli, plugins: Path) -> None:
    ended = cli("call", "odd", "echo", "[1]", "--plugin-dir", plugins)
    assert ended.status == 2
    assert "takes named parameters: pass key=value or a JSON map, not a list" in ended.err


# Saying no.


def test_status_of_the_plugins_own_is_said(cli: Cli, plugins: Path) -> None:
    words = ("call", "odd", "own", "--plugin-dir", plugins)
    ended = cli(*words)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == "plugin-host: odd own: not today (status 7)\n"
    error = cli(*words, "--json").error
    assert (error["type"], error["code"], error["data"]) == ("CallFailed", 7, {"why": "monday"})


@pytest.mark.edges
def test_traceback_of_the_plugin_is_shown_on_demand_only(cli: Cli, plugins: Path) -> None:
    words = ("call", "odd", "boom", "--plugin-dir", plugins)
    ended = cli(*words)
    assert ended.status == 1
    assert ended.err == ("plugin-host: odd boom raised ValueError: went \\x1b[31mwrong\n")
    verbose = cli(*words, "-v").err
    assert "Traceback (most recent call last):" in verbose
    assert "odd_plugin.py" in verbose
    assert "\x1b" not in verbose


def test_unknown_command_names_those_there_are(cli: Cli, plugins: Path) -> None:
    ended = cli("call", "odd", "ech", "--plugin-dir", plugins)
    assert ended.status == 1
    assert "no command 'ech'; did you mean 'echo'" in ended.err


@pytest.mark.edges
def test_call_without_a_command_names_those_there_are(cli: Cli, plugins: Path) -> None:
    ended = cli("call", "odd", "--plugin-dir", plugins)
    assert ended.status == 2
    assert "name a command of `odd`: boom, deep, die, echo, own, say, typed, wait, weird" in ended.err
    assert "name a method of `raw`" in cli("call", "raw", "--plugin-dir", plugins).err


@pytest.mark.edges
def test_value_that_cannot_travel_is_refused(cli: Cli, plugins: Path) -> None:
    ended = cli("call", "odd", "echo", f"value:={2**64}", "--plugin-dir", plugins)
    assert ended.status == 1
    assert "does not fit into 64" in ended.err


# Not there, not ready.


@pytest.mark.edges
def test_unknown_plugin_names_the_near_the_found_and_the_broken(cli: Cli, plugins: Path) -> None:
    (plugins / "half").mkdir()
    (plugins / "half" / "plugin_manifest.json").write_text("{")
    ended = cli("call", "od", "echo", "--plugin-dir", plugins)
    assert (ended.status, ended.out) == (3, "")
    assert (
        "no plugin `od` was found (did you mean `odd`?)\n  found: odd, raw\n  broken: half: " in ended.err
    )
    assert cli("call", "od", "echo", "--json", "--plugin-dir", plugins).error["near"] == ["odd"]


@pytest.mark.edges
def test_without_plugin_folders_the_option_for_them_is_named(cli: Cli) -> None:
    ended = cli("call", "odd", "echo")
    assert ended.status == 3
    assert "found: none" in ended.err
    assert "hint: --plugin-dir DIR" in ended.err


@pytest.mark.edges
def test_broken_plugin_says_why(cli: Cli, plugins: Path) -> None:
    (plugins / "half").mkdir()
    (plugins / "half" / "plugin_manifest.json").write_text('{"id": 5}')
    ended = cli("call", "half", "echo", "--plugin-dir", plugins)
    assert ended.status == 3
    assert "half/plugin_manifest.json: $.id: expected an id" in ended.err


@pytest.mark.edges
@pytest.mark.parametrize(
    ("options", "reason"),
    [(["--no-plugin", "odd"], "blocked"), (["--only", "raw"], "left out by --only raw")],
)
def test_plugin_that_was_left_out_is_not_started(
    cli: Cli, plugins: Path, options: list[str], reason: str
) -> None:
    ended = cli("call", "odd", "echo", "--plugin-dir", plugins, *options)
    assert ended.status == 3
    assert ended.err == f"plugin-host: plugin `odd` may not be started: {reason}\n"


@pytest.mark.edges
def test_plugin_that_does_not_start_tells_its_story(cli: Cli, plugins: Path) -> None:
    write_plugin(plugins, "absent", head="import no_such_module")
    words = ("call", "absent", "echo", "--plugin-dir", plugins)
    ended = cli(*words)
    assert (ended.status, ended.out) == (3, "")
    assert ended.err.startswith("plugin-host: plugin `absent` exited with status 1 before it was ready")
    assert "ModuleNotFoundError: No module named 'no_such_module'" in ended.err
    error = cli(*words, "--json").error
    assert (error["type"], error["plugin"], error["exit_code"]) == ("PluginExited", "absent", 3)
    assert "no_such_module" in error["hint"]


def test_death_in_the_call_has_a_status_of_its_own(cli: Cli, plugins: Path) -> None:
    words = ("call", "odd", "die", "--plugin-dir", plugins)
    ended = cli(*words)
    assert (ended.status, ended.out) == (4, "")
    assert "plugin `odd` died while the call was in flight: exited with status 3" in ended.err
    assert "about to die" in ended.err
    error = cli(*words, "--json").error
    assert (error["retryable"], error["stderr"][-1]) == (True, "about to die")


@pytest.mark.edges
def test_only_the_plugin_that_is_called_is_started(cli: Cli, plugins: Path, tmp_path: Path) -> None:
    mark = tmp_path / "started"
    write_plugin(plugins, "other", head=f"open({str(mark)!r}, 'w')")
    assert cli("call", "odd", "echo", "value=1", "--plugin-dir", plugins).status == 0
    assert not mark.exists()


@pytest.mark.edges
def test_configuration_that_cannot_be_used_is_wrong_usage(cli: Cli, plugins: Path) -> None:
    cli.config.write_text("plugin_dirz = []\n")
    ended = cli("call", "odd", "echo", "--plugin-dir", plugins)
    assert ended.status == 2
    assert "plugin-host.toml: $.plugin_dirz: unknown key (did you mean `plugin_dirs`?)" in ended.err


# Listening in.


@pytest.mark.edges
def test_nothing_is_said_unless_asked_for(cli: Cli, plugins: Path) -> None:
    ended = cli("call", "odd", "say", "--plugin-dir", plugins)
    assert (ended.status, ended.out, ended.err) == (0, "null\n", "")


@pytest.mark.edges
def test_log_of_host_and_plugin_is_shown_on_demand(cli: Cli, plugins: Path) -> None:
    ended = cli("call", "odd", "say", "-v", "--plugin-dir", plugins)
    assert ended.out == "null\n"
    assert "plugin odd: starting -> ready" in ended.err
    assert 'warning  odd  odd.say: watch out {"n": 1}' in ended.err
    assert "info     odd  library: a library\n    speaks" in ended.err
    assert "detail" not in ended.err
    assert "library: another detail" in cli("call", "odd", "say", "-vv", "--plugin-dir", plugins).err
