"""An operator's settings on their way to the plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plugin_host import InitializeFailed, State
from plugin_host.configuration import Configuration, PluginConfiguration
from tests.run import Run
from tests.stage import stage, write_plugin

CODE = """
@plugin.command()
def settings(ctx):
    return ctx.settings
"""


def configured(settings: dict[str, Any]) -> Configuration:
    return Configuration(plugins={"told": PluginConfiguration(settings=settings)})


def test_settings_reach_the_handlers(run: Run, tmp_path: Path) -> None:
    write_plugin(tmp_path, "told", CODE)
    settings = {"depth": 3, "names": ["a", "ü"], "nested": {"on": True, "rate": 0.5}}

    async def body() -> Any:
        async with stage("told", dirs=[tmp_path], config=configured(settings)) as host:
            return await host.call("told", "settings")

    assert run(body()) == settings


def test_settings_that_cannot_travel_are_a_launch_error(run: Run, tmp_path: Path) -> None:
    write_plugin(tmp_path, "told", CODE)

    async def body() -> None:
        options: Any = {"config": configured({"clock": object()})}
        async with stage("told", "steady", dirs=[tmp_path], **options) as host:
            error = host.plugins["told"].error
            assert isinstance(error, InitializeFailed)
            assert "plugin `told` was not started: cannot send" in str(error)
            assert "settings.clock: msgpack cannot carry a builtins.object" in str(error)
            assert host.plugins["told"].state is State.FAILED
            assert host.plugins["steady"].state is State.READY
            with pytest.raises(InitializeFailed):
                await host.start("told")

    run(body())
