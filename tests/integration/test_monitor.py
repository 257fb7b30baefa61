"""Commands that come and go while the plugin runs: the host sees each change at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plugin_host import CallFailed, PluginHost
from tests.run import Run
from tests.stage import stage, write_plugin

CODE = """
    import threading

    gate = threading.Event()
    monitor = sdk.command.register_plugin(plugin, sdk.command.PluginOpts(handlers={"one": lambda ctx: 1}))

    @plugin.command("add")
    def add(ctx, name):
        monitor.register_handler(name, lambda ctx: name, help="made at run time")

    @plugin.command("remove")
    def remove(ctx, name):
        monitor.unregister_handler(name)

    @plugin.command("swap")
    def swap(ctx, old, new):
        monitor.unregister_handler(old)
        monitor.register_handler(new, lambda ctx: new)

    @plugin.command("churn")
    def churn(ctx):
        def work(n):
            for turn in range(50):
                monitor.register_handler(f"t{n}.{turn}", lambda ctx: n)
            for turn in range(49):
                monitor.unregister_handler(f"t{n}.{turn}")
        threads = [threading.Thread(target=work, args=[n]) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    @plugin.command("wait")
    def wait(ctx):
        gate.wait(30)
        return "finished"

    @plugin.command("open")
    def open_(ctx):
        gate.set()
"""
FIRST = ["add", "churn", "one", "open", "remove", "swap", "wait"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugin(tmp_path_factory.mktemp("plugins"), "demo", CODE)


@pytest.fixture
def demo(folder: Path) -> PluginHost:
    return stage("demo", dirs=[folder])


def test_change_is_visible_when_the_call_that_made_it_returns(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            plugin = host.plugins["demo"]
            assert plugin.commands == FIRST
            await host.call("demo", "add", {"name": "new"})
            assert plugin.commands == sorted([*FIRST, "new"])
            assert plugin.capabilities["command"]["commands"] == plugin.commands
            assert await host.call("demo", "new") == "new"
            await host.call("demo", "swap", {"old": "new", "new": "newer"})
            assert plugin.commands == sorted([*FIRST, "newer"])
            await host.call("demo", "remove", {"name": "newer"})
            assert plugin.commands == FIRST

    run(body())


def test_command_that_went_is_not_found(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("demo", "one") == 1
            await host.call("demo", "remove", {"name": "one"})
            with pytest.raises(CallFailed) as caught:
                await host.call("demo", "one")
            assert caught.value.name == "command.not_found"

    run(body())


def test_call_that_runs_outlives_its_command(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            call = asyncio.ensure_future(host.call("demo", "wait"))
            await asyncio.sleep(0)
            await host.call("demo", "remove", {"name": "wait"})
            await host.call("demo", "open")
            assert await call == "finished"

    run(body())


@pytest.mark.parametrize(
    ("command", "name", "words"),
    [
        ("add", "one", "'one' is registered already"),
        ("remove", "on", "'on' is not registered; did you mean 'one'"),
        ("add", "", "a command's name is a text"),
        ("add", 5, "a command's name is a text"),
    ],
)
def test_impossible_change_fails_and_changes_nothing(
    run: Run, demo: PluginHost, command: str, name: object, words: str
) -> None:
    async def body() -> None:
        async with demo as host:
            with pytest.raises(CallFailed) as caught:
                await host.call("demo", command, {"name": name})
            assert words in str(caught.value)
            assert host.plugins["demo"].commands == FIRST

    run(body())


def test_changes_from_many_threads_end_in_the_true_list(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            await host.call("demo", "churn")
            assert host.plugins["demo"].commands == sorted([*FIRST, *(f"t{n}.49" for n in range(4))])

    run(body())


def test_restarted_plugin_has_its_first_commands(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            await host.call("demo", "add", {"name": "new"})
            await host.restart("demo")
            assert host.plugins["demo"].commands == FIRST

    run(body())
