"""`plugin-host run`: what it tells about its plugins, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.host.cli_plugin import plugins
from tests.host.cli_run import COMMAND, Background, Cli, cli, install
from tests.source import ROOT
from tests.stage import write_plugin
from tests.wait import WaitUntil

__all__ = ["cli", "plugins"]

STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    signal.pause()
"""
FLOOD = """
import os, msgpack
while True:
    os.write(1, msgpack.packb([2, "noise", ["x" * 1000]]))
"""
CHATTER = """
import os
for number in range(3000):
    os.write(2, b"line %d %s\\n" % (number, b"x" * 200))
while os.read(0, 4096):
    pass
"""
TALK = """
import os, msgpack
os.write(1, msgpack.packb([2, "told", [b"\\xff", 1]]))
os.read(0, 1)
"""


EXTENSION = """
from plugin_host import hookimpl
@hookimpl
def plugin_host_state_changed(plugin, old, new):
    raise ValueError("no such luck")
"""


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def ready(run: Background, *, plugin: str = "") -> bool:
    """Whether a run with --json has told that all, or that one plugin, is ready."""
    lines = run.out.splitlines()[: run.out.count("\n")]
    found = [json.loads(line) for line in lines]
    if plugin:
        return any(one.get("plugin") == plugin and one.get("new") == "ready" for one in found)
    return any(one["event"] == "ready" for one in found)


def pid_of(run: Background, plugin: str) -> int:
    (pid,) = (
        one["pid"] for one in events(run.out) if one.get("plugin") == plugin and one["new"] == "ready"
    )
    assert isinstance(pid, int)
    return pid


def stubborn(folder: Path) -> Path:
    """A raw peer that only SIGKILL ends; the stop of it may take two minutes."""
    launch = {"argv": ["python3", "-c", STUBBORN], "stop_timeout_s": 120}
    return write_plugin(folder, "stubborn", launch=launch, protocol="msgpack-rpc")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_real_plugins_run_until_a_signal(cli: Cli, wait_until: WaitUntil, signum: signal.Signals) -> None:
    with cli.background("run", "--plugin-dir", ROOT / "plugins") as run:
        wait_until(run.says("COMMANDS"), 10)
        wait_until(run.says("children cpu disk_usage"))
        run.send(signum)
        ended = run.end()
    assert (ended.status, ended.err) == (0, "")
    lines = [line.split(None, 1)[1] for line in ended.out.splitlines() if line[:2].isdigit()]
    for plugin in ("neovim", "system"):
        moves = [line.split()[1] for line in lines if line.startswith(plugin)]
        assert moves == ["starting", "ready", "stopping", "stopped"]


@pytest.mark.edges
def test_events_are_json_lines(cli: Cli, plugins: Path, wait_until: WaitUntil) -> None:
    with cli.background("run", "--json", "--plugin-dir", plugins) as run:
        wait_until(lambda: ready(run))
        pid = pid_of(run, "odd")
        assert psutil.Process(pid).is_running()
        run.send(signal.SIGTERM)
        ended = run.end()
    assert (ended.status, ended.err) == (0, "")
    told = events(ended.out)
    states = [(one["old"], one["new"]) for one in told if one.get("plugin") == "odd"]
    assert states == [
        ("discovered", "starting"), ("starting", "ready"), ("ready", "stopping"), ("stopping", "stopped"),
    ]  # fmt: skip
    (overview,) = (one["plugins"] for one in told if one["event"] == "ready")
    odd, raw = overview
    assert (odd["id"], odd["version"], odd["state"], odd["pid"]) == ("odd", "1.0.0", "ready", pid)
    assert "echo" in odd["commands"]
    assert (raw["id"], raw["commands"], raw["error"]) == ("raw", [], None)
    assert all(isinstance(one["at"], float) for one in told)


@pytest.mark.edges
def test_plugin_that_does_not_start_stops_nobody_else(
    cli: Cli, plugins: Path, wait_until: WaitUntil
) -> None:
    write_plugin(plugins, "absent", head="import no_such_module")
    (plugins / "half").mkdir()
    (plugins / "half" / "plugin_manifest.json").write_text("{")
    with cli.background("run", "--plugin-dir", plugins) as run:
        wait_until(run.says("COMMANDS"))
        wait_until(run.says("half/plugin_manifest.json: expected JSON"))
        run.send(signal.SIGINT)
        ended = run.end()
    assert ended.status == 0
    rows = {
        line.split()[0]: line.split()[1:4] for line in ended.out.split("COMMANDS")[1].splitlines() if line
    }
    assert rows["absent"] == ["1.0.0", "failed", "-"]
    assert rows["half"] == ["-", "broken", "-"]
    assert rows["odd"][1] == "ready"
    assert "failed: exited with status 1 before it was ready" in ended.out
    assert "ModuleNotFoundError: No module named 'no_such_module'" in ended.err


