"""Plugins that are forked: like those that are not, whatever becomes of the forkserver."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import PluginDied, PluginExited
from plugin_host.configuration import PluginConfiguration
from plugin_host.tree import marked
from plugin_host.warm.spare import Spare
from tests.docs.page import blocks
from tests.forked import folder, forkserver_of, host_of, no_variable, parent_of
from tests.run import Run
from tests.source import ROOT
from tests.stage import runs, write_plugin
from tests.victim import Victim, is_there
from tests.wait import WaitUntil

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks need Linux")


__all__ = ["folder", "no_variable"]  # fixtures


@contextmanager
def odd_surroundings() -> Iterator[None]:
    """What a plugin has from its host, changed while the host runs."""
    umask, here = os.umask(0o27), os.getcwd()
    os.chdir("/usr")
    try:
        yield
    finally:
        os.umask(umask)
        os.chdir(here)


def test_forked_plugin_finds_what_one_that_was_started_finds(run: Run, folder: Path) -> None:
    env = {"COLOUR": "blau", "TZ": "Asia/Tokyo"}

    async def facts(launch: str) -> dict[str, Any]:
        plugins = {"demo": PluginConfiguration(env=env, umask="037")}
        async with host_of("demo", folder=folder, launch=launch, plugins=plugins) as host:
            is_forked = parent_of(host, "demo") != os.getpid()
            assert is_forked is (launch == "always")
            found: dict[str, Any] = await host.call("demo", "facts")
            pid = host.plugins["demo"].pid
            assert pid is not None
            found["command"] = " ".join(psutil.Process(pid).cmdline())
            return found

    async def body() -> None:
        with odd_surroundings():
            warm, cold = await facts("always"), await facts("never")
        for found in (warm, cold):
            run_id = found["environ"]["PLUGIN_HOST_RUN"].partition("/")[0]
            for name in ("environ", "shown", "orig_argv", "command"):
                found[name] = str(found[name]).replace(run_id, "RUN")
            # The number of a descriptor may be another.
            number = found["orig_argv"].partition("'--stacks-fd', '")[2].partition("'")[0]
            found["orig_argv"] = found["orig_argv"].replace(f"'--stacks-fd', '{number}'", "")
            found["command"] = found["command"].replace(f" --stacks-fd {number} ", " ")
        assert warm == cold

    run(body())


def test_nothing_of_the_forkservers_own_environment_is_shown_behind_a_shorter_one(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"] + ":/opt/of/the/host" * 60)

    async def body() -> None:
        plugins = {"demo": PluginConfiguration(env={"PATH": "/usr/bin:/bin"})}
        async with host_of("demo", folder=folder, plugins=plugins) as host:
            assert parent_of(host, "demo") == forkserver_of(host)
            facts = await host.call("demo", "facts")
            # Of these the SDK takes the one away that it knows its host by, and Python may set the other.
            others = ("PLUGIN_HOST_COOKIE=", "LC_CTYPE=")
            found = [f"{name}={value}" for name, value in facts["environ"].items()]
            shown, found = (
                sorted(entry for entry in entries if not entry.startswith(others))
                for entries in (facts["shown"], found)
            )
            assert shown == found

    run(body())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="every object is counted before 3.12")
def test_idle_forked_plugin_has_little_memory_of_its_own(run: Run, tmp_path: Path) -> None:
    write_plugin(tmp_path, "small", '@plugin.command("echo")\ndef echo(ctx, value):\n    return value\n')

    async def body() -> None:
        async with host_of("small", folder=tmp_path) as host:
            for id in host.plugins:
                await host.call(id, "echo", {"value": 1})
                pid = host.plugins[id].pid
                assert pid is not None
                assert psutil.Process(pid).memory_full_info().uss < 2.5 * (1 << 20)

    run(body())


def test_forked_plugins_share_no_random_state_and_opting_out_is_heeded(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with host_of("demo", "other", "apart", folder=folder) as host:
            drawn = {id: await host.call(id, "draw") for id in host.plugins}
            assert len({number for number, _, _ in drawn.values()}) == 3
            parents = {id: parent for id, (_, _, parent) in drawn.items()}
            forkserver = forkserver_of(host)
            assert parents == {"demo": forkserver, "other": forkserver, "apart": os.getpid()}
            for id, (_, pid, _) in drawn.items():
                assert host.plugins[id].pid == pid
        assert not any(runs(pid) for _, pid, _ in drawn.values())
        assert not runs(forkserver)

    run(body())


def test_two_launches_are_no_reason_for_a_forkserver_and_three_are(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with host_of("demo", folder=folder, launch="auto") as host:
            await host.restart("demo")
            assert host._forkserver.pid is None
            await host.restart("demo")
            await host.restart("demo")
            assert parent_of(host, "demo") == host._forkserver.pid

    run(body())


def test_one_child_is_ahead_and_forked_once_the_start_before_it_is_over(
    run: Run, folder: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with host_of("demo", folder=folder) as host:
            helper = host._forkserver._helper
            assert helper is not None
            await wait_until.aio(lambda: helper._spares)
            assert len(helper._spares) == helper.threads == 1
            spare = await helper.spare(5)
            assert spare is not None
            assert not helper._coming  # nobody takes a processor from it
            spare.discard()
            await wait_until.aio(lambda: len(helper._spares) == 1)
            frozen, is_collecting = await host.call("demo", "garbage")
            assert frozen > 10_000
            assert is_collecting

    run(body())


def test_variable_of_the_environment_decides_for_the_whole_host(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with host_of("demo", folder=folder, launch="always") as host:
            assert parent_of(host, "demo") == os.getpid()

    monkeypatch.setenv("PLUGIN_HOST_WARM", "0")
    run(body())


def test_what_only_a_new_interpreter_would_read_is_given_to_a_new_interpreter(
    run: Run, folder: Path
) -> None:
    async def body() -> None:
        plugins = {"demo": PluginConfiguration(env={"PYTHONHASHSEED": "7"})}
        async with host_of("demo", "other", folder=folder, plugins=plugins) as host:
            assert parent_of(host, "demo") == os.getpid()
            assert parent_of(host, "other") == forkserver_of(host)

    run(body())


# Dying.


def test_death_is_told_with_signal_status_and_peak_memory(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with host_of("demo", folder=folder) as host:
            with pytest.raises(PluginDied) as death:
                await host.call("demo", "die", {"number": signal.SIGSEGV})
            report = death.value.report
            assert report is not None
            assert report.status is not None
            assert report.status.signal == signal.SIGSEGV
            assert 40 << 20 < (report.peak_memory or 0) < 200 << 20
            assert report.cpu_s
            await host.start("demo")
            with pytest.raises(PluginDied, match="exited with status 7"):
                await host.call("demo", "leave", {"code": 7})

    run(body())


def test_import_that_fails_is_explained(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "broken", head="import there_is_no_such_module")

    async def body() -> None:
        async with host_of("broken", folder=folder) as host:
            assert host._forkserver.pid is not None
            error = host.plugins["broken"].error
            assert isinstance(error, PluginExited)
            assert "No module named 'there_is_no_such_module'" in str(error)
            assert error.status is not None
            assert error.status.code == 1

    run(body())


def test_dead_forkserver_costs_a_status_and_is_replaced(
    run: Run, folder: Path, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with host_of("demo", "other", folder=folder) as host:
            first = forkserver_of(host)
            os.kill(first, signal.SIGKILL)
            await wait_until.aio(lambda: host._forkserver.pid is None)
            assert len(await host.call("demo", "draw")) == 3  # it goes on
            await host.stop("other")  # and is stopped as ever
            with pytest.raises(PluginDied, match=r"status lost \(the helper process that had started it"):
                await host.call("demo", "leave", {"code": 7})
            await host.start("demo")
            second = forkserver_of(host)
            assert second != first
            assert parent_of(host, "demo") == second

    with caplog.at_level(logging.WARNING, "plugin_host.warm"):
        run(body())
    assert "ended: killed by SIGKILL" in caplog.messages[0]


def test_forkserver_that_hangs_delays_a_launch_and_fails_none(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr("plugin_host.warm.forkserver._LONG_S", 0.2)
    # Longer than the host waits for the exit that explains the end of a wire.
    monkeypatch.setattr("plugin_host.warm.childreaper.ANSWER_S", 0.4)

    async def body() -> None:
        async with host_of("demo", "other", folder=folder) as host:
            await host.stop("demo")
            forkserver = forkserver_of(host)
            helper = host._forkserver._helper
            assert helper is not None
            await wait_until.aio(lambda: helper._spares)
            os.kill(forkserver, signal.SIGSTOP)
            try:
                await host.start("demo")  # by the spare that is there
                assert parent_of(host, "demo") == forkserver
                with pytest.raises(PluginDied, match="status lost"):
                    await host.call("demo", "leave", {"code": 7})
                for _ in range(2):
                    await host.restart("demo")
                    assert parent_of(host, "demo") == os.getpid()
                assert await helper.spare(10) is None  # nobody waits for it again
            finally:
                os.kill(forkserver, signal.SIGCONT)
            await wait_until.aio(lambda: helper._spares)
            await host.restart("demo")
            assert parent_of(host, "demo") == forkserver

    run(body())


def test_spare_that_was_killed_or_does_not_take_its_order_is_no_loss(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with host_of("demo", folder=folder) as host:
            helper = host._forkserver._helper
            assert helper is not None
            await host.stop("demo")
            await wait_until.aio(lambda: helper._spares)
            spare = helper._spares[0].pid
            os.kill(spare, signal.SIGKILL)
            await wait_until.aio(lambda: not is_there(spare))
            await host.start("demo")
            assert await host.call("demo", "draw")
            await host.stop("demo")

            def refuse(*_: Any) -> None:
                raise OSError("too much")

            monkeypatch.setattr(Spare, "_send", refuse)
            await host.start("demo")
            assert parent_of(host, "demo") == os.getpid()

    run(body())


def test_launch_that_is_cancelled_gives_its_child_back(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with host_of("demo", folder=folder) as host:
            helper = host._forkserver._helper
            assert helper is not None
            if helper._spares:
                helper._spares.popleft().discard()
            waiting = asyncio.ensure_future(helper.spare(5))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            spare = await helper.spare(5)
            assert spare is not None
            spare.discard()

    run(body())


# What others see of it.


def test_descendant_that_left_the_tree_is_found_by_its_mark_and_killed(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with host_of("demo", folder=folder) as host:
            daemon = await host.call("demo", "vanish")
            token = host._supervisors["demo"]._instance.mark  # type: ignore[union-attr]
            assert {one.pid for one in marked(token)} == {host.plugins["demo"].pid, daemon}
            await host.stop("demo")
            assert not is_there(daemon)

    run(body())


@pytest.mark.edges
def test_host_that_is_killed_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setenv("PLUGIN_HOST_WARM", "1")
    code = """
    told["others"] = [await host.call("demo", "vanish"), host._forkserver.pid]
    os.kill(told["pids"][1], signal.SIGSTOP)
    if os.fork() == 0:  # holds every socket of the host's
        signal.alarm(3)
        signal.pause()
    """
    with Victim(["demo", "other"], [folder], code) as victim:
        # Two plugins, a daemon, the forkserver and its spare, which comes when the last start is over.
        wait_until(lambda: len(victim.left()) == 5)
        assert victim.seconds_until_gone(victim.kill()) < 3


# What is imported ahead.


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[str]:
    """Modules that interpreters of this environment find; the name of the one that does no harm."""
    import sysconfig

    name = f"warm_test_{os.getpid()}"
    path = Path(sysconfig.get_path("purelib")) / f"{name}.py"
    threads = path.with_name(f"{name}_threads.py")
    path.write_text(
        "import signal, sys\nsys.path.append('/nowhere')\nprint('imported ahead')\n"
        "signal.signal(signal.SIGUSR2, lambda *_: None)\n"
    )
    threads.write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    yield name
    path.unlink()
    threads.unlink()


def test_configured_modules_are_there_and_their_faults_are_told(
    run: Run, folder: Path, packages: str, logged: pytest.LogCaptureFixture
) -> None:
    imports = (packages, "there_is_no_such_module")

    async def body() -> None:
        async with host_of("demo", folder=folder, imports=imports) as host:
            assert parent_of(host, "demo") == forkserver_of(host)
            assert await host.call("demo", "modules", {"names": [packages, "msgspec"]}) == [True, True]
            facts = await host.call("demo", "facts")
            assert "/nowhere" not in facts["path"]
            assert "lambda" not in str(facts["handlers"])

    run(body())
    assert any("imported ahead: there_is_no_such_module: Module" in one for one in logged.messages)
    assert "forkserver: imported ahead" in logged.messages


def test_modules_that_the_page_for_operators_names_are_loaded_once_for_all(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (imports,) = (
        tomllib.loads(block.text)["warm"]["imports"]
        for block in blocks(ROOT / "docs" / "operator.md")
        if block.text.startswith("[warm]")
    )
    code = """
        import sys

        before = set(sys.modules)

        import asyncio

        @plugin.command("modules")
        async def modules(ctx, names):
            await asyncio.sleep(0)
            return [name in before for name in names]
    """
    folder = write_plugin(tmp_path, "demo", code)

    async def body() -> None:
        async with host_of("demo", folder=folder, imports=imports) as host:
            assert parent_of(host, "demo") == forkserver_of(host)
            assert await host.call("demo", "modules", {"names": imports}) == [True] * len(imports)

    with caplog.at_level(logging.INFO, "plugin_host.warm"):
        run(body())
    assert not caplog.messages


def test_module_that_starts_a_thread_is_no_reason_to_fork_a_process_with_two(
    run: Run, folder: Path, packages: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with host_of("demo", folder=folder, imports=(f"{packages}_threads",)) as host:
            assert parent_of(host, "demo") == os.getpid()
            assert host._forkserver.pid is None

    with caplog.at_level(logging.WARNING, "plugin_host.warm"):
        run(body())
    assert f"importing {packages}_threads starts threads" in caplog.text
