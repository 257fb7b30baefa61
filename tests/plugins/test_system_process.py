"""The system plugin in a process of its own: every command for real, its refusals, its time."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import CallCancelled, CallFailed, CallTimeout, PluginHost, PluginNotFound
from plugin_host.state import State
from plugin_host_system import failure
from tests.run import Run
from tests.stage import link_of

pytestmark = pytest.mark.edges

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
COMMANDS = ["children", "cpu", "disk_usage", "disks", "memory", "network", "process", "processes"]

Ask = Callable[..., Coroutine[Any, Any, Any]]


@asynccontextmanager
async def system(
    folder: Path = PLUGINS, id: str = "system", **options: Any
) -> AsyncIterator[tuple[Ask, PluginHost]]:
    """A host with this plugin alone, and how to ask it: `await ask("cpu", interval=1)`."""
    async with PluginHost(plugin_dirs=[folder], entry_points=False, only=[id], **options) as host:
        assert host.plugins[id].state is State.READY, host.plugins[id].error

        async def ask(command: str, /, timeout: float | None = None, **params: Any) -> Any:
            return await host.call(id, command, params, timeout=timeout)

        yield ask, host


async def refusal(call: Awaitable[Any]) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await call
    return caught.value


# answers


def test_every_command_answers_with_what_is_true(run: Run, tmp_path: Path) -> None:
    disk = shutil.disk_usage(tmp_path)

    async def body() -> None:
        async with system() as (ask, host):
            plugin = host.plugins["system"]
            assert plugin.commands == COMMANDS
            assert (await ask("cpu", interval=0.05))["logical_cpus"] == os.cpu_count()
            assert (await ask("memory"))["total_bytes"] == psutil.virtual_memory().total
            usage = await ask("disk_usage", path=str(tmp_path))
            assert (usage["path"], usage["total_bytes"]) == (str(tmp_path), disk.total)
            mounts = (await ask("disks", all_mounts=True))["mounts"]
            assert "/proc" in [mount["mount_point"] for mount in mounts]
            assert "lo" in (await ask("network"))["interfaces"]
            listed = await ask("processes", sort="pid", limit=3, interval=0.05)
            assert len(listed["processes"]) == 3
            assert listed["total"] > 3
            itself = await ask("process", pid=plugin.pid)
            parent = psutil.Process(plugin.pid).ppid()
            assert itself["parent_pid"] == parent
            assert itself["command_line"][-1] == "plugin_host_system:plugin"
            children = (await ask("children", pid=parent, recursive=False))["children"]
            assert plugin.pid in [child["pid"] for child in children]

    run(body())


def test_parameters_may_be_left_out_where_they_have_a_default(run: Run) -> None:
    async def body() -> None:
        async with system() as (ask, host):
            assert (await ask("disk_usage"))["mount_point"] == "/"
            assert (await host.call("system", "memory"))["total_bytes"] > 0
            assert len((await ask("processes"))["processes"]) <= 20

    run(body())


def test_commands_are_listed_in_words_a_caller_understands(run: Run) -> None:
    async def body() -> Any:
        async with system() as (_, host):
            _, answer = link_of(host, "system").request("command.list", {})
            return await answer

    commands = {command["name"]: command for command in run(body())["commands"]}
    assert list(commands) == COMMANDS
    assert all(command["help"].endswith(".") for command in commands.values())
    sorts = '"cpu" | "memory" | "pid" | "name" | "started"'
    assert commands["processes"]["params"] == [
        {"name": "sort", "type": sorts, "required": False, "default": "cpu"},
        {"name": "limit", "type": "int (1 to 1000)", "required": False, "default": 20},
        {"name": "name", "type": "str", "required": False, "default": ""},
        {"name": "interval", "type": "float (0.05 to 60)", "required": False, "default": 0.25},
    ]
    assert commands["process"]["params"] == [{"name": "pid", "type": "int (1 or more)", "required": True}]


# refusals


def test_wrong_parameters_are_refused_with_their_place(run: Run) -> None:
    wrong: list[tuple[str, Any, str, str]] = [
        ("cpu", {"interval": 0}, "$.interval", "float (0.05 to 60)"),
        ("cpu", {"interval": "1"}, "$.interval", "got `str`"),
        ("cpu", {"intervall": 1}, "$.intervall", "did you mean 'interval'"),
        ("memory", {"unit": "GiB"}, "$.unit", "takes: none"),
        ("disk_usage", {"path": 7}, "$.path", "Expected `str`, got `int`"),
        ("disks", {"all_mounts": "yes"}, "$.all_mounts", "Expected `bool`, got `str`"),
        ("network", {"interface": "lo"}, "$.interface", "takes: none"),
        ("processes", {"sort": "CPU"}, "$.sort", '"cpu" | "memory"'),
        ("processes", {"limit": 1001}, "$.limit", "int (1 to 1000)"),
        ("processes", {"limit": True}, "$.limit", "got `bool`"),
        ("process", {}, "$.pid", "parameter 'pid' is missing; it takes int (1 or more)"),
        ("process", {"pid": -1}, "$.pid", "int (1 or more)"),
        ("children", {"pid": None}, "$.pid", "got `null`"),
        ("children", {"pid": 1, "recursive": 1}, "$.recursive", "Expected `bool`, got `int`"),
        ("cpu", [1], "$", "parameters are a map, not list"),
    ]

    async def body() -> None:
        async with system() as (_, host):
            for command, params, path, words in wrong:
                error = await refusal(host.call("system", command, params))
                row = f"{command} {params}: {error}"
                assert (error.name, error.code, error.retryable) == ("command.bad_request", 102, False), row
                assert error.data == {"path": path}, row
                assert str(error).startswith(f"system {command}: "), row
                assert words in str(error), row

    run(body())


def test_a_mistyped_name_is_answered_with_the_one_that_was_meant(run: Run) -> None:
    async def body() -> None:
        async with system() as (ask, host):
            error = await refusal(ask("disk_usge"))
            assert (error.name, error.code) == ("command.not_found", 101)
            assert "no command 'disk_usge'; did you mean 'disk_usage'" in str(error)
            assert error.data == {"commands": COMMANDS}
            error = await refusal(ask("zzz"))
            assert f"(commands: {', '.join(COMMANDS)})" in str(error)
            with pytest.raises(PluginNotFound, match="did you mean `system`") as caught:
                await host.call("sytsem", "cpu")
            assert caught.value.near == ("system",)

    run(body())


UNPRIVILEGED = """
import os, sys, traceback
sys.path.append({folder!r})
from plugin_host_system import deferred, plugin as plugin
# While the files of the interpreter can be read: their folders may be private to this user.
import plugin_host_sdk.annotation, plugin_host_sdk.parameter, plugin_host_sdk.runtime.server
deferred.psutil, deferred.parameter
plugin.id = "unprivileged"
if os.geteuid() == 0:
    os.seteuid(65534)