@pytest.mark.edges
def test_failure_is_part_of_its_event_for_programs(cli: Cli, plugins: Path, wait_until: WaitUntil) -> None:
    write_plugin(plugins, "absent", head="import no_such_module")
    with cli.background("run", "--json", "--plugin-dir", plugins) as run:
        wait_until(lambda: ready(run))
        run.send(signal.SIGINT)
        ended = run.end()
    assert ended.err == ""
    (failed,) = (one for one in events(ended.out) if one.get("new") == "failed")
    assert failed["error"]["type"] == "PluginExited"
    assert "no_such_module" in failed["error"]["hint"]


@pytest.mark.edges
def test_death_of_a_plugin_is_told(cli: Cli, plugins: Path, wait_until: WaitUntil) -> None:
    with cli.background("run", "--json", "--plugin-dir", plugins) as run:
        wait_until(lambda: ready(run))
        os.kill(pid_of(run, "odd"), signal.SIGKILL)
        wait_until(lambda: '"new": "failed"' in run.out)
        run.send(signal.SIGINT)
        ended = run.end()
    assert ended.status == 0
    (failed,) = (one for one in events(ended.out) if one.get("new") == "failed")
    assert failed["error"]["type"] == "PluginDied"
    assert "killed by SIGKILL" in failed["reason"]


@pytest.mark.edges
def test_run_with_nothing_running_ends(cli: Cli, plugins: Path) -> None:
    write_plugin(plugins, "absent", head="import no_such_module")
    words = ("run", "--only", "absent", "--plugin-dir", plugins)
    ended = cli(*words)
    assert ended.status == 3
    assert "no_such_module" in ended.err
    assert ended.err.endswith("plugin-host: no plugin is running any more, so there is nothing to do\n")
    ended = cli(*words, "--json")
    assert [one.get("new", one["event"]) for one in events(ended.out)] == [
        "starting",
        "death",
        "failed",
        "ready",
    ]
    assert ended.error["exit_code"] == 3


@pytest.mark.edges
def test_death_of_the_last_plugin_ends_it(cli: Cli, plugins: Path, wait_until: WaitUntil) -> None:
    with cli.background("run", "--json", "--only", "odd", "--plugin-dir", plugins) as run:
        wait_until(lambda: ready(run))
        os.kill(pid_of(run, "odd"), signal.SIGKILL)
        ended = run.end()
    assert ended.status == 3
    assert events(ended.out)[-1]["error"]["type"] == "PluginDied"
    assert ended.error["message"].startswith("no plugin is running any more")


def test_plugin_that_dies_comes_back_and_the_table_is_printed_on_a_signal(
    cli: Cli, plugins: Path, wait_until: WaitUntil
) -> None:
    write_plugin(plugins, "phoenix", restart={"backoff_initial_s": 0.1})
    with cli.background("run", "--only", "phoenix", "--plugin-dir", plugins) as run:
        wait_until(run.says("COMMANDS"))
        pid = next(line for line in run.out.splitlines() if "ready (pid" in line).split()[-1].strip(")")
        os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: run.out.count("ready (pid") == 2)
        run.send(signal.SIGUSR1)
        wait_until(lambda: run.out.count("COMMANDS") == 2)
        run.send(signal.SIGINT)
        ended = run.end()
    assert ended.status == 0
    assert "backoff: died: killed by SIGKILL" in ended.out
    assert "It is started again in" in ended.err
    (row,) = [line for line in ended.out.splitlines() if "restarted" in line]
    assert "ready, restarted once" in row


@pytest.mark.edges
def test_question_that_comes_too_early_or_too_late_ends_nothing(
    cli: Cli, plugins: Path, wait_until: WaitUntil
) -> None:
    with cli.background("run", "--only", "odd", "--plugin-dir", plugins) as run:
        wait_until(lambda: _ignores(run.process.pid, signal.SIGUSR1))
        run.send(signal.SIGUSR1)
        wait_until(run.says("COMMANDS"))
        for _ in range(5000):
            run.send(signal.SIGUSR1)
        run.send(signal.SIGINT)
        wait_until(run.says("stopping"))
        wait_until(lambda: _ended_under(run, signal.SIGUSR1))
        ended = run.end()
    assert (ended.status, ended.err) == (0, "")


def _ended_under(run: Background, number: signal.Signals) -> bool:
    """Whether it has ended; sends the signal to one that has not."""
    if run.process.poll() is None:
        run.send(number)
    return run.process.returncode is not None


