"""The runner plugin without a process around it: its settings, and what they make of a task."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import plugin_host_runner
from plugin_host_runner import setting
from plugin_host_sdk import CallFailed
from plugin_host_sdk.errors import OutsideRoots
from plugin_host_sdk.testing import TaskHost
from tests.otheruser import NOBODY, needs_root

MANIFEST = json.loads(
    (Path(__file__).resolve().parents[2] / "plugins" / "runner" / "plugin_manifest.json").read_text()
)

Serve = Callable[..., TaskHost]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves the plugin with these settings, until the test ends."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(TaskHost(plugin_host_runner.plugin, settings))


GOOD: list[dict[str, Any]] = [
    {},
    {"entrypoint": []},
    {"entrypoint": ["nice", "-n", "5"], "env": {"CI": "1"}, "shell": ["bash", "--norc"], "at_once": 2},
    {"shell": "bash", "user": "nobody", "workdir": "~", "roots": ["/srv", "/tmp"]},
    {"user": 0, "workdir": "/srv", "roots": []},
]
BAD: list[dict[str, Any]] = [
    {"entrypoint": "nice"},
    {"entrypoint": [1]},
    {"env": {"CI": 1}},
    {"env": ["CI"]},
    {"shell": []},
    {"shell": ""},
    {"user": True},
    {"user": 1.5},
    {"workdir": "srv"},
    {"workdir": 3},
    {"roots": "/srv"},
    {"roots": ["srv"]},
    {"at_once": 0},
    {"at_once": "2"},
    {"colour": "red"},
]


@pytest.mark.parametrize("settings", GOOD, ids=str)
def test_settings_that_the_schema_takes_can_be_used(settings: dict[str, Any]) -> None:
    jsonschema.validate(settings, MANIFEST["settings_schema"])
    setting.read(settings)


@pytest.mark.parametrize("settings", BAD, ids=str)
def test_settings_that_cannot_be_meant_are_refused_by_both(settings: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(settings, MANIFEST["settings_schema"])
    with pytest.raises(CallFailed, match="the runner plugin is set up wrongly") as caught:
        setting.read(settings)
    assert next(iter(settings)) in str(caught.value)


def test_refusal_of_variables_shows_none_of_them() -> None:
    with pytest.raises(CallFailed) as caught:
        setting.read({"env": {"TOKEN": 1, "OTHER": "secret"}})
    assert "secret" not in str(caught.value)


def test_plugin_and_manifest_agree() -> None:
    assert (plugin_host_runner.plugin.id, plugin_host_runner.plugin.version) == (
        MANIFEST["id"],
        MANIFEST["version"],
    )
    assert sorted(plugin_host_runner.plugin.capabilities) == MANIFEST["capabilities"]
    assert sorted(MANIFEST["settings_schema"]["properties"]) == sorted(setting._NAMES)


def test_entrypoint_stands_before_the_command(serve: Serve) -> None:
    host = serve(entrypoint=["sh", "-c", 'echo "$0:$@"', "entry"])
    task = host.give(["one", "two words"])
    assert task.wait().success
    assert task.log == b"entry:one two words\n"
    assert host.give().wait().success


def test_nothing_to_run_is_said(serve: Serve) -> None:
    outcome = serve().give().wait()
    assert not outcome.success
    assert outcome.reason.startswith("there is nothing to run")


def test_environment_of_tasks_and_of_shells(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Process < configuration < task; shells: process < configuration only."""
    for name in ("ONLY", "OVER", "TASK"):
        monkeypatch.setenv(name, "process")
    host = serve(env={"OVER": "configuration", "TASK": "configuration"})
    show = ("sh", "-c", "echo $ONLY $OVER $TASK")
    task = host.give(show, env={"TASK": "task"})
    task.wait()
    assert task.log == b"process configuration task\n"
    assert task.shell(show)[0] == b"process configuration configuration\n"


