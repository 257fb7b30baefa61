"""What of the host's environment a plugin gets, and the marks that nobody else can set."""

from __future__ import annotations

import pytest

from plugin_host.environment import (
    COOKIE_NAME,
    COOKIE_VALUE,
    RUN_MARK_NAME,
    build_environment,
    run_token,
    run_tokens,
)

TOKEN = "r1/demo/1"
MARKS = {COOKIE_NAME: COOKIE_VALUE, RUN_MARK_NAME: TOKEN}


def test_allowed_names_pass_and_others_do_not() -> None:
    outer = {
        "PATH": "/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "LC_ALL": "C",
        "TMPDIR": "/tmp",
        "XDG_RUNTIME_DIR": "/run",
        "AWS_SECRET": "x",
        "PYTHONPATH": "/x",
        "PATHS": "x",
        "LC": "x",
    }
    passed = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_RUNTIME_DIR"}
    expected = {name: outer[name] for name in passed} | MARKS
    assert build_environment(outer, token=TOKEN) == expected


def test_names_asked_for_pass_also_by_their_beginning() -> None:
    outer = {"KEY": "1", "KEYS": "2", "APP_A": "3", "APP_B": "4", "MISSING_NOT": "5"}
    environment = build_environment(outer, token=TOKEN, inherit=["KEY", "APP_*", "MISSING"])
    assert environment == {"KEY": "1", "APP_A": "3", "APP_B": "4"} | MARKS


def test_operator_wins_over_manifest_and_manifest_over_host() -> None:
    environment = build_environment(
        {"PATH": "host", "HOME": "host", "TERM": "host"},
        token=TOKEN,
        launch={"PATH": "manifest", "HOME": "manifest"},
        configured={"PATH": "operator"},
    )
    assert environment == {"PATH": "operator", "HOME": "manifest", "TERM": "host"} | MARKS


def test_a_setting_that_slows_every_start_is_never_inherited() -> None:
    outer = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    for inherit in (["PYTHONDONTWRITEBYTECODE", "PYTHONUTF8"], ["PYTHON*"]):
        environment = build_environment(outer, token=TOKEN, inherit=inherit)
        assert environment == {"PYTHONUTF8": "1"} | MARKS


def test_exported_shell_functions_are_not_inherited() -> None:
    outer = {"TERM": "() { :; }; echo pwned"}
    assert build_environment(outer, token=TOKEN) == MARKS


def test_marks_cannot_be_set_by_manifest_or_operator() -> None:
    fake = {RUN_MARK_NAME: "fake", COOKIE_NAME: "fake"}
    environment = build_environment({}, token=TOKEN, launch=fake, configured=fake)
    assert environment == MARKS


def test_a_host_inside_a_plugin_keeps_the_outer_marks() -> None:
    outer = {RUN_MARK_NAME: "r0/outer/1"}
    environment = build_environment(outer, token=TOKEN, inherit=[RUN_MARK_NAME])
    assert environment[RUN_MARK_NAME] == f"r0/outer/1 {TOKEN}"
    assert run_tokens(environment[RUN_MARK_NAME]) == ("r0/outer/1", TOKEN)


def test_arguments_are_left_as_they_were() -> None:
    outer, launch = {"PATH": "/bin"}, {"A": "1"}
    build_environment(outer, token=TOKEN, launch=launch)
    assert (outer, launch) == ({"PATH": "/bin"}, {"A": "1"})


def test_token_is_made_of_run_plugin_and_number() -> None:
    assert run_token("r1", "demo", 3) == "r1/demo/3"
    assert run_tokens(None) == run_tokens("") == ()


@pytest.mark.parametrize(("run_id", "plugin"), [("a b", "demo"), ("r", "a/b"), ("", "demo"), ("r", "x\0")])
def test_token_that_could_not_be_found_again_is_refused(run_id: str, plugin: str) -> None:
    with pytest.raises(ValueError, match="run token"):
        run_token(run_id, plugin, 1)


def test_what_is_replaced_stands_in_for_the_hosts_and_gives_way_to_what_was_asked_for() -> None:
    environment = build_environment(
        {"HOME": "/root", "USER": "root", "TMPDIR": "/root/tmp", "TERM": "xterm"},
        token=TOKEN,
        launch={"USER": "manifest"},
        configured={"CACHE": "operator"},
        replaced={"HOME": "/home/other", "USER": "other", "TMPDIR": None, "SHELL": "/bin/sh", "GONE": None},
        fixed={"CACHE": "host"},
    )
    expected = {"HOME": "/home/other", "USER": "manifest", "TERM": "xterm", "SHELL": "/bin/sh"}
    assert environment == expected | {"CACHE": "host"} | MARKS
