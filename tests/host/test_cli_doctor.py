"""`plugin-host doctor`: what is wrong, what to do about it, and nothing started or changed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import venv
from tests.host.cli_plugin import plugins
from tests.host.cli_run import Cli, cli, install
from tests.stage import write_plugin
from tests.wait import WaitUntil

__all__ = ["cli", "plugins"]

pytestmark = pytest.mark.edges

KEYS = {"section", "level", "subject", "text", "advice"}
SHARED = ("leftovers", "system", "sandbox")
"""Sections that tell of the machine, which others use, too."""


def examined(cli: Cli, *words: str | Path, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """The findings; the status has to be theirs."""
    ended = cli("doctor", "--json", *words, env=env)
    found: list[dict[str, Any]] = ended.json
    assert all(set(one) == KEYS for one in found)
    assert ended.status == (1 if any(one["level"] == "fault" for one in found) else 0)
    return found


def of(found: list[dict[str, Any]], subject: str, section: str) -> dict[str, Any]:
    """The one finding of this section about this subject."""
    (one,) = [one for one in found if (one["subject"], one["section"]) == (subject, section)]
    return one


def faults(found: list[dict[str, Any]]) -> list[str]:
    """The subjects of faults that have nothing to do with what else runs here."""
    return [one["subject"] for one in found if one["level"] == "fault" and one["section"] not in SHARED]


def told(cli: Cli, findings: str) -> tuple[int, str]:
    """The status and the text for these findings, a Python expression."""
    code = (
        "from plugin_host.checkup import examination\n"
        "from plugin_host.checkup.finding import fault, note, ok\n"
        "from plugin_host.cli import main\n"
        f"examination.examine = lambda **_: {findings}\n"
        "raise SystemExit(main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, "doctor"], capture_output=True, text=True, env=cli.env, check=False
    )
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


def test_sound_plugins_have_no_faults(cli: Cli, plugins: Path) -> None:
    found = examined(cli, "--plugin-dir", plugins)
    assert faults(found) == []
    assert of(found, "plugin-host", "versions")["level"] == "ok"
    assert of(found, "protocol", "versions")["text"] == "1, and msgpack-rpc"
    assert of(found, str(cli.config), "configuration")["level"] == "ok"
    assert of(found, "odd", "plugins")["text"] == f"1.0.0, folder {plugins}/odd"
    assert of(found, "odd", "interpreters")["text"].startswith(f"{sys.executable}, Python ")
    assert of(found, "raw", "programs")["level"] == "ok"


def test_status_and_text_follow_from_the_findings(cli: Cli) -> None:
    found = "ok('one', 'a', 'fine'), note('one', 'bcd', 'well\\x1b', 'look'), ok('two', 'e', 'fine')"
    text = (
        "one\n  ok     a    fine\n  note   bcd  well\\x1b\n         to do: look\n\n"
        "two\n  ok     e  fine\n\nno faults, 1 note\n"
    )
    assert told(cli, f"[{found}]") == (0, text)
    status, text = told(cli, f"[{found}, fault('two', 'f', 'gone', 'make it')]")
    assert status == 1
    assert text.endswith("  fault  f  gone\n         to do: make it\n\n1 fault, 1 note\n")


def test_interpreter_without_the_sdk_is_a_fault(cli: Cli, tmp_path: Path) -> None:
    venv.bare(tmp_path / "bare")
    home = write_plugin(tmp_path / "plugins", "alone", launch={"venv": str(tmp_path / "bare")})
    one = of(examined(cli, "--plugin-dir", home), "alone", "interpreters")
    assert one["level"] == "fault"
    assert "does not find plugin_host_sdk, msgpack" in one["text"]
    assert one["advice"].startswith(f"{tmp_path}/bare/bin/python -m pip install plugin-host-sdk==")


def test_interpreter_with_the_sdk_serves(cli: Cli, tmp_path: Path) -> None:
    venv.lend(venv.bare(tmp_path / "full"))
    home = write_plugin(tmp_path / "plugins", "alone", launch={"venv": str(tmp_path / "full")})
    assert of(examined(cli, "--plugin-dir", home), "alone", "interpreters")["level"] == "ok"


def test_missing_interpreters_and_programs_are_faults(cli: Cli, plugins: Path) -> None:
    write_plugin(plugins, "nopython", launch={"interpreter": "/nowhere/python"})
    write_plugin(plugins, "novenv", launch={"venv": "env"})
    write_plugin(plugins, "noprogram", launch={"argv": ["no-such-program"]})
    (plugins / "noprogram" / "script").write_text("#!/no/such/shell\n")
    (plugins / "noprogram" / "script").chmod(0o755)
    write_plugin(plugins, "noshell", launch={"argv": [f"{plugins}/noprogram/script"]})
    write_plugin(plugins, "nofolder", launch={"argv": ["true"], "cwd": "gone"})
    found = examined(cli, "--plugin-dir", plugins)
    texts = {name: of(found, name, "programs") for name in faults(found)}
    assert set(texts) == {"nopython", "novenv", "noprogram", "noshell", "nofolder"}
    assert all(one["advice"] for one in texts.values())
    assert "'/nowhere/python' does not exist" in texts["nopython"]["text"]
    assert "the environment is made with: python3 -m venv env" in texts["novenv"]["advice"]
    assert "it is in no folder of PATH" in texts["noprogram"]["text"]
    assert "'/no/such/shell' does not exist" in texts["noshell"]["text"]
    assert "its working folder" in texts["nofolder"]["text"]


def test_entry_point_that_names_no_module_is_a_fault(cli: Cli, plugins: Path) -> None:
    write_plugin(plugins, "lost", launch={"entry_point": "no_such_module:plugin"})
    one = of(examined(cli, "--plugin-dir", plugins), "lost", "interpreters")
    assert one["level"] == "fault"
    assert f"does not find the module no_such_module and in {plugins}/lost" in one["text"]


def test_broken_manifests_are_faults_unless_they_are_left_out(cli: Cli, plugins: Path) -> None:
    (plugins / "half").mkdir()
    (plugins / "half" / "plugin_manifest.json").write_text("{")
    one = of(examined(cli, "--plugin-dir", plugins), "half", "plugins")
    assert one["level"] == "fault"
    assert one["text"].startswith(f"broken: {plugins}/half/plugin_manifest.json: expected JSON")
    assert f"`plugin-host validate {plugins}/half/plugin_manifest.json`" in one["advice"]
    found = examined(cli, "--plugin-dir", plugins, "--only", "odd")
    assert faults(found) == []
    assert of(found, "half", "plugins")["level"] == "note"


def test_plugin_that_was_changed_is_a_fault(cli: Cli, plugins: Path) -> None:
    write_plugin(plugins, "pinned", checksum="sha256:" + "0" * 64)
    assert faults(examined(cli, "--plugin-dir", plugins)) == ["pinned"]


def test_configuration_that_cannot_be_used_does_not_stop_the_rest(cli: Cli, plugins: Path) -> None:
    cli.config.write_text("nonsense = 1\n")
    found = examined(cli, "--plugin-dir", plugins)
    one = of(found, str(cli.config), "configuration")
    assert one["level"] == "fault"
    assert one["advice"] == f"correct it; `plugin-host validate {cli.config}` names every fault"
    assert of(found, "odd", "interpreters")["level"] == "ok"


def test_configuration_of_a_plugin_that_is_not_found_is_a_note(cli: Cli, plugins: Path) -> None:
    cli.config.write_text('entry_points = false\n[plugins.greter]\nuser = "nobody"\n')
    found = of(examined(cli, "--plugin-dir", plugins), "plugins.greter", "configuration")
    assert found["level"] == "note"
    assert found["text"] == "no plugin of this id is found, so nothing of it is in force"


def test_plugin_that_is_not_there_does_not_stop_the_rest(cli: Cli, plugins: Path) -> None:
    found = examined(cli, "--plugin-dir", plugins, "--only", "odd,rawr,rew")
    assert faults(found) == ["rawr", "rew"]
    assert of(found, "odd", "interpreters")["level"] == "ok"


def test_limits_are_told_as_they_are_held(cli: Cli, plugins: Path) -> None:
    write_plugin(plugins, "bounded", limits={"cpu_s": 60})
    one = of(examined(cli, "--plugin-dir", plugins), "bounded", "limits")
    assert one["text"] == "its cpu limit of 60 s of processor time is enforced by rlimit"


def test_users_that_do_not_exist_are_faults(cli: Cli, plugins: Path) -> None:
    cli.config.write_text("entry_points = false\n[plugins.odd]\nuser = 'no-such-user'\n")
    one = of(examined(cli, "--plugin-dir", plugins), "odd", "users")
    assert one["level"] == "fault"
    assert one["advice"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a plugin as another user")
def test_plugin_out_of_reach_of_its_user_is_a_fault(cli: Cli, plugins: Path, tmp_path: Path) -> None:
    write_plugin(plugins, "plain", launch={"argv": ["true"]})
    tmp_path.chmod(0o700)
    cli.config.write_text("entry_points = false\n[plugins.plain]\nuser = '3999999'\ngroup = '3999999'\n")
    one = of(examined(cli, "--plugin-dir", plugins), "plain", "users")
    assert one["level"] == "fault"
    assert "plugin `plain` cannot run as user 3999999, who may not search" in one["text"]


def test_sandbox_that_names_a_missing_path_is_a_fault(cli: Cli, plugins: Path, tmp_path: Path) -> None:
    table = f"writable = ['{tmp_path}/gone']"
    cli.config.write_text(f"entry_points = false\n[plugins.odd.sandbox]\n{table}\n")
    found = [one for one in examined(cli, "--plugin-dir", plugins) if one["section"] == "sandbox"]
    assert f"its sandbox names {tmp_path}/gone, which does not exist" in [one["text"] for one in found]


def test_interpreter_of_a_plugin_for_the_sandbox_is_not_run_outside(cli: Cli, tmp_path: Path) -> None:
    mark, python = tmp_path / "mark", tmp_path / "python"
    python.write_text(f"#!/bin/sh\ntouch {mark}\n")
    python.chmod(0o755)
    home = write_plugin(tmp_path / "plugins", "kept", launch={"interpreter": str(python)})
    cli.config.write_text("entry_points = false\n[plugins.kept.sandbox]\n")
    assert of(examined(cli, "--plugin-dir", home), "kept", "interpreters")["level"] == "note"
    assert not mark.exists()
    cli.config.write_text("entry_points = false\n")
    assert of(examined(cli, "--plugin-dir", home), "kept", "interpreters")["level"] == "fault"
    assert mark.exists()


def test_no_plugin_is_imported(cli: Cli, plugins: Path, tmp_path: Path) -> None:
    mark = tmp_path / "imported"
    write_plugin(plugins, "loud", head=f"open({str(mark)!r}, 'w')")
    (plugins / "loud" / "sitecustomize.py").write_text(f"open({str(mark)!r}, 'w')")
    cli.config.write_text(
        f"entry_points = false\n[plugins.loud]\nenv = {{PYTHONPATH = '{plugins}/loud', KEY = 'secret'}}\n"
    )
    found = examined(cli, "--plugin-dir", plugins)
    assert of(found, "loud", "interpreters")["level"] == "ok"
    assert not mark.exists()
    assert "secret" not in str(found)


def test_extension_that_cannot_be_loaded_is_a_fault(cli: Cli, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "ext", "[plugin_host]\next = ext_module\n", {"ext_module": "raise ValueError('no luck')"})
    ended = cli("doctor", env={"PYTHONPATH": str(site)})
    assert (ended.status, ended.err) == (1, "")
    assert "could not be loaded: ValueError: no luck" in ended.out


@pytest.fixture
def orphan() -> Iterator[int]:
    """A process with the mark of a host that never was, whose parent is gone."""
    done = subprocess.run(
        ["sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!"],
        env={**os.environ, "PLUGIN_HOST_RUN": f"0dead{os.getpid()}/greeter/1"},
        capture_output=True,
        check=True,
    )
    pid = int(done.stdout)
    yield pid
    os.kill(pid, signal.SIGKILL)


def test_processes_of_a_host_that_is_gone_are_a_fault(cli: Cli, orphan: int) -> None:
    one = of(examined(cli), f"run 0dead{os.getpid()}", "leftovers")
    assert one["level"] == "fault"
    assert one["text"] == f"processes of greeter: {orphan} (sleep); their host is gone"
    assert one["advice"] == f"kill -KILL {orphan}"


def test_keeper_that_is_stopped_is_told_with_the_command_that_continues_it(
    cli: Cli, plugins: Path, wait_until: WaitUntil
) -> None:
    def told(keeper: psutil.Process) -> tuple[str, str]:
        (one,) = [one for one in examined(cli) if one["advice"] == f"kill -CONT {keeper.pid}"]
        return one["level"], one["text"]

    with cli.background("run", "--plugin-dir", plugins) as run:
        wait_until(run.says("COMMANDS"))
        (keeper,) = [
            one for one in psutil.Process(run.process.pid).children() if one.name() == "plugin-keeper"
        ]
        keeper.suspend()
        host = run.process.pid
        assert told(keeper) == ("note", f"the keeper of the host {host} is stopped: process {keeper.pid}")
        run.process.kill()
        run.process.wait()
        level, text = told(keeper)
        assert level == "fault"
        assert text.startswith("the host is gone, and the keeper, which is to end its plugins, is stopped")
        keeper.resume()
        wait_until(lambda: not keeper.is_running())


def test_plugins_of_a_living_host_are_nobodys_leftover(
    cli: Cli, plugins: Path, wait_until: WaitUntil
) -> None:
    with cli.background("run", "--plugin-dir", plugins, "--only", "odd", "--json") as run:
        wait_until(run.says('"new": "ready"'))
        found = [one for one in examined(cli) if one["section"] == "leftovers"]
        pids = subprocess.run(
            ["pgrep", "-P", str(run.process.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        assert len(pids) >= 2  # the plugin and the keeper
        words = " ".join(f"{one['text']} {one['advice']}" for one in found).replace(",", "").split()
        assert not set(pids) & set(words)
        run.send(signal.SIGTERM)
        run.end()


def test_bytecode_of_a_host_that_is_gone_is_told_and_can_be_removed(cli: Cli) -> None:
    folder = tempfile.mkdtemp(prefix="plugin-host-bytecode-")
    one = next(one for one in examined(cli) if folder in one["text"])
    assert (one["level"], one["section"]) == ("note", "leftovers")
    subprocess.run(shlex.split(one["advice"]), check=True)
    assert not [one for one in examined(cli) if folder in one["text"]]
