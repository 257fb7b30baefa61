"""Scripts of the automation plugin: what runs them, as whom, in which file, with which variables."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_host_automation.scriptfile import ScriptFile
from plugin_host_sdk import action
from plugin_host_sdk.action import File, Identity, RunAs, RunScript, ScriptResult
from tests.otheruser import NOBODY, as_nobody, needs_root, open_folder
from tests.plugins.automation import Serve, serve

__all__ = ["as_nobody", "open_folder", "serve"]  # fixtures

AS_NOBODY = RunAs(uid=NOBODY.pw_uid)


def ran(serve: Serve, script: str | bytes, **fields: object) -> ScriptResult:
    data = script.encode() if isinstance(script, str) else script
    result = serve().trigger(RunScript(data=data, **fields)).result()  # type: ignore[arg-type]
    assert isinstance(result, ScriptResult)
    return result


# what runs it


def test_without_a_line_that_says_otherwise_it_is_for_the_shell(serve: Serve) -> None:
    assert ran(serve, "echo $0 $1; exit 3", arguments=("one",)).code == 3


def test_the_first_line_decides(serve: Serve) -> None:
    script = f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:])\n"
    assert ran(serve, script, arguments=("a b", "c")).stdout == b"['a b', 'c']\n"


@pytest.mark.parametrize("executable", [sys.executable, (sys.executable, "-u")])
def test_an_executable_wins_over_the_line(serve: Serve, executable: str | tuple[str, ...]) -> None:
    assert ran(serve, "#!/bin/false\nprint(1 + 1)", executable=executable).stdout == b"2\n"


def test_a_program_is_run_as_it_is(serve: Serve) -> None:
    data = Path("/bin/echo").read_bytes()
    assert ran(serve, data, arguments=("hello",)).stdout == b"hello\n"


def test_an_interpreter_that_is_not_there_is_the_results_error(serve: Serve) -> None:
    result = ran(serve, "#!/no/such/interpreter\n")
    assert "asks for interpreter '/no/such/interpreter'" in result.exec_error
    assert not result.success


def test_a_byte_order_mark_before_the_line_is_told(serve: Serve) -> None:
    script = f"\ufeff#!{sys.executable}\nprint(1)\n"
    result = ran(serve, script)
    assert "behind a byte order mark" in result.exec_error
    assert not result.success
    assert ran(serve, script, executable=sys.executable).stdout == b"1\n"


def test_an_empty_script_does_nothing_and_does_it_well(serve: Serve) -> None:
    assert ran(serve, "").success


# its file


def test_its_file_is_its_users_alone_and_gone_afterwards(serve: Serve) -> None:
    said = ran(
        serve, 'stat -c "%a %u %F" "$0"; stat -c "%a %u" "$(dirname "$0")"; echo "$0"'
    ).stdout.decode()
    about_file, about_folder, path = said.splitlines()
    assert about_file == f"700 {os.geteuid()} regular file"
    assert about_folder == f"700 {os.geteuid()}"
    assert not os.path.exists(os.path.dirname(path))


@needs_root
def test_the_file_of_another_user_can_be_read_by_nobody_else(serve: Serve, open_folder: Path) -> None:
    script = 'stat -c "%a %u %g" "$0"; stat -c "%a %u %g" "$(dirname "$0")"; ls "$(dirname "$0")"'
    result = (
        serve(script_dir=str(open_folder))
        .trigger(RunScript(data=script.encode(), run_as=AS_NOBODY))
        .result()
    )
    assert result.stdout.decode().splitlines() == [f"700 {NOBODY.pw_uid} {NOBODY.pw_gid}", "711 0 0"]
    assert b"Permission denied" in result.stderr
    assert list(open_folder.iterdir()) == []


@needs_root
def test_at_no_time_can_others_read_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    for name in ("write", "fchown", "fchmod", "close"):
        real = getattr(os, name)

        def look(fd: int, *arguments: object, real: object = real) -> object:
            for path in tmp_path.glob("*/script"):
                found = path.stat()
                seen.append((stat.S_IMODE(found.st_mode), found.st_uid))
            return real(fd, *arguments)  # type: ignore[operator]

        monkeypatch.setattr(os, name, look)
    with ScriptFile(b"secret", Identity(NOBODY.pw_uid, NOBODY.pw_gid), str(tmp_path)):
        pass
    assert len(seen) >= 4
    assert {mode & 0o077 for mode, _ in seen} == {0}


def test_what_a_killed_plugin_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    code = f"""if True:
        import os, signal
        from plugin_host_automation.scriptfile import ScriptFile
        with ScriptFile(b"secret", None, {str(tmp_path)!r}):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == -9
    [left] = tmp_path.iterdir()
    assert (left / "script").read_text() == "secret"
    with ScriptFile(b"one", None, str(tmp_path)) as one:
        assert not left.exists()
        with ScriptFile(b"two", None, str(tmp_path)):
            assert Path(one).read_text() == "one"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_file_is_the_results_error(serve: Serve) -> None:
    run = serve(script_dir="/no/such/folder").trigger(RunScript(data=b"echo"))
    assert "its file cannot be written" in run.result().exec_error


