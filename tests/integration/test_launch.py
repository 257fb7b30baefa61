"""Starting plugins: what a good one says of itself, and how each way to fail is explained."""

from __future__ import annotations

import asyncio
import calendar
import json
import os
import sys
import time
from pathlib import Path

import pytest

from plugin_host import (
    BadAnswer,
    IncompatibleProtocol,
    InitializeFailed,
    InitializeTimeout,
    LaunchError,
    ManifestError,
    PluginExited,
    PluginNotReady,
    SpawnError,
    State,
)
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil


def explain(run: Run, id: str, kind: type[Exception], *dirs: Path) -> Exception:
    """Start a plugin that cannot start beside a good one; how it is explained."""

    async def body() -> Exception:
        async with stage(id, "steady", dirs=dirs) as host:
            plugin = host.plugins[id]
            assert plugin.state is State.FAILED
            assert plugin.pid is None
            assert await host.call("steady", "echo", {"value": 1}) == 1
            with pytest.raises(PluginNotReady) as refused:
                await host.call(id, "anything")
            assert str(plugin.error) in str(refused.value)
            with pytest.raises(kind) as again:
                await host.start(id)
            assert host.plugins["steady"].state is State.READY
            return again.value

    error = run(body())
    assert type(error) is kind
    return error


def test_ready_plugin_says_who_it_is(run: Run) -> None:
    async def body() -> None:
        async with stage("steady") as host:
            plugin = host.plugins["steady"]
            assert (plugin.id, plugin.version, plugin.state) == ("steady", "1.0.0", State.READY)
            assert plugin.capabilities == {"command": {"commands": ["ask", "echo", "pid", "sleep"]}}
            assert plugin.commands == ["ask", "echo", "pid", "sleep"]
            assert plugin.error is None
            assert await host.call("steady", "pid") == plugin.pid
        assert plugin.state is State.STOPPED
        assert plugin.pid is None

    run(body())


def test_import_error_is_shown_with_its_last_line_and_stderr(run: Run) -> None:
    error = explain(run, "raises_at_import", PluginExited)
    assert isinstance(error, PluginExited)
    assert "exited with status 1 before it was ready" in str(error)
    assert "LookupError: the flux compensator is missing" in (error.hint or "")
    assert "about to fail" in error.stderr
    assert any(line.startswith("Traceback") for line in error.stderr)
    assert error.plugin == "raises_at_import"


def test_entry_point_whose_package_is_missing_is_told(run: Run) -> None:
    error = explain(run, "missing_module", PluginExited)
    assert isinstance(error, PluginExited)
    assert "cannot import package_that_nobody_installed" in (error.hint or "")
    assert sys.executable in str(error)
    assert "ModuleNotFoundError" in "\n".join(error.stderr)


def test_entry_point_whose_attribute_is_missing_is_told(run: Run) -> None:
    error = explain(run, "missing_name", PluginExited)
    assert "AttributeError" in str(error)
    assert "plugins" in str(error)


def test_module_that_is_not_the_plugin_s_own_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "dates").mkdir()
    (tmp_path / "dates" / "calendar.py").write_text("plugin = None\n")
    manifest = {"id": "dates", "version": "1", "launch": {"entry_point": "calendar:plugin"}}
    (tmp_path / "dates" / "plugin_manifest.json").write_text(json.dumps(manifest))
    error = explain(run, "dates", PluginExited, tmp_path)
    assert isinstance(error, PluginExited)
    assert f"'plugin'; calendar was imported from {calendar.__file__}" in (error.hint or "")


def test_entry_point_that_is_no_plugin_is_told(run: Run) -> None:
    error = explain(run, "not_a_plugin", PluginExited)
    assert "is 'dict', not a plugin_host_sdk.Plugin" in str(error)


def test_early_exit_is_told_with_status_and_stderr(run: Run) -> None:
    error = explain(run, "dies_early", PluginExited)
    assert isinstance(error, PluginExited)
    assert "exited with status 3 before it was ready" in str(error)
    assert error.stderr == ("cannot find my licence file",)


def test_early_death_by_signal_is_told_in_words(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "crash", "import os; os.kill(os.getpid(), 11)")
    error = explain(run, "crash", PluginExited, folder)
    assert "killed by SIGSEGV (segmentation fault" in str(error)


def test_program_that_ends_while_it_is_asked_who_it_is_died_in_initialize(run: Run, tmp_path: Path) -> None:
    code = "import os; os.read(0, 1); os._exit(4)"
    folder = write_plugin(tmp_path, "shy", launch={"argv": ["python3", "-S", "-c", code]})
    error = explain(run, "shy", PluginExited, folder)
    assert isinstance(error, PluginExited)
    assert error.report is not None
    assert (error.report.phase, error.report.how) == (
        "initialize",
        "exited with status 4 before it was ready",
    )