"""


def test_statuses_of_its_own_arrive_as_codes(run: Run, tmp_path: Path) -> None:
    # Nobody, not even root, may look into it from the plugin.
    closed = tmp_path / "closed"
    (closed / "inside").mkdir(parents=True)
    home = tmp_path / "plugins" / "unprivileged"
    home.mkdir(parents=True)
    (home / "unprivileged.py").write_text(UNPRIVILEGED.format(folder=str(PLUGINS / "system")))
    launch = {"entry_point": "unprivileged:plugin"}
    (home / "plugin_manifest.json").write_text(
        json.dumps({"id": "unprivileged", "version": "1.0.0", "launch": launch})
    )
    with subprocess.Popen(["true"]) as ended:
        pass
    asked: list[tuple[str, dict[str, Any], int]] = [
        ("disk_usage", {"path": "/no/such/path"}, failure.NO_SUCH_PATH),
        ("process", {"pid": ended.pid}, failure.NO_SUCH_PROCESS),
        ("children", {"pid": ended.pid}, failure.NO_SUCH_PROCESS),
        ("disk_usage", {"path": str(closed / "inside")}, failure.PERMISSION_DENIED),
        ("disk_usage", {"path": "/" + "x" * 300}, failure.NOT_ACCESSIBLE),
    ]

    async def body() -> None:
        async with system(home.parent, "unprivileged") as (ask, _):
            for command, params, status in asked:
                error = await refusal(ask(command, **params))
                row = f"{command} {params}: {error}"
                assert (error.name, error.code, error.retryable) == ("command.failed", status, False), row
                assert error.data == params, row
                assert str(error).startswith(f"unprivileged {command}: {failure.MEANINGS[status]}: "), row

    closed.chmod(0)
    try:
        run(body())
    finally:
        closed.chmod(0o700)


# time


def test_a_cancelled_measurement_ends_in_the_plugin_too(run: Run) -> None:
    async def body() -> None:
        async with system() as (ask, host):
            for _ in range(3):  # each round needs nearly all workers, so those before must be free
                measuring = [asyncio.create_task(ask("cpu", interval=60)) for _ in range(30)]
                await ask("cpu", interval=0.05, timeout=5)  # asked after them, so they have begun
                for task in measuring:
                    task.cancel()
                ended = await asyncio.gather(*measuring, return_exceptions=True)
                assert [type(one) for one in ended] == [asyncio.CancelledError] * 30
            assert host.plugins["system"].state is State.READY

    run(body())


def test_a_deadline_ends_a_measurement_here_and_there(run: Run) -> None:
    async def body() -> None:
        async with system() as (ask, _):
            began = time.monotonic()
            ended = await asyncio.gather(
                *(ask("cpu", interval=60, timeout=0.3) for _ in range(40)), return_exceptions=True
            )
            assert time.monotonic() - began < 5
            assert [type(one) for one in ended] == [CallTimeout] * 40
            assert {str(one) for one in ended} == {"system cpu: no answer within 0.3 s"}
            assert (await ask("cpu", interval=0.05, timeout=5))["percent"] >= 0

    run(body())


def test_a_measurement_that_ends_with_its_deadline_is_in_time_or_late_and_nothing_else(run: Run) -> None:
    async def body() -> None:
        async with system() as (ask, _):
            await ask("cpu", interval=0.05)
            ended = await asyncio.gather(
                *(ask("cpu", interval=0.2, timeout=0.2 + number / 5000) for number in range(-10, 20)),
                return_exceptions=True,
            )
            assert {type(one) for one in ended} <= {dict, CallTimeout}, ended
            assert CallTimeout in {type(one) for one in ended}

    run(body())


def test_a_stop_ends_a_measurement(run: Run) -> None:
    async def body() -> float:
        async with system() as (ask, host):
            measuring = asyncio.create_task(ask("cpu", interval=60))
            await ask("cpu", interval=0.05)  # by now the other one has begun
            began = time.monotonic()
            await host.stop("system")
            took = time.monotonic() - began
            with pytest.raises(CallCancelled):
                await measuring
            assert host.plugins["system"].state is State.STOPPED
            return took

    assert run(body()) < 4


# installed


DRIVER = """
import asyncio, json, sys
from plugin_host import PluginHost

