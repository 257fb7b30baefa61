"""An operator's settings on their way to the plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plugin_host import ConfigurationError, InitializeFailed, ManifestError, State
from plugin_host.configuration import Configuration, PluginConfiguration
from tests.run import Run
from tests.stage import stage, write_plugin

pytestmark = pytest.mark.edges

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


def test_defaults_of_the_schema_reach_the_handlers(run: Run, tmp_path: Path) -> None:
    schema = {"properties": {"depth": {"default": 3}, "name": {}}}
    write_plugin(tmp_path, "told", CODE, settings_schema=schema)

    async def body() -> Any:
        async with stage("told", dirs=[tmp_path], config=configured({"name": "x"})) as host:
            return await host.call("told", "settings")

    assert run(body()) == {"name": "x", "depth": 3}


@pytest.mark.parametrize(("kind", "error"), [("integer", ConfigurationError), ("strnig", ManifestError)])
def test_plugin_whose_settings_do_not_fit_is_not_started_and_the_others_are(
    run: Run, tmp_path: Path, kind: str, error: type[Exception]
) -> None:
    write_plugin(tmp_path, "told", CODE, settings_schema={"properties": {"depth": {"type": kind}}})

    async def body() -> None:
        async with stage("told", "steady", dirs=[tmp_path], config=configured({"depth": "3"})) as host:
            assert isinstance(host.plugins["told"].error, error)
            assert host.plugins["steady"].state is State.READY
            with pytest.raises(error, match="expected"):
                await host.start("told")

    run(body())