def test_program_that_ends_at_once_is_asked_whether_it_is_a_plugin(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "done", launch={"argv": ["true"]})
    error = explain(run, "done", PluginExited, folder)
    assert "is this program a plugin?" in str(error)
    assert isinstance(error, PluginExited)
    report = error.report
    assert report is not None
    assert report.how == "exited with status 0 before it was ready"
    assert report.pid is not None
    assert report.uptime > 0
    assert f"after {report.uptime:.1f} s" in report.sentence()


def test_slow_import_is_killed_at_the_deadline(run: Run) -> None:
    began = time.monotonic()
    error = explain(run, "slow_handshake", InitializeTimeout)
    assert isinstance(error, InitializeTimeout)
    assert "did not answer initialize within 0.5 s and was killed" in str(error)
    assert "start_timeout_s" in (error.hint or "")
    assert "loading a large model" in str(error)
    assert time.monotonic() - began < 5


def test_program_that_says_nothing_is_killed_at_the_deadline(run: Run) -> None:
    error = explain(run, "mute", InitializeTimeout)
    assert "within 0.3 s" in str(error)


def test_other_protocol_version_is_told_with_both_lists(run: Run) -> None:
    error = explain(run, "old_protocol", IncompatibleProtocol)
    assert "speaks protocol -2, -1; this host speaks 1" in str(error)


def test_version_that_was_not_offered_is_told_with_both(run: Run) -> None:
    error = explain(run, "future_protocol", IncompatibleProtocol)
    assert "99" in str(error)
    assert "this host speaks 1" in str(error)


@pytest.mark.parametrize("id", ["wrong_id", "liar"])
def test_plugin_of_another_id_is_refused_naming_both(run: Run, id: str) -> None:
    error = explain(run, id, InitializeFailed)
    assert id in str(error)
    assert "somebody_else" in str(error)
    assert isinstance(error, InitializeFailed)
    assert error.report is not None
    assert error.report.phase == "initialize"  # its code was imported


def test_garbage_instead_of_an_answer_is_shown(run: Run) -> None:
    error = explain(run, "answers_garbage", InitializeTimeout)
    assert "HTTP/1.1 400 Bad Request" in str(error)
    assert "is this program a plugin?" in str(error)


def test_program_that_talks_without_end_is_stopped_at_once(run: Run) -> None:
    error = explain(run, "babbles", BadAnswer)
    assert "65536 bytes arrived" in str(error)
    assert "I talk and talk" in str(error)


def test_closed_stdout_is_told(run: Run) -> None:
    error = explain(run, "closes_stdout", BadAnswer)
    assert "closed its stdout" in str(error)


def test_missing_interpreter_is_named(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "nowhere", launch={"interpreter": "/no/such/python"})
    error = explain(run, "nowhere", SpawnError, folder)
    assert isinstance(error, SpawnError)
    assert error.file == "/no/such/python"
    assert error.plugin == "nowhere"
    assert "/no/such/python" in str(error)


def test_missing_virtual_environment_is_named(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "homeless", launch={"venv": "venv"})
    error = explain(run, "homeless", SpawnError, folder)
    assert str(tmp_path / "homeless" / "venv" / "bin" / "python") in str(error)


def test_missing_program_is_named(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "absent", launch={"argv": ["no-such-program-anywhere"]})
    error = explain(run, "absent", SpawnError, folder)
    assert "no-such-program-anywhere" in str(error)


def test_program_that_is_not_executable_is_named(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "plain", launch={"argv": ["./run.sh"]})
    (tmp_path / "plain" / "run.sh").write_text("#!/bin/sh\n")
    error = explain(run, "plain", SpawnError, folder)
    assert isinstance(error, SpawnError)
    assert error.file == str(tmp_path / "plain" / "run.sh")
    assert "not executable" in str(error)


def test_program_for_another_machine_is_named(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "foreign", launch={"argv": ["./program"]})
    program = tmp_path / "foreign" / "program"
    elf = bytearray(Path(os.path.realpath(sys.executable)).read_bytes()[:4096])
    elf[18:20] = (0x9999).to_bytes(2, "little")  # a machine that does not exist
    program.write_bytes(elf)
    program.chmod(0o755)
    error = explain(run, "foreign", SpawnError, folder)
    assert str(program) in str(error)
    assert "was built for ELF machine 39321, and this machine is" in str(error)


def test_script_whose_interpreter_is_missing_is_named(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "script", launch={"argv": ["./run"]})
    script = tmp_path / "script" / "run"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    error = explain(run, "script", SpawnError, folder)
    assert "/no/such/interpreter" in str(error)


def test_interpreter_without_the_sdk_is_told(run: Run, tmp_path: Path) -> None:
    """A Python that runs, and has not what a plugin needs."""
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    wrapper.chmod(0o755)
    folder = write_plugin(tmp_path / "plugins", "bare", launch={"interpreter": str(wrapper)})
    error = explain(run, "bare", PluginExited, folder)
    assert f"{wrapper} has no plugin-host-sdk" in str(error)


