"""`task`: work for the runner of the running host, or for one that is started for it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.cli_hosted import Hosted, serve
from tests.host.cli_run import COMMAND, Cli, cli
from tests.host.test_cli_terminal import Screen
from tests.source import ROOT
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

__all__ = ["cli"]

RUNNER = ROOT / "plugins" / "runner"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, sockets: str) -> Iterator[Hosted]:
    folder = tmp_path_factory.mktemp("task")
    yield from serve(Cli(folder), folder, f"{sockets}/task/control.sock", "--plugin-dir", RUNNER)


@pytest.fixture
def there(cli: Cli, host: Hosted) -> Cli:
    """The command line, for which that host runs."""
    cli.env["PLUGIN_HOST_SOCKET"] = host.socket
    return cli


def shell(script: str, *options: str | Path) -> tuple[str | Path, ...]:
    return ("task", "run", "runner", "--no-tty", *options, "--", "sh", "-c", script)


def detached(there: Cli, script: str) -> str:
    """A task that runs on; its id."""
    ended = there("task", "run", "runner", "-d", "--no-tty", "--", "sh", "-c", script)
    assert (ended.status, ended.err) == (0, "")
    return ended.out.strip()


def tasks(host: Hosted) -> list[str]:
    return [one["task"]["id"] for one in host._ask("task.list")["tasks"]]


def test_tasks_of_a_plugin_without_any_are_none_and_those_of_no_plugin_a_mistake(there: Cli) -> None:
    ended = there("task", "list", "runner", "--json")
    assert (ended.status, ended.err) == (0, "")
    ended = there("task", "list", "runer")
    assert (ended.status, ended.out) == (3, "")
    assert ended.err.startswith("plugin-host: no plugin `runer` (did you mean `runner`?)")


def test_log_and_status_are_those_of_a_program_that_runs_here(
    host: Hosted, there: Cli, tmp_path: Path
) -> None:
    ended = there(*shell("echo $A $PWD; echo err >&2; exit 3", "-e", "A=a", "--cwd", tmp_path))
    assert (ended.status, ended.out, ended.err) == (3, f"a {tmp_path}\nerr\n", "")
    ended = there("task", "run", "runner", "--", "sh", "-c", "tty >/dev/null; echo $?; kill -KILL $$")
    assert (ended.status, ended.out, ended.err) == (128 + signal.SIGKILL, "0\r\n", "")
    assert tasks(host) == []


def test_timeout_and_what_cannot_run_have_statuses_of_their_own(host: Hosted, there: Cli) -> None:
    ended = there(*shell("exec sleep 60", "--timeout", "0.3"))
    assert (ended.status, "timeout of 0.3 s" in ended.err) == (124, True)
    ended = there("task", "run", "nobody", "true")
    assert (ended.status, "no plugin `nobody`" in ended.err) == (125, True)
    ended = there("task", "run", "desk", "true")
    assert (ended.status, "takes no tasks" in ended.err) == (125, True)
    ended = there("task", "run", "runner", "--", "/no/such/program")
    assert (ended.status, ended.out) == (127, "")
    assert ended.err.startswith("plugin-host: the task failed: there is no file '/no/such/program'")
    assert there("task", "run", "runner", "--timeout", "0").status == 125
    assert there("task", "run", "runner", "--artifact", "x", "true").status == 125
    ended = there("task", "run", "runner", "-d", "--artifact", "/a:b", "true")
    assert (ended.status, "--artifact waits" in ended.err) == (125, True)
    assert tasks(host) == []


def test_files_are_brought_when_it_has_ended(host: Hosted, there: Cli, tmp_path: Path) -> None:
    script = f"cd {tmp_path}; echo one >one; echo two >two; exit 4"
    wishes = [
        f"{tmp_path}/one:{tmp_path}/copy",
        f"{tmp_path}/two:{tmp_path}/sub/",
        f"{tmp_path}/no:{tmp_path}/x",
    ]
    (tmp_path / "sub").mkdir()
    (tmp_path / "copy").write_text("old")
    options = [word for wish in wishes for word in ("--artifact", wish)]
    ended = there(*shell(script, *options))
    assert ended.status == 4
    assert f"{tmp_path}/no" in ended.err
    assert (tmp_path / "copy").read_text() + (tmp_path / "sub" / "two").read_text() == "one\ntwo\n"
    ended = there(*shell("true", "--artifact", wishes[2], "--json"))
    assert (ended.status, ended.error["name"]) == (125, "metadata.artifact_not_found")
    ended = there(*shell("true", "--artifact", f"{tmp_path}/one:{tmp_path}/no/one"))
    assert (ended.status, "cannot write" in ended.err) == (125, True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["cli", "copy", "one", "sub", "two"]


def test_task_that_was_left_running_is_seen_and_ended_from_elsewhere(
    host: Hosted, there: Cli, tmp_path: Path, wait_until: WaitUntil
) -> None:
    id = detached(there, "echo up; exec sleep 60")
    with there.background("task", "log", id[:8], "-f") as log:
        wait_until(log.says("up\n"))
        row = there("task", "list").out.splitlines()[1].split()
        assert row[:2] == [id[:12], "runner"]
        (told,) = there("task", "list", "runner", "--json").json
        assert (told["id"], told["state"], told["keep"], told["owner"]) == (id, "running", True, None)
        assert there("task", "log", id).out == "up\n"
        assert there("task", "log", id, "--offset", "1").out == "p\n"
        assert there("task", "kill", id, "nope").status == 3
        assert log.end().status == 0
    assert "SIGTERM" in there("task", "list").out
    assert there("task", "kill", id, "--json").json == [{"task": id, "plugin": "runner", "state": "ended"}]
    assert there("task", "close", id).out == f"{id}\n"
    gone = there("task", "log", id, "--json")
    assert (gone.status, gone.error["type"], gone.error["task"]) == (3, "TaskNotFound", id)
    assert tasks(host) == []


def test_files_and_shells_of_a_task_can_be_had(host: Hosted, there: Cli, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x\n")
    id = detached(there, "exec sleep 60")
    entries = there("task", "ls", id, tmp_path, "-R", "--json").json
    assert [Path(one["path"]).name for one in entries][-2:] == ["d", "f"]
    assert there("task", "ls", id, tmp_path / "d").out.splitlines()[1].endswith("/d/f")
    brought = there("task", "artifact", id, tmp_path / "d" / "f", tmp_path / "copy", "--json").json
    assert (brought["size"], len(brought["sha256"])) == (2, 64)
    assert there("task", "artifact", id, tmp_path / "copy", "-").out == "x\n"
    assert there("task", "artifact", id, tmp_path / "no", "-").status == 1
    assert there("task", "shell", id, "--no-tty", "--", "cat", stdin="hi\n").out == "hi\n"
    ended = there("task", "shell", id, "-e", "A=a", "sh", "-c", "tty >/dev/null && echo $A; exit 5")
    assert (ended.status, ended.out) == (5, "a\r\n")
    assert host.sessions() == []
    assert there("task", "close", id).status == 0


def test_interrupt_kills_the_task_and_waits_for_its_end(
    host: Hosted, there: Cli, wait_until: WaitUntil
) -> None:
    polite = "trap 'echo bye; exit 7' TERM; echo up; while :; do :; done"
    with there.background(*shell(polite)) as running:
        wait_until(running.says("up"))
        running.send(signal.SIGINT)
        ended = running.end()
    assert (ended.status, ended.out) == (7, "up\nbye\n")
    stubborn = "trap '' TERM; echo up; exec sleep 60"
    with there.background(*shell(stubborn)) as running:
        wait_until(running.says("up"))
        running.send(signal.SIGTERM)
        running.send(signal.SIGINT)
        assert running.end().status == 128 + signal.SIGKILL
    assert tasks(host) == []


def test_death_of_the_command_kills_the_task(host: Hosted, there: Cli, wait_until: WaitUntil) -> None:
    with there.background(*shell("echo up; exec sleep 60")) as running:
        wait_until(running.says("up"))
        running.send(signal.SIGKILL)
        running.process.wait()
    wait_until(lambda: tasks(host) == [])


def test_bar_is_drawn_on_a_terminal_only_and_goes_away(there: Cli, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(3_000_000))
    wish = ("--artifact", f"{tmp_path}/big:{tmp_path}/copy")
    screen = Screen(there, *shell("echo hi", *wish))
    assert screen.end() == 0
    first, *drawn, last = screen.text.split("\r\x1b[K")
    assert (first, last) == ("hi\r\n", "")
    assert re.fullmatch(r" *\d+ %  \[#+\.*\]  [1-3]\.\d MB  big", drawn[0])
    assert (tmp_path / "copy").stat().st_size == 3_000_000
    ended = there("task", "artifact", detached(there, "true"), tmp_path / "big", tmp_path / "copy")
    assert (ended.status, ended.out, ended.err) == (0, "", "")


def test_shell_beside_a_task_has_the_users_terminal_and_can_be_left(host: Hosted, there: Cli) -> None:
    id = detached(there, "exec sleep 60")
    screen = Screen(
        there, "task", "shell", id, "--", "sh", "-c", "stty size; read line; echo got $line; exit 7"
    )
    screen.wait_for("24 80\r\n")
    screen.type("text\r")
    assert screen.end() == 7
    assert "got text" in screen.text
    screen = Screen(there, "task", "shell", id)
    screen.type("echo $((20 + 3))\r")
    screen.wait_for("23\r\n")
    screen.type("\x10\x11")
    assert screen.end() == 0
    (session,) = host.sessions()
    assert f"left session {session}" in screen.text
    assert there("task", "close", id).status == 0
    assert host.sessions() == []


def test_ids_are_completed(host: Hosted, there: Cli) -> None:
    id = detached(there, "exec sleep 60")
    words = {
        "_PLUGIN_HOST_COMPLETE": "bash_complete",
        "COMP_WORDS": "plugin-host task kill ",
        "COMP_CWORD": "3",
    }
    there.env.update(words)
    offered = there().out
    for name in words:
        del there.env[name]
    assert id in offered
    assert there("task", "close", id).status == 0


def test_plugin_is_started_for_a_task_where_no_host_runs(cli: Cli, tmp_path: Path) -> None:
    ended = cli(
        *shell(
            "echo hi >f; cat f; exit 3",
            "--cwd",
            tmp_path,
            "--artifact",
            f"{tmp_path}/f:{tmp_path}/g",
            "--plugin-dir",
            RUNNER,
        )
    )
    assert (ended.status, ended.out, ended.err) == (3, "hi\n", "")
    assert (tmp_path / "g").read_text() == "hi\n"
    ended = cli("task", "run", "runner", "-d", "--plugin-dir", RUNNER, "true", "--json")
    assert (ended.status, "-d needs a host" in ended.err) == (125, True)
    ended = cli("task", "list", "--json")
    assert (ended.status, json.loads(ended.err)["error"]["type"]) == (3, "HostUnreachable")


def test_task_that_nobody_could_be_told_of_is_closed(host: Hosted, there: Cli) -> None:
    before = tasks(host)
    command = [*COMMAND, "task", "run", "runner", "-d", "sleep", "60"]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=there.env, check=False)
    assert ended.returncode == 125
    assert b"cannot write to stdout: No space left on device" in ended.stderr
    assert tasks(host) == before


def test_who_gives_a_task_that_is_for_nobody_else_is_told_its_token(
    cli: Cli, tmp_path: Path, own_socket: str
) -> None:
    cli.config.write_text('entry_points = false\n[control]\nshare = "owner"\n')
    for host in serve(cli, tmp_path, own_socket, "--plugin-dir", RUNNER):
        given = host.cli("task", "run", "runner", "-d", "--no-tty", "echo", "hi")
        id = given.out.strip()
        found = re.search(
            rf"^  PLUGIN_HOST_TOKEN=(\S+) plugin-host task log -f {id}$", given.err, re.MULTILINE
        )
        assert found is not None, given.err
        env = {"PLUGIN_HOST_TOKEN": found[1]}
        assert host.cli("task", "log", "-f", id, env=env).out == "hi\n"