async def main():
    async with PluginHost(only=["system", "neovim"]) as host:
        print(json.dumps({
            "errors": {id: str(plugin.error) for id, plugin in host.plugins.items() if plugin.error},
            "sources": {id: plugin.source for id, plugin in host.plugins.items()},
            "path": (await host.call("system", "disk_usage", {"path": "/"}))["path"],
            "answer": await host.call("neovim", "nvim_eval", ["6*7"]),
            "imported": sorted(name for name in sys.modules if name.startswith("plugin_host_")),
        }))

asyncio.run(main())
"""


@pytest.mark.deadline(60)
def test_installed_they_are_found_by_their_entry_points(tmp_path: Path) -> None:
    python = environment(tmp_path / "venv")
    plugins = [str(PLUGINS / name) for name in ("system", "neovim")]
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps"]
    call([*pip, "--ignore-installed", "--no-build-isolation", *plugins], tmp_path)
    said = json.loads(call([python, "-c", DRIVER], tmp_path))
    assert said["errors"] == {}
    assert said["sources"].keys() >= {"system", "neovim"}  # and what else is installed around it
    assert all(source.startswith("entry point of plugin-host-") for source in said["sources"].values())
    assert (said["path"], said["answer"]) == ("/", 42)
    assert not [
        name for name in said["imported"] if name.startswith(("plugin_host_system", "plugin_host_neovim"))
    ]


def environment(folder: Path) -> str:
    """An environment that sees what this one has installed; its interpreter."""
    call([sys.executable, "-m", "venv", "--without-pip", str(folder)], folder.parent)
    [packages] = folder.glob("lib/python*/site-packages")
    # A line of its own, so that the .pth files there count too: they are where editable installs are.
    (packages / "outer.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    )
    return str(folder / "bin" / "python")


def call(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
