"""What embedders rely on: names, signatures and errors, and a host with few or no plugins."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import plugin_host
from plugin_host import (
    ConfigurationError,
    PluginHost,
    PluginHostError,
    PluginNotFound,
    PluginNotReady,
    State,
)
from tests.run import Run

CONTRACT = [
    "PluginHost",
    "PluginNotFound",
    "PluginNotReady",
    "PluginDied",
    "LaunchError",
    "CallFailed",
    "CallTimeout",
    "CallCancelled",
    "ManifestError",
]
LEAVES_OF_LAUNCH = [
    "SpawnError",
    "PluginExited",
    "InitializeTimeout",
    "IncompatibleProtocol",
    "InitializeFailed",
    "BadAnswer",
]


def manifest(folder: Path, id: str, **keys: Any) -> None:
    """A plugin that is found and, for want of its program, cannot be started."""
    home = folder / id
    home.mkdir()
    content = {"id": id, "version": "1.0.0", "launch": {"argv": ["/no/such/program"]}, **keys}
    (home / "plugin_manifest.json").write_text(json.dumps(content))


def host_of(folder: Path, **options: Any) -> PluginHost:
    return PluginHost(plugin_dirs=[folder], entry_points=False, **options)


def test_names_of_the_contract_are_importable() -> None:
    for name in [*CONTRACT, *LEAVES_OF_LAUNCH]:
        assert name in plugin_host.__all__
        assert isinstance(getattr(plugin_host, name), type)


def test_every_public_name_is_there_and_no_other() -> None:
    for name in plugin_host.__all__:
        assert getattr(plugin_host, name) is not None
    assert sorted(plugin_host.__all__) == sorted(set(plugin_host.__all__))
    assert set(plugin_host.__all__) <= set(dir(plugin_host))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        plugin_host.Nothing  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_imports_no_event_loop() -> None:
    code = "import sys, plugin_host; print('asyncio' in sys.modules, 'psutil' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_every_error_is_of_the_one_tree() -> None:
    errors = [
        kind
        for name in plugin_host.__all__
        if isinstance(kind := getattr(plugin_host, name), type) and issubclass(kind, Exception)
    ]
    assert len(errors) > 15
    assert [kind for kind in errors if not issubclass(kind, PluginHostError)] == []
    for name in LEAVES_OF_LAUNCH:
        assert issubclass(getattr(plugin_host, name), plugin_host.LaunchError)
    assert issubclass(plugin_host.PluginDied, plugin_host.CallError)


def test_signatures_of_the_contract() -> None:
    made = inspect.signature(PluginHost)
    assert list(made.parameters) == [
        "plugin_dirs",
        "entry_points",
        "only",
        "block",
        "config",
        "services",
        "restarts",
        "tracing",
    ]
    assert all(one.kind is one.KEYWORD_ONLY for one in made.parameters.values())
    defaults = {name: one.default for name, one in made.parameters.items()}
    assert defaults == {
        "plugin_dirs": (),
        "entry_points": True,
        "only": None,
        "block": (),
        "config": None,
        "services": None,
        "restarts": True,
        "tracing": False,
    }
    call = inspect.signature(PluginHost.call)
    assert list(call.parameters) == [
        "self",
        "plugin",
        "command",
        "params",
        "timeout",
        "on_progress",
        "fail_fast",
    ]
    assert [name for name, one in call.parameters.items() if one.kind is one.KEYWORD_ONLY] == [
        "timeout",
        "on_progress",
        "fail_fast",
    ]
    for name in ("call", "start", "stop", "restart", "reload", "reconfigure"):
        assert inspect.iscoroutinefunction(getattr(PluginHost, name))


def test_host_without_plugins_is_a_host(run: Run) -> None:
    async def body() -> None:
        async with PluginHost(entry_points=False) as host:
            assert dict(host.plugins) == {}
            with pytest.raises(PluginNotFound, match=r"no plugin `x` \(found: none\)"):
                await host.call("x", "y")
            assert repr(host) == "<PluginHost plugins=0 ready=0>"

    run(body())


def test_a_call_before_the_host_is_entered_says_what_to_do(run: Run, tmp_path: Path) -> None:
    manifest(tmp_path, "a")

    async def body() -> None:
        host = host_of(tmp_path)
        with pytest.raises(PluginNotFound, match=r"no plugin `a`: .* enter the host, or call discover\(\)"):
            await host.call("a", "y")
        host.discover()
        with pytest.raises(PluginNotReady, match="`a` is discovered, not ready: nobody has started it"):
            await host.call("a", "y")
        await host.close()

    run(body())


def test_what_is_no_id_at_all_is_named_as_it_was_given(run: Run) -> None:
    async def body() -> None:
        async with PluginHost(entry_points=False) as host:
            with pytest.raises(PluginNotFound, match=r"no plugin `None` \(found: none\)"):
                await host.call(None, "y")  # type: ignore[arg-type]
            with pytest.raises(PluginNotFound, match=r"no plugin `'a\\n'` "):
                await host.call("a\n", "y")

    run(body())


def test_found_plugins_are_there_before_any_is_started(run: Run, tmp_path: Path) -> None:
    manifest(tmp_path, "b")
    manifest(tmp_path, "a")

    async def body() -> None:
        host = host_of(tmp_path)
        host.discover()
        assert list(host.plugins) == ["a", "b"]
        assert {plugin.state for plugin in host.plugins.values()} == {State.DISCOVERED}
        first = host.plugins["a"]
        host.discover()
        assert host.plugins["a"] is first
        await host.close()

    run(body())


def test_mapping_of_plugins_is_read_only(run: Run, tmp_path: Path) -> None:
    manifest(tmp_path, "a")

    async def body() -> None:
        async with host_of(tmp_path) as host:
            with pytest.raises(TypeError):
                host.plugins["b"] = host.plugins["a"]  # type: ignore[index]
            plugin = host.plugins["a"]
            for name in ("id", "version", "state", "pid", "capabilities", "error"):
                assert hasattr(plugin, name)
            assert (plugin.id, plugin.version, plugin.pid, plugin.capabilities) == ("a", "1.0.0", None, {})

    run(body())


def test_left_out_plugins_are_listed_and_not_started(run: Run, tmp_path: Path) -> None:
    for id in ("a", "b", "c"):
        manifest(tmp_path, id)

    async def body() -> None:
        async with host_of(tmp_path, only=["a", "b"], block={"b"}) as host:
            states = {id: plugin.state for id, plugin in host.plugins.items()}
            assert states == {"a": State.FAILED, "b": State.DISCOVERED, "c": State.DISCOVERED}
            with pytest.raises(PluginNotReady, match="blocked"):
                await host.call("b", "x")
            with pytest.raises(PluginNotReady, match="not among the wanted: a, b"):
                await host.start("c")
            await host.stop("c")

    run(body())


def test_wanted_plugin_that_is_nowhere_is_an_error(run: Run, tmp_path: Path) -> None:
    manifest(tmp_path, "weather")

    async def body() -> None:
        host = host_of(tmp_path, only=["wether"])
        with pytest.raises(PluginNotFound, match="did you mean `weather`"):
            await host.__aenter__()

    run(body())


def test_configuration_is_read_only_when_it_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    manifest(plugins, "a")
    file = tmp_path / "plugin-host.toml"
    file.write_text('block = ["a"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLUGIN_HOST_CONFIG", str(file))

    async def body() -> None:
        async with host_of(plugins) as host:
            assert host.plugins["a"].state is State.FAILED  # nobody blocked it
        for config in (str(file), file, plugin_host.Configuration(block=("a",))):
            async with host_of(plugins, config=config) as host:
                assert host.plugins["a"].state is State.DISCOVERED
        with pytest.raises(ConfigurationError, match=r"missing\.toml"):
            await host_of(plugins, config=tmp_path / "missing.toml").__aenter__()

    run(body())


def test_plugin_that_cannot_start_is_tried_once(run: Run, tmp_path: Path) -> None:
    manifest(tmp_path, "a")

    async def body() -> None:
        host = host_of(tmp_path)
        events = host.events()
        async with host:
            pass
        moves = [event.new async for event in events if isinstance(event, plugin_host.StateChanged)]
        assert moves == ["starting", "failed"]

    run(body())


def test_events_end_with_the_host(run: Run) -> None:
    async def body() -> None:
        host = PluginHost(entry_points=False)
        listening = [asyncio.ensure_future(_all(host.events())) for _ in range(3)]
        async with host:
            pass
        assert await asyncio.gather(*listening) == [[], [], []]

    run(body())


async def _all(events: Any) -> list[Any]:
    return [event async for event in events]


def test_discovery_that_finds_nothing_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[None] = []
    monkeypatch.setattr("plugin_host.extension.Extensions.load", lambda self: loads.append(None))
    host = PluginHost(plugin_dirs=[tmp_path], entry_points=False)
    host.discover()
    host.discover()
    assert not host.plugins
    assert len(loads) == 1