@pytest.mark.parametrize("is_set", [False, True])
def test_folder_of_tasks_and_of_shells(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_set: bool
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    host, folder = (serve(workdir="/usr"), "/usr") if is_set else (serve(), str(tmp_path))
    task = host.give(["pwd"])
    task.wait()
    assert task.log.decode() == task.shell(("pwd",))[0].decode() == f"{folder}\n"
    task = host.give(["pwd"], cwd="/dev")
    task.wait()
    assert task.log == b"/dev\n"
    assert task.shell(("pwd",))[0].decode() == f"{folder}\n"


def test_shell_is_the_one_that_is_set(serve: Serve) -> None:
    host = serve(shell=["sh", "-c", 'read line; echo "<$line>"'])
    task = host.give(["true"])
    task.wait()
    assert task.shell(data=b"hello\n")[0] == b"<hello>\n"


def test_only_what_is_below_the_roots_is_served(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report").write_text("fine")
    (tmp_path / "out" / "leak").symlink_to("/etc/passwd")
    host = serve(roots=[str(tmp_path / "out")])
    task = host.give(["true"])
    task.wait()
    assert task.get_artifact(f"{tmp_path}/out/report") == b"fine"
    assert len(task.list_folder(f"{tmp_path}/out", recursive=True)) == 2
    for path in ("/etc/passwd", f"{tmp_path}/out/../secret", f"{tmp_path}/out/leak"):
        with pytest.raises(OutsideRoots):
            task.get_artifact(path)
    for path in ("/etc", f"{tmp_path}", f"{tmp_path}/out/.."):
        with pytest.raises(OutsideRoots):
            task.list_folder(path)


def test_so_many_tasks_run_side_by_side_as_is_set(serve: Serve) -> None:
    host = serve(at_once=2)
    one, two = host.give(["sleep", "60"]), host.give(["sleep", "60"])
    one.wait_for_start()
    two.wait_for_start()
    for task in (one, two):
        task.kill()
        assert task.wait().signal == "SIGTERM"


@needs_root
@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("user", ["nobody", NOBODY.pw_uid])
def test_tasks_and_shells_run_as_the_user_that_is_set(serve: Serve, user: str | int, tty: bool) -> None:
    host = serve(user=user)
    show = ("sh", "-c", "id -un; id -Gn; pwd; echo $HOME $USER")
    task = host.give(show, tty=tty)
    assert task.wait().success
    folder = NOBODY.pw_dir if os.path.isdir(NOBODY.pw_dir) else "/"
    lines = ["nobody", "nogroup", folder, f"{NOBODY.pw_dir} nobody"]
    assert task.log.decode().split("\n")[:4] == [f"{line}\r" if tty else line for line in lines]
    assert task.shell(show)[0].decode().splitlines() == lines


@needs_root
def test_task_of_another_user_is_killed_like_any_other(serve: Serve) -> None:
    task = serve(user="nobody").give(["sh", "-c", "trap '' TERM; sleep 60 & echo up; wait; wait"])
    task.wait_for_log(b"up\n")
    assert task.kill(0.1) == "killed"
    assert task.wait().signal == "SIGKILL"


def test_without_privileges_another_user_is_refused_in_words(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY.pw_uid)
    host = serve(user="root")
    task = host.give(["id"])
    outcome = task.wait()
    assert (outcome.success, outcome.code) == (False, 126)
    assert outcome.reason.startswith("the plugin runs as 'nobody' and may not run programs as 'root'")
    assert outcome.reason.endswith("run the plugin as root, or as 'root' itself")
    with pytest.raises(Exception, match="may not run programs as 'root'"):
        task.shell(("id",))


def test_user_that_is_not_there_is_named(serve: Serve) -> None:
    outcome = serve(user="no-such-user").give(["id"]).wait()
    assert outcome.reason == "there is no user 'no-such-user' on this machine: name one of its accounts"
    assert "no-such-user" not in [entry.pw_name for entry in pwd.getpwall()]