def test_settings_reach_the_plugin(run: Run, tmp_path: Path) -> None:
    from plugin_host.configuration import load

    folder = write_plugin(
        tmp_path,
        "tuned",
        """
        @plugin.command("settings")
        def settings(ctx):
            return ctx.settings
        """,
    )
    file = tmp_path / "plugin-host.toml"
    file.write_text('[plugins.tuned.settings]\ncolour = "red"\nsizes = [1, 2]\n')

    async def body() -> None:
        async with stage("tuned", dirs=[folder], config=load(file)) as host:
            assert await host.call("tuned", "settings") == {"colour": "red", "sizes": [1, 2]}

    run(body())


def test_environment_is_the_allow_list_and_what_was_asked_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "do not tell")
    monkeypatch.setenv("WANTED_BY_NAME", "yes")
    folder = write_plugin(
        tmp_path,
        "curious",
        """
        import os
        @plugin.command("environment")
        def environment(ctx):
            return dict(os.environ)
        """,
        launch={"env": {"OWN": "value"}, "inherit_env": ["WANTED_BY_NAME"]},
    )

    async def body() -> dict[str, str]:
        async with stage("curious", dirs=[folder]) as host:
            found: dict[str, str] = await host.call("curious", "environment")
            return found

    found = run(body())
    assert found["OWN"] == "value"
    assert found["WANTED_BY_NAME"] == "yes"
    assert "SECRET_OF_THE_HOST" not in found
    assert "PLUGIN_HOST_COOKIE" not in found
    assert "/curious/1" in found["PLUGIN_HOST_RUN"]


def test_plugin_leads_a_session_of_its_own_and_holds_no_descriptor_of_the_host(
    run: Run, tmp_path: Path
) -> None:
    folder = write_plugin(
        tmp_path,
        "clean",
        """
        import os
        @plugin.command("facts")
        def facts(ctx):
            fds = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
            targets = [os.readlink(fd) for fd in fds if os.path.lexists(fd)]
            return {"session": os.getsid(0), "pid": os.getpid(), "targets": targets}
        """,
    )

    async def body() -> None:
        async with stage("clean", dirs=[folder]) as host:
            facts = await host.call("clean", "facts")
        assert facts["session"] == facts["pid"]
        kinds = sorted(target.partition(":")[0] for target in facts["targets"])
        # Stderr is there twice; the file without a name is for stacks.
        assert kinds == ["/dev/null", "/memfd", "pipe", "pipe", "socket"]

    with open(tmp_path / "secret", "w") as file:
        os.set_inheritable(file.fileno(), True)
        run(body())


def test_checksum_that_does_not_match_keeps_a_plugin_from_starting(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "tampered", checksum="sha256:" + "0" * 64)
    error = explain(run, "tampered", ManifestError, folder)
    assert "checksum" in str(error)


def test_launch_that_is_cancelled_leaves_nothing(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        host = stage("slow_handshake", "steady")
        entering = asyncio.ensure_future(host.__aenter__())
        await wait_until.aio(lambda: host.plugins and host.plugins["steady"].state is State.READY)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert str(host.plugins["steady"].state) == "stopped"

    run(body())


def test_failed_plugin_starts_once_its_reason_is_gone(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(
        tmp_path,
        "mended",
        head="""
        import os, sys
        if not os.path.exists(os.path.join(os.path.dirname(__file__), "mended")):
            sys.exit("not yet")
        """,
    )

    async def body() -> None:
        async with stage("mended", dirs=[folder]) as host:
            plugin = host.plugins["mended"]
            assert isinstance(plugin.error, LaunchError)
            assert "not yet" in str(plugin.error)
            (folder / "mended" / "mended").touch()
            await host.start("mended")
            assert plugin.state is State.READY
            assert plugin.error is None

    run(body())


def test_start_of_a_plugin_that_runs_changes_nothing(run: Run) -> None:
    async def body() -> None:
        async with stage("steady") as host:
            pid = host.plugins["steady"].pid
            await asyncio.gather(host.start("steady"), host.start("steady"))
            assert host.plugins["steady"].pid == pid
            await host.restart("steady")
            assert host.plugins["steady"].pid != pid
            assert await host.call("steady", "echo", {"value": "again"}) == "again"

    run(body())


def test_what_a_plugin_sends_with_its_answer_is_not_lost(
    run: Run, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with stage("hasty", services={"echo": lambda caller, value: [caller.plugin, value]}) as host:
            assert host.plugins["hasty"].commands == ["heard"]
            assert await host.call("hasty", "heard") == ["hasty", "so soon"]
        assert "ready, and a word more" in logged.text

    run(body())


def test_plugin_that_is_ready_and_breaks_the_protocol_at_once_is_explained(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with stage("ready_and_gone") as host:
            plugin = host.plugins["ready_and_gone"]
            await wait_until.aio(lambda: plugin.state is State.FAILED)
            assert "broke the protocol" in str(plugin.error)

    run(body())
