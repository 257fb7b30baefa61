"""What else a host asks of a machine: registration, signs of life, new settings, and ends."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import plugin_host_sdk as sdk
from plugin_host.seal import read_keys
from plugin_host_automation import plugin, setting
from plugin_host_sdk import action
from plugin_host_sdk.action import (
    Exit,
    Heartbeat,
    Properties,
    Reboot,
    Register,
    RegisterResult,
    ReloadConfig,
    ReloadResult,
    RunScript,
    Shutdown,
    UpdateKey,
    key_proof,
)
from plugin_host_sdk.testing import ActionBench
from tests.plugins.automation import Serve, serve
from tests.wait import WaitUntil

__all__ = ["serve"]  # fixture

FOLDER = Path(__file__).resolve().parents[2] / "plugins" / "automation"


# registration


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "registration-key"
    path.write_text("let me in\n")
    path.chmod(0o600)
    return str(path)


def script(folder: Path, name: str, text: str, **fields: Any) -> dict[str, Any]:
    (folder / name).write_text(text)
    return {"name": name, "file": str(folder / name), **fields}


def registered(bench: ActionBench, **fields: Any) -> RegisterResult:
    result = bench.trigger(Register(key="let me in", **fields)).result()
    assert isinstance(result, RegisterResult)
    return result


def test_registration_is_off_until_a_key_is_set(serve: Serve) -> None:
    with pytest.raises(action.ActionRefused, match="registration is off here") as caught:
        serve().trigger(Register(key="let me in"))
    assert caught.value.option == "registration_key_file"


def test_a_wrong_registration_key_is_rejected_and_not_repeated(serve: Serve, key_file: str) -> None:
    with pytest.raises(action.KeyRejected) as caught:
        serve(registration_key_file=key_file).trigger(Register(key="hunter2"))
    assert "hunter2" not in str(caught.value.to_map())
    assert "let me in" not in str(caught.value.to_map())


def test_no_key_is_in_a_log(
    serve: Serve, key_file: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    bench = serve(registration_key_file=key_file, first_run=[script(tmp_path, "one", "echo $0")])
    key = registered(bench).key
    bench.trigger(UpdateKey(phase="offer", key="hunter2 hunter2 hunter2")).result()
    logged = f"{bench.logs} {caplog.text} {bench.trigger(Heartbeat(nonce='n')).result()}"
    assert not any(secret in logged for secret in (key, "let me in", "hunter2"))


def test_a_machine_gets_a_key_and_runs_its_scripts_once(
    serve: Serve, key_file: str, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    scripts = [
        script(tmp_path, "one", f"echo ran >>{count}; echo hello"),
        script(tmp_path, "two", "raise SystemExit(3)", executable=sys.executable),
    ]
    bench = serve(registration_key_file=key_file, first_run=scripts)
    first = registered(bench)
    assert len(first.key) == 64
    assert first.nonce == ""
    assert [(report.name, report.ran, report.result.code) for report in first.scripts] == [
        ("one", True, 0),
        ("two", True, 3),
    ]
    assert first.scripts[0].result.stdout == b"hello\n"
    assert (tmp_path / "state" / "key").read_text() == first.key + "\n"
    again = registered(serve(registration_key_file=key_file, first_run=scripts))
    assert [(report.name, report.ran, report.result.code) for report in again.scripts] == [
        ("one", False, 0),
        ("two", False, 3),
    ]
    assert count.read_text() == "ran\n"


def test_a_machine_that_has_a_key_keeps_it_until_the_new_one_is_proved(
    serve: Serve, key_file: str, tmp_path: Path
) -> None:
    bench = serve(registration_key_file=key_file)
    first, second = registered(bench), registered(bench)
    assert (tmp_path / "state" / "key").read_text() == first.key + "\n"
    bench.trigger(UpdateKey(phase="prove", proof=key_proof(second.key, second.nonce))).result()
    bench.trigger(UpdateKey(phase="drop")).result()
    assert (tmp_path / "state" / "key").read_text() == second.key + "\n"


def test_a_first_key_that_was_made_by_hand_and_is_no_text_is_kept_and_replaced_like_any_other(
    serve: Serve, key_file: str, tmp_path: Path
) -> None:
    bench = serve(registration_key_file=key_file)
    registered(bench)
    (tmp_path / "state" / "key").write_bytes(raw := bytes(range(128, 160)))
    second = registered(bench)
    assert read_keys(tmp_path / "state" / "key") == [raw, second.key.encode()]
    bench.trigger(UpdateKey(phase="prove", proof=key_proof(second.key, second.nonce))).result()
    bench.trigger(UpdateKey(phase="drop")).result()
    assert read_keys(tmp_path / "state" / "key") == [second.key.encode()]


def test_the_properties_of_the_machine_choose_its_scripts(
    serve: Serve, key_file: str, tmp_path: Path
) -> None:
    scripts = [
        script(tmp_path, "all", "true"),
        script(tmp_path, "debian", "true", match={"distribution_name": "Debian*"}),
        script(tmp_path, "web", "true", match={"distribution_name": "Debian*", "hostname": "web-?"}),
    ]
    bench = serve(registration_key_file=key_file, first_run=scripts)
    fedora = Properties(hostname="web-1", distribution_name="Fedora Linux")
    assert [report.name for report in registered(bench, properties=fedora).scripts] == ["all"]
    debian = Properties(hostname="web-1", distribution_name="Debian GNU/Linux")
    ran = registered(bench, properties=debian).scripts
    assert [(report.name, report.ran) for report in ran] == [
        ("all", False),
        ("debian", True),
        ("web", True),
    ]


def test_a_script_whose_end_nobody_has_seen_is_not_run_again(
    serve: Serve, key_file: str, tmp_path: Path
) -> None:
    count, state = tmp_path / "count", tmp_path / "state"
    text = f"echo ran >>{count}; kill -9 $PPID"  # of the plugin that runs it
    scripts = [script(tmp_path, "deadly", text), script(tmp_path, "next", "true")]
    settings = {"state_dir": str(state), "registration_key_file": key_file, "first_run": scripts}
    code = f"""if True:
        from plugin_host_automation import plugin
        from plugin_host_sdk.action import Register
        from plugin_host_sdk.testing import ActionBench
        ActionBench(plugin, settings={settings!r}).trigger(Register(key="let me in")).result()
    """
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == -9
    reports = registered(serve(registration_key_file=key_file, first_run=scripts)).scripts
    assert [(report.name, report.ran) for report in reports] == [("deadly", False), ("next", True)]
    assert "nobody has seen its end" in reports[0].result.reason
    assert count.read_text() == "ran\n"


def test_a_script_that_cannot_be_read_fails_before_anything_is_recorded(
    serve: Serve, key_file: str, tmp_path: Path
) -> None:
    missing = {"name": "missing", "file": str(tmp_path / "missing")}
    bench = serve(registration_key_file=key_file, first_run=[missing])
    with pytest.raises(action.ActionFailed, match="'missing' cannot be read"):
        registered(bench)
    assert not (tmp_path / "state" / "key").exists()
    (tmp_path / "missing").write_text("echo here")
    assert registered(bench).scripts[0].ran


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [("k", 0o644, "others may read"), ("\n", 0o600, "is empty"), (None, 0, "cannot be read")],
)
def test_a_registration_key_that_is_none_is_told(
    serve: Serve, tmp_path: Path, text: str | None, mode: int, words: str
) -> None:
    path = tmp_path / "registration-key"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    with pytest.raises(action.ActionFailed, match=words):
        registered(serve(registration_key_file=str(path)))


# signs of life


def test_a_heartbeat_brings_its_nonce_back_with_who_answers_and_where(serve: Serve) -> None:
    result = serve().trigger(Heartbeat(nonce="n0nce")).result()
    assert result.nonce == "n0nce"
    assert result.versions == {
        "plugin": plugin.version,
        "sdk": sdk.__version__,
        "protocol": "1",
        "python": platform.python_version(),
    }
    system = os.uname()
    found = result.properties
    assert (found.hostname, found.kernel_name, found.kernel_version) == (
        system.nodename,
        system.sysname,
        system.release,
    )


def test_the_distribution_is_what_the_system_says_of_itself(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"NAME": "Debian GNU/Linux", "VERSION_ID": "12"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: said)
    found = serve().trigger(Heartbeat(nonce="n")).result().properties
    assert (found.distribution_name, found.distribution_version) == ("Debian GNU/Linux", "12")

    def nothing() -> dict[str, str]:
        raise OSError

    monkeypatch.setattr(platform, "freedesktop_os_release", nothing)
    found = serve().trigger(Heartbeat(nonce="n")).result().properties
    assert (found.distribution_name, found.distribution_version) == ("", "")


# ends


def test_exit_answers_first_and_then_ends_the_plugin(serve: Serve) -> None:
    bench = serve()
    run = bench.trigger(Exit())
    assert run.result().message == "the plugin ends now"
    assert bench.wait_until_left() == "an action asked it to exit"


@pytest.mark.parametrize("request_", [Reboot(), Shutdown()])
def test_power_is_refused_unless_it_is_allowed(serve: Serve, request_: Reboot | Shutdown) -> None:
    option = f"allow_{request_.kind}"
    other = "allow_shutdown" if request_.kind == "reboot" else "allow_reboot"
    with pytest.raises(action.ActionRefused, match=f"the setting {option} would allow it") as caught:
        serve(**{other: True}).trigger(request_)
    assert caught.value.option == option


@pytest.mark.parametrize("request_", [Reboot(), Shutdown()])
def test_what_is_allowed_runs_its_command_behind_the_reply(
    serve: Serve, tmp_path: Path, wait_until: WaitUntil, request_: Reboot | Shutdown
) -> None:
    kind = request_.kind
    mark = tmp_path / "mark"
    bench = serve(**{f"allow_{kind}": True, f"{kind}_command": ["touch", str(mark)]})
    assert bench.trigger(request_).result().message == f"touch {mark} runs now"
    wait_until(mark.exists)


def test_a_command_that_fails_is_in_the_log(serve: Serve, wait_until: WaitUntil) -> None:
    bench = serve(allow_reboot=True, reboot_command=["sh", "-c", "echo no such luck >&2; exit 3"])
    bench.trigger(Reboot()).result()
    wait_until(lambda: bool(bench.logs))
    assert bench.logs == [("error", "reboot failed: sh ended with 3: no such luck")]


# settings


def test_a_command_that_is_not_there_is_no_promise(serve: Serve) -> None:
    run = serve(allow_shutdown=True, shutdown_command=["/no/such/program"]).trigger(Shutdown())
    with pytest.raises(
        action.ActionFailed, match="no program /no/such/program; see the setting shutdown_command"
    ):
        run.result()


def test_a_reload_puts_the_file_in_force(serve: Serve, tmp_path: Path) -> None:
    config = tmp_path / "automation.toml"
    config.write_text("result_bytes = 3\n")
    bench = serve(config=str(config))
    assert bench.trigger(RunScript(data=b"echo hello")).result().stdout == b"lo\n"
    config.write_text("result_bytes = 5\n")
    assert bench.trigger(RunScript(data=b"echo hello")).result().stdout == b"lo\n"
    assert bench.trigger(ReloadConfig()).result() == ReloadResult(restart=False)
    assert bench.trigger(RunScript(data=b"echo hello")).result().stdout == b"ello\n"


def test_what_the_host_says_wins_over_the_file(serve: Serve, tmp_path: Path) -> None:
    config = tmp_path / "automation.toml"
    config.write_text("allow_reboot = true\n")
    with pytest.raises(action.ActionRefused):
        serve(config=str(config), allow_reboot=False).trigger(Reboot())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("result_bytes = 'many'", "set up wrongly.*result_bytes"),
        ("colour = 'red'", "unknown field `colour`"),
        ("result_bytes =", "is no TOML"),
        ("config = '/etc/more'", "names a config"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(
    serve: Serve, tmp_path: Path, text: str | None, words: str
) -> None:
    config = tmp_path / "automation.toml"
    config.write_text("result_bytes = 3\n")
    bench = serve(config=str(config))
    bench.trigger(RunScript(data=b"")).result()
    if text is None:
        config.unlink()
    else:
        config.write_text(text)
    with pytest.raises(action.ActionFailed, match=words):
        bench.trigger(ReloadConfig()).result()
    assert bench.trigger(RunScript(data=b"echo hello")).result().stdout == b"lo\n"


def test_another_folder_for_the_state_takes_a_restart(serve: Serve, tmp_path: Path) -> None:
    config = tmp_path / "automation.toml"
    config.write_text(f"state_dir = '{tmp_path / 'one'}'\nresult_bytes = 3\n")
    bench = serve(config=str(config))
    bench.settings = {"config": str(config)}
    config.write_text(f"state_dir = '{tmp_path / 'two'}'\n")
    assert bench.trigger(ReloadConfig()).result() == ReloadResult(restart=False)  # nothing is in use yet
    bench.trigger(UpdateKey(phase="offer", key="a key for the state")).result()
    config.write_text(f"state_dir = '{tmp_path / 'three'}'\nresult_bytes = 1\n")
    assert bench.trigger(ReloadConfig()).result() == ReloadResult(restart=True)
    assert bench.trigger(RunScript(data=b"echo hello")).result().stdout == b"hello\n"
    assert not (tmp_path / "three").exists()


def test_settings_that_cannot_be_meant_refuse_actions(serve: Serve) -> None:
    with pytest.raises(action.ActionFailed, match=r"the host's configuration: .*allow_reboot"):
        serve(allow_reboot="maybe").trigger(Reboot())


def test_the_manifest_knows_every_setting() -> None:
    manifest = json.loads((FOLDER / "plugin_manifest.json").read_text())
    schema = manifest["settings_schema"]["properties"]
    assert set(schema) == set(setting.Settings.__struct_fields__)
    first_run = schema["first_run"]["items"]["properties"]
    assert set(first_run) == set(setting.FirstRun.__struct_fields__)
    assert set(first_run["match"]["properties"]) == set(Properties.__struct_fields__)
    assert manifest["version"] == plugin.version
    assert manifest["id"] == plugin.id


def test_the_state_lies_where_systems_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert setting.Settings().state_folder == "/var/lib/plugin-host-automation"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/ada/state")
    assert setting.Settings().state_folder == "/home/ada/state/plugin-host-automation"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/ada")
    assert setting.Settings().state_folder == "/home/ada/.local/state/plugin-host-automation"


def test_a_plugin_that_is_only_listed_loads_nothing_heavy() -> None:
    code = """if True:
        import sys
        import plugin_host_sdk
        before = set(sys.modules)
        from plugin_host_automation import plugin
        print(" ".join(sorted(set(sys.modules) - before)))
    """
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {
        "plugin_host_automation",
        "plugin_host_automation.deferred",
        "plugin_host_sdk.actionerror",
        "plugin_host_sdk.action",
        "plugin_host_sdk.action.capability",
        "plugin_host_sdk.action.handler",
        "plugin_host_sdk.later",  # which the runtime needs in any case
        "plugin_host_sdk.reconfiguration",
    }


def test_settings_are_known_to_msgspec_before_two_threads_may_need_them() -> None:
    program = """
import threading, time
from plugin_host_automation import setting

class Slow:  # what a first look at the types would evaluate, which lets others in
    def __or__(self, other):
        time.sleep(0.01)
        return str | other

setting.Folder = setting.Text = Slow()
barrier, found = threading.Barrier(8), []

def look():
    barrier.wait()
    found.append(setting.current({"roots": ["/srv"], "path": "/bin"}))

threads = [threading.Thread(target=look) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "8\n", "")