def _ignores(pid: int, number: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (ignored,) = [line.split()[1] for line in lines if line.startswith("SigIgn:")]
    return bool(int(ignored, 16) >> (number - 1) & 1)


@pytest.mark.edges
def test_death_and_status_are_json_lines(cli: Cli, plugins: Path, wait_until: WaitUntil) -> None:
    write_plugin(plugins, "phoenix", restart={"backoff_initial_s": 0.1})
    with cli.background("run", "--json", "--only", "phoenix", "--plugin-dir", plugins) as run:
        wait_until(lambda: ready(run))
        os.kill(pid_of(run, "phoenix"), signal.SIGSEGV)
        wait_until(lambda: run.out.count('"new": "ready"') == 2)
        run.send(signal.SIGUSR1)
        wait_until(lambda: '"event": "status"' in run.out)
        run.send(signal.SIGINT)
        ended = run.end()
    told = events(ended.out)
    (death,) = [one for one in told if one["event"] == "death"]
    assert (death["report"]["signal"], death["report"]["phase"]) == (11, "idle")
    (status,) = [one for one in told if one["event"] == "status"]
    (plugin,) = status["plugins"]
    assert (plugin["state"], plugin["restarts"], plugin["healthy"]) == ("ready", 1, True)
    assert plugin["death"]["signal"] == 11


@pytest.mark.edges
def test_run_without_plugins_says_so(cli: Cli, plugins: Path) -> None:
    ended = cli("run")
    assert ended.status == 3
    assert ended.err.startswith("plugin-host: no plugins to run: none is installed")
    ended = cli("run", "--plugin-dir", plugins, "--no-plugin", "odd,raw")
    assert ended.status == 3
    assert "all that were found are left out: odd, raw" in ended.err
    ended = cli("run", "--plugin-dir", plugins, "--only", "odd,rawr")
    assert ended.status == 3
    assert "no plugin `rawr` was found (did you mean `raw`?)" in ended.err


@pytest.mark.edges
def test_only_the_wanted_plugins_run(cli: Cli, plugins: Path, wait_until: WaitUntil) -> None:
    with cli.background("run", "--plugin-dir", plugins, "--only", "raw") as run:
        wait_until(run.says("COMMANDS"))
        run.send(signal.SIGINT)
        ended = run.end()
    assert ended.status == 0
    assert "odd" not in ended.out


@pytest.mark.edges
def test_second_signal_kills_at_once(cli: Cli, plugins: Path, wait_until: WaitUntil) -> None:
    with cli.background("run", "--json", "--plugin-dir", stubborn(plugins)) as run:
        wait_until(lambda: ready(run))
        pid = pid_of(run, "stubborn")
        run.send(signal.SIGINT)
        wait_until(lambda: '"new": "stopping"' in run.out)
        assert psutil.pid_exists(pid)
        run.send(signal.SIGINT)
        wait_until(lambda: run.process.poll() is not None)
        assert run.end().status == 0
    assert not psutil.pid_exists(pid)


@pytest.mark.edges
def test_signal_while_plugins_start_ends_it(cli: Cli, plugins: Path, wait_until: WaitUntil) -> None:
    write_plugin(plugins, "slow", head="import time; time.sleep(60)", launch={"start_timeout_s": 60})
    with cli.background("run", "--json", "--plugin-dir", plugins) as run:
        wait_until(lambda: ready(run, plugin="odd"))
        run.send(signal.SIGTERM)
        wait_until(lambda: run.process.poll() is not None)
        assert run.end().status == 0


@pytest.mark.edges
def test_reader_that_goes_away_stops_the_plugins(cli: Cli, plugins: Path) -> None:
    command = [*COMMAND, "run", "--json", "--plugin-dir", str(plugins)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.env) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert json.loads(run.stdout.readline())["event"] == "state"
        run.stdout.close()
        assert run.wait(20) == 128 + signal.SIGPIPE
        assert run.stderr.read() == b""


@pytest.mark.edges
def test_reader_that_does_not_read_does_not_hold_the_host(cli: Cli, plugins: Path) -> None:
    write_plugin(plugins, "flood", launch={"argv": ["python3", "-c", FLOOD]}, protocol="msgpack-rpc")
    command = [*COMMAND, "run", "--json", "--plugin-dir", str(plugins)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.env) as run:
        assert run.stdout is not None
        while b"noise" not in run.stdout.readline():
            pass
        run.send_signal(signal.SIGTERM)
        assert run.wait(20) == 0


@pytest.mark.edges
def test_stderr_that_nobody_reads_does_not_hold_the_host(
    cli: Cli, plugins: Path, wait_until: WaitUntil
) -> None:
    write_plugin(plugins, "chatty", launch={"argv": ["python3", "-c", CHATTER]}, protocol="msgpack-rpc")
    command = [*COMMAND, "run", "-v", "--only", "chatty", "--plugin-dir", str(plugins)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=cli.env) as run:
        try:
            wait_until(lambda: "line 2999" in cli("logs", "chatty").out)  # more than a pipe holds
            assert cli("call", "chatty", "x", "--timeout", "0.1").status == 124
        finally:
            run.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(20)
            run.kill()
        assert run.returncode == 0


@pytest.mark.edges
def test_disk_that_is_full_for_a_while_stops_no_plugin(
    cli: Cli, plugins: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """A limit on the size of files stands for the disk."""
    out = tmp_path / "events"
    command = ["sh", "-c", 'trap "" XFSZ; ulimit -S -f 1; exec "$@"', "sh", *COMMAND]
    command += ["run", "--json", "--only", "odd", "--plugin-dir", str(plugins)]
    out.write_text("x" * 1023 + "\n")
    with (
        out.open("ab") as file,
        subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE, env=cli.env) as run,
    ):
        try:
            assert run.stderr is not None
            said = b"plugin-host: cannot write to stdout: File too large; the plugins go on\n"
            assert run.stderr.readline() == said
            wait_until(lambda: "ready" in cli("events").out)
            resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
            assert cli("stop", "odd").status == 0
        finally:
            run.send_signal(signal.SIGTERM)
        assert run.wait(20) == 0
        assert run.stderr.read() == b""
    first, *others = [json.loads(line) for line in out.read_text().splitlines()[1:] if line]
    assert (first["event"], first["count"] >= 1) == ("lost", True)
    assert others[-1]["new"] == "stopped"


@pytest.mark.edges
def test_notifications_of_raw_peers_are_events(cli: Cli, plugins: Path, wait_until: WaitUntil) -> None:
    write_plugin(plugins, "talker", launch={"argv": ["python3", "-c", TALK]}, protocol="msgpack-rpc")
    with cli.background("run", "--json", "--only", "talker", "--plugin-dir", plugins) as run:
        wait_until(run.says('"notification"'))
        run.send(signal.SIGINT)
        ended = run.end()
    (told,) = (one for one in events(ended.out) if one["event"] == "notification")
    assert (told["plugin"], told["method"], told["params"]) == ("talker", "told", [{"$bytes": "/w=="}, 1])


@pytest.mark.edges
def test_failing_extension_is_named_and_stops_nobody(
    cli: Cli, plugins: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    install(tmp_path / "site", "ext", "[plugin_host]\next = ext_module\n", {"ext_module": EXTENSION})
    cli.env["PYTHONPATH"] = str(tmp_path / "site")
    with cli.background("run", "--plugin-dir", plugins) as run:
        wait_until(run.says("COMMANDS"))
        run.send(signal.SIGINT)
        ended = run.end()
    assert ended.status == 0
    assert set(ended.err.splitlines()) == {
        "plugin-host: extension ext: plugin_host_state_changed: ValueError: no such luck"
    }


@pytest.mark.edges
def test_log_is_shown_on_demand(cli: Cli, plugins: Path, wait_until: WaitUntil) -> None:
    with cli.background("run", "-v", "--plugin-dir", plugins) as run:
        wait_until(run.says("COMMANDS"))
        run.send(signal.SIGINT)
        ended = run.end()
    assert "info     -  plugin odd: starting -> ready" in ended.err


@pytest.mark.edges
@pytest.mark.parametrize("by", ["option", "configuration"])
def test_metrics_are_told_on_a_port(by: str, cli: Cli, tmp_path: Path, wait_until: WaitUntil) -> None:
    write_plugin(tmp_path / "plugins", "quiet")
    words = ["--metrics-port", "0"] if by == "option" else []
    if by == "configuration":
        cli.config.write_text('entry_points = false\n[metrics]\nport = 0\naddress = "127.0.0.2"\n')
    with cli.background("run", "--plugin-dir", str(tmp_path / "plugins"), "-v", *words) as run:
        wait_until(run.says("metrics at http://"))
        wait_until(run.says("ready (pid"))
        (url,) = re.findall(r"metrics at (http://\S+)", run.err)
        assert url.startswith("http://127.0.0.1:" if by == "option" else "http://127.0.0.2:")
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert b'plugin_host_plugin_state{plugin="quiet",state="ready"} 1.0' in answer.read()
        run.send(signal.SIGTERM)
        assert run.end().status == 0


@pytest.mark.edges
def test_a_port_for_metrics_that_is_taken_is_said(cli: Cli, tmp_path: Path) -> None:
    write_plugin(tmp_path / "plugins", "quiet")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = cli("run", "--plugin-dir", tmp_path / "plugins", "--metrics-port", port)
    assert (ended.status, ended.out) == (2, "")
    assert f"the metrics cannot be served on 127.0.0.1 port {port}" in ended.err