# where, as whom, with which variables


@needs_root
def test_another_user_has_that_users_home_and_no_other_group(serve: Serve, open_folder: Path) -> None:
    script = b"id -u; id -G; echo $HOME; echo $USER; echo $LOGNAME; pwd"
    bench = serve(script_dir=str(open_folder))
    result = bench.trigger(RunScript(data=script, run_as=AS_NOBODY)).result()
    assert result.stdout.decode().splitlines() == [
        str(NOBODY.pw_uid),
        str(NOBODY.pw_gid),
        NOBODY.pw_dir,
        "nobody",
        "nobody",
        "/",
    ]


@needs_root
def test_another_user_cannot_do_what_only_root_may(serve: Serve, open_folder: Path) -> None:
    secret = open_folder / "secret"
    secret.write_text("hidden")
    secret.chmod(0o600)
    bench = serve(script_dir=str(open_folder))
    result = bench.trigger(RunScript(data=f"cat {secret}".encode(), run_as=AS_NOBODY)).result()
    assert (result.success, result.stdout) == (False, b"")
    assert b"Permission denied" in result.stderr


def test_without_privilege_another_user_is_refused(serve: Serve, as_nobody: None) -> None:
    with pytest.raises(action.ActionNotPrivileged, match="have the operator start the plugin as root"):
        serve().trigger(RunScript(data=b"id", run_as=RunAs(uid=0)))


def test_an_environment_stands_in_the_place_of_the_plugins(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_PLUGIN", "yes")
    monkeypatch.delenv("PLUGIN_HOST_RUN", raising=False)
    script = "exec /usr/bin/env"
    assert b"OF_THE_PLUGIN=yes\n" in ran(serve, script).stdout
    own = ran(serve, script, environment={"A": "b"}).stdout.splitlines()
    of_the_shell = (b"PLUGIN_HOST_ACTION=", b"PWD=", b"_=", b"SHLVL=", b"OLDPWD=")
    assert [line for line in own if not line.startswith(of_the_shell)] == [b"A=b"]


def test_a_path_that_is_set_counts_where_the_script_has_none(serve: Serve) -> None:
    bench = serve(path="/only/here:/bin:/usr/bin")
    script = b"exec /usr/bin/env"
    with_none = bench.trigger(RunScript(data=script, environment={"A": "b"})).result().stdout
    with_one = bench.trigger(RunScript(data=script, environment={"PATH": "/mine"})).result().stdout
    assert b"PATH=/only/here:/bin:/usr/bin\n" in with_none
    assert b"PATH=/mine\n" in with_one


def test_it_starts_where_it_is_told(serve: Serve, tmp_path: Path) -> None:
    assert ran(serve, "pwd", working_directory=str(tmp_path)).stdout == f"{tmp_path}\n".encode()
    missing = ran(serve, "pwd", working_directory="/no/such")
    assert "cannot start in '/no/such'" in missing.exec_error


# its files, time and result


def test_its_files_are_there_before_it_runs(serve: Serve, tmp_path: Path) -> None:
    files = (
        File(path=str(tmp_path / "one"), mode=0o640, data=b"first\n"),
        File(path=str(tmp_path / "two"), mode="600"),
    )
    result = ran(serve, f'cd {tmp_path}; cat one two; stat -c "%a" one two', files=files)
    assert result.stdout == b"first\n640\n600\n"


def test_a_file_that_cannot_be_written_keeps_it_from_running(serve: Serve, tmp_path: Path) -> None:
    files = (File(path="/no/such/folder/file", data=b""),)
    result = ran(serve, f"touch {tmp_path / 'ran'}", files=files)
    assert "there is no folder /no" in result.exec_error
    assert not (tmp_path / "ran").exists()


def test_its_files_are_bound_by_the_roots(serve: Serve, tmp_path: Path) -> None:
    script = RunScript(data=b"", files=(File(path=str(tmp_path / "file"), data=b""),))
    with pytest.raises(action.ActionRefused) as caught:
        serve(roots=["/srv"]).trigger(script)
    assert caught.value.option == "roots"


def test_its_time_is_bounded(serve: Serve) -> None:
    result = ran(serve, "sleep 600", timeout=0.05)
    assert (result.success, result.signal) == (False, "SIGTERM")
    assert "not done within 0.05 s" in result.reason


def test_its_result_keeps_as_much_as_is_set(serve: Serve) -> None:
    bench = serve(result_bytes=10)
    run = bench.trigger(RunScript(data=b"printf 0123456789abcdef"))
    result = run.result()
    assert (result.stdout, result.stdout_bytes, result.truncated) == (b"6789abcdef", 16, True)
    assert run.stdout == b"0123456789abcdef"
