"""Commands that use the host that runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.host.cli_exec import Seat
from tests.host.cli_hosted import Hosted, alone, hosted, serve
from tests.host.cli_run import COMMAND, Cli, cli
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

__all__ = ["alone", "cli", "hosted"]


# Whose host.


def test_call_uses_the_host_that_runs_unless_one_of_its_own_is_described(hosted: Hosted) -> None:
    running = hosted.pid_of("desk")
    assert hosted.cli("call", "desk", "pid").json == running
    assert hosted.cli("call", "desk", "pid", "--socket", hosted.socket).json == running
    assert hosted.cli("call", "desk", "pid", "--plugin-dir", hosted.plugins).json != running
    ended = hosted.cli("call", "desk", "pid", "--config", hosted.cli.config)
    assert (ended.status, "no plugin `desk`" in ended.err) == (3, True)


def test_nobody_at_the_socket_is_an_error_only_where_it_was_named(cli: Cli, tmp_path: Path) -> None:
    stale = tmp_path / "gone.sock"
    for words in (["call", "desk", "pid"], ["status"], ["exec", "desk"], ["attach", "x"]):
        ended = cli(*words, "--socket", stale)
        assert ended.status == (125 if words[0] in ("exec", "attach") else 3)
        assert ended.err.startswith(f"plugin-host: {stale}: no host listens there: start one with ")
    assert "no plugin `desk` was found" in cli("call", "desk", "pid").err
    error = cli("sessions", "--json").error
    assert (error["type"], error["socket"]) == ("HostUnreachable", cli.env["PLUGIN_HOST_SOCKET"])


def test_socket_of_the_configuration_is_the_hosts(hosted: Hosted, cli: Cli) -> None:
    cli.config.write_text(f'entry_points = false\n[control]\nsocket = "{hosted.socket}"\n')
    del cli.env["PLUGIN_HOST_SOCKET"]
    assert cli("call", "desk", "pid").json == hosted.pid_of("desk")


def test_token_that_is_none_is_wrong_usage(hosted: Hosted) -> None:
    ended = hosted.cli("status", env={"PLUGIN_HOST_TOKEN": "a b"})
    assert (ended.status, "PLUGIN_HOST_TOKEN: expected 16 to 128" in ended.err) == (2, True)


# Calls.


def test_calls_are_as_with_a_host_of_their_own(hosted: Hosted) -> None:
    call = ("call", "desk")
    assert hosted.cli(*call, "double", "number=21").json == 42
    assert hosted.cli(*call, "double", "number:=21", "--json").out == "42\n"
    wrong = hosted.cli(*call, "double", "number=x")
    assert (wrong.status, "number" in wrong.err) == (1, True)
    assert hosted.cli(*call, "wait", "--timeout", "0.3").status == 124
    ended = hosted.cli(*call)
    assert (ended.status, "name a command of `desk`: double, pid, settings, wait" in ended.err) == (2, True)
    ended = hosted.cli(*call, "pid", "[1]")
    assert (ended.status, "takes named parameters" in ended.err) == (2, True)


def test_plugin_that_the_host_does_not_have_is_not_found(hosted: Hosted) -> None:
    ended = hosted.cli("call", "dsk", "pid")
    assert ended.status == 3
    assert "no plugin `dsk` (did you mean `desk`?)" in ended.err
    assert f"asked: the host that runs at {hosted.socket} (pid {hosted.process.process.pid})" in ended.err
    assert hosted.cli("exec", "dsk", "true").status == 125
    assert hosted.cli("sessions", "dsk").status == 3


def test_host_that_dies_in_the_call_is_told(alone: Hosted, wait_until: WaitUntil) -> None:
    with alone.cli.background("call", "desk", "wait") as call:
        wait_until(lambda: "plugin-host call" in alone.cli("status", "--json").out)
        alone.process.send(signal.SIGKILL)
        ended = call.end()
    assert (ended.status, ended.out) == (4, "")
    assert ended.err.startswith(f"plugin-host: the connection to the host at {alone.socket} ended")


# What the host does.


def test_status_shows_the_host_and_its_plugins(hosted: Hosted) -> None:
    ended = hosted.cli("status")
    assert (ended.status, ended.err) == (0, "")
    first, second, _, titles, *rows = ended.out.splitlines()
    assert f"pid {hosted.process.process.pid}, up " in first
    assert second == hosted.socket
    assert titles.split() == ["PLUGIN", "VERSION", "STATE", "PID", "RESTARTS", "COMMANDS"]
    assert [row.split()[0] for row in rows] == ["desk", "idler"]
    status = hosted.cli("status", "--json").json
    assert status["host"]["pid"] == hosted.process.process.pid
    assert [one["id"] for one in status["plugins"]] == ["desk", "idler"]


def test_plugins_are_started_stopped_and_restarted(alone: Hosted) -> None:
    cli, before = alone.cli, alone.pid_of("desk")
    assert cli("restart", "desk").out == f"desk  ready (pid {alone.pid_of('desk')})\n"
    assert alone.pid_of("desk") != before
    (stopped,) = cli("stop", "desk", "--json").json
    assert (stopped["id"], stopped["state"]) == ("desk", "stopped")
    ended = cli("call", "desk", "pid")
    assert (ended.status, ended.out) == (3, "")
    ended = cli("start", "nope", "desk")
    assert (ended.status, ended.out) == (3, f"desk  ready (pid {alone.pid_of('desk')})\n")
    assert "no plugin `nope`" in ended.err
    (reloaded,) = cli("reload", "desk", "--json").json
    assert reloaded["state"] == "ready"
    assert "double" in cli("call", "idler").err  # which starts a lazy one
    assert cli("call", "idler", "pid").json == alone.pid_of("idler")


def test_settings_are_changed_in_the_running_plugin(hosted: Hosted) -> None:
    pid = hosted.pid_of("desk")
    assert hosted.cli("reconfigure", "desk", "a:=1", "b=2").out == f"desk  ready (pid {pid})\n"
    assert hosted.cli("call", "desk", "settings").json == {"a": 1, "b": "2"}
    assert hosted.cli("reconfigure", "desk", "{}", "--json").json["id"] == "desk"
    assert hosted.cli("reconfigure", "desk", "[1]").status == 2
    assert hosted.cli("reconfigure", "nope", "a=1").status == 3


# Sessions.


def test_exec_runs_on_the_host_and_leaves_nothing_there(hosted: Hosted) -> None:
    ended = hosted.cli(
        "exec", "-i", "desk", "sh", "-c", "cat; echo $PPID; echo err >&2; exit 3", stdin="in\n"
    )
    assert (ended.status, ended.err) == (3, "err\n")
    assert ended.out == f"in\n{hosted.pid_of('desk')}\n"
    assert hosted.cli("exec", "desk", "no-such-program").status == 127
    assert hosted.cli("exec", "desk/nope").status == 125
    assert hosted.sessions() == []


def test_detached_session_is_found_attached_and_outlives_its_clients(hosted: Hosted) -> None:
    script = "echo begun; read x; echo got $x; exit 5"
    ended = hosted.cli("exec", "-d", "-i", "desk", "sh", "-c", script)
    id = ended.out.strip()
    assert (ended.status, ended.err, hosted.sessions()) == (0, "", [id])
    row = hosted.cli("sessions", "desk").out.splitlines()[1].split()
    assert row[:6] == [id[:12], "desk", "desk/local", "sh", "-c", "echo"]
    ended = hosted.cli("attach", f"desk/{id[:6]}", stdin="text\n")
    assert (ended.status, ended.out, ended.err) == (5, "begun\ngot text\n", "")
    assert "ended: 5" in hosted.cli("sessions").out
    ended = hosted.cli("attach", id, "--read-only", "--offset", "6")
    assert (ended.status, ended.out) == (5, "got text\n")
    assert hosted.cli("attach", id, "--no-replay").out == ""
    assert hosted.cli("close", id[:8]).out == f"{id}\n"
    assert hosted.sessions() == []
    ended = hosted.cli("attach", id)
    assert (ended.status, f"no session `{id}`" in ended.err) == (125, True)


def test_detached_session_without_input_is_at_its_end(hosted: Hosted) -> None:
    told = hosted.cli("exec", "-d", "--json", "desk", "cat").json
    assert sorted(told) == ["plugin", "session", "token"]
    assert hosted.cli("attach", told["session"]).status == 0
    assert hosted.cli("close", told["session"], "--json").json == [
        {"plugin": "desk", "session": told["session"]}
    ]


def test_signals_reach_what_runs_in_a_session(hosted: Hosted) -> None:
    id = hosted.cli("exec", "-d", "desk", "sleep", "60").out.strip()
    assert hosted.cli("kill", id, "nope", "-s", "int").status == 3
    assert hosted.cli("attach", id).status == 128 + signal.SIGINT
    assert hosted.cli("kill", id, "-s", "nope").status == 2
    assert hosted.cli("close", id, "nope").status == 3


def test_what_went_wrong_with_one_of_several_names_it(hosted: Hosted) -> None:
    ids = [hosted.cli("exec", "-d", "desk", "true").out.strip() for _ in range(2)]
    for id in ids:
        assert hosted.cli("attach", id).status == 0
    failed = hosted.cli("kill", *ids, "nope")
    assert (failed.status, failed.out) == (1, "")
    first, second, third = failed.err.splitlines()[:3]
    assert [first, second] == [f"plugin-host: {id}: it has ended: exited with status 0" for id in ids]
    assert third.startswith("plugin-host: no session `nope`")
    assert hosted.cli("kill", ids[0]).err == "plugin-host: it has ended: exited with status 0\n"
    told = hosted.cli("kill", *ids, "--json")
    assert (told.status, told.json) == (1, [])
    assert [json.loads(line)["error"]["session"] for line in told.err.splitlines()] == ids
    for id in ids:
        hosted.close(id)


@pytest.mark.parametrize("keep", [False, True])
def test_client_that_is_killed_takes_its_session_along_unless_it_is_kept(
    hosted: Hosted, wait_until: WaitUntil, keep: bool
) -> None:
    words = ["--keep"] if keep else []
    with hosted.cli.background("exec", *words, "desk", "sh", "-c", "echo up; exec sleep 60") as client:
        wait_until(client.says("up"))
        (id,) = hosted.sessions()
        client.send(signal.SIGKILL)
        client.process.wait()
    if keep:
        hosted.close(id)
    wait_until(lambda: hosted.sessions() == [])


def test_attached_client_that_is_told_to_end_leaves_the_session(
    hosted: Hosted, wait_until: WaitUntil
) -> None:
    id = hosted.cli("exec", "-d", "desk", "sh", "-c", "echo up; exec sleep 60").out.strip()
    with hosted.cli.background("attach", id) as client:
        wait_until(client.says("up"))
        client.send(signal.SIGTERM)
        assert client.end().status == 128 + signal.SIGTERM
    assert hosted.sessions() == [id]
    os.kill(hosted.cli("sessions", "--json").json[0]["pid"], 0)
    hosted.close(id)


@pytest.mark.parametrize("share", ["token", "owner"])
def test_token_makes_a_later_command_the_same_client(
    cli: Cli, tmp_path: Path, own_socket: str, share: str
) -> None:
    cli.config.write_text(f'entry_points = false\n[control]\nshare = "{share}"\n')
    for host in serve(cli, tmp_path, own_socket):
        told = host.cli("exec", "-d", "--json", "desk", "sleep", "60").json
        assert host.sessions() == []
        stranger = host.cli("close", told["session"])
        assert (stranger.status, "another client's" in stranger.err) == (1, True)
        env = {"PLUGIN_HOST_TOKEN": told["token"]}
        assert host.cli("exec", "-d", "desk", "true", env=env).err == ""  # who knows its own token
        assert host.cli("kill", told["session"], env=env).status == 0
        assert host.cli("attach", told["session"], env=env).status == 128 + signal.SIGTERM
        assert host.cli("close", told["session"], env=env).status == 0


@pytest.mark.parametrize("share", ["token", "owner"])
def test_who_leaves_a_session_that_is_for_nobody_else_is_told_how_to_come_back(
    cli: Cli, tmp_path: Path, own_socket: str, share: str
) -> None:
    cli.config.write_text(f'entry_points = false\n[control]\nshare = "{share}"\n')
    for host in serve(cli, tmp_path, own_socket):
        left = host.cli("exec", "-d", "desk", "sleep", "60")
        id = left.out.strip()
        found = re.search(rf"^  PLUGIN_HOST_TOKEN=(\S+) plugin-host attach {id}$", left.err, re.MULTILINE)
        assert found is not None, left.err
        env = {"PLUGIN_HOST_TOKEN": found[1]}
        assert host.cli("kill", id, env=env).status == 0
        assert host.cli("attach", id, env=env).status == 128 + signal.SIGTERM
        assert host.cli("close", id, env=env).status == 0
        with Seat(host.cli, "-it", "desk", "env", "PS1=on> ", "sh") as user:
            user.see("on> ")
            user.type("\x10\x11")
            user.see("it runs on: PLUGIN_HOST_TOKEN=")
            assert user.end() == 0
            token, words = user.seen.split(maxsplit=1)
        env = {"PLUGIN_HOST_TOKEN": token}
        assert host.cli("close", words.split()[2], env=env).status == 0


def test_session_of_a_host_that_shares_is_told_by_its_id_alone(hosted: Hosted) -> None:
    left = hosted.cli("exec", "-d", "desk", "sleep", "60")
    assert left.err == ""
    hosted.close(left.out.strip())


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_session_that_nobody_could_be_told_of_is_closed(hosted: Hosted, words: list[str]) -> None:
    command = [*COMMAND, "exec", "-d", *words, "desk", "sleep", "60"]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, env=hosted.cli.env, check=False
        )
    assert ended.returncode == 125
    assert b"cannot write to stdout: No space left on device" in ended.stderr
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(command, stdout=writing, env=hosted.cli.env, check=False)
    os.close(writing)
    assert ended.returncode == 128 + signal.SIGPIPE
    assert hosted.sessions() == []
