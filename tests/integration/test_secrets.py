"""Values of variables and settings are nowhere to be read: not in logs, errors, events, reprs or output.

Each value that is planted holds the canary; whatever the host writes or shows is searched for it.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import pprint
import re
import textwrap
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rich.console

import plugin_host
from plugin_host import PluginHost, configuration, discovery
from plugin_host.candidate import Candidate
from plugin_host.cli.fault import configuration_faults, manifest_faults
from plugin_host.errors import ConfigurationError, ManifestError, PluginHostError
from plugin_host.isolation import Isolation
from plugin_host.launchspec import process_spec
from plugin_host.state import State
from plugin_host_sdk.types.session import SessionOptions
from tests.host.cli_run import Cli, cli
from tests.run import Run
from tests.stage import stage, write_plugin

pytestmark = pytest.mark.edges

__all__ = ["cli"]

CANARY = "cAnArY-7f3a"
SECRETS = {"TOKEN": f"{CANARY}-env", "PASSWORD": f"{CANARY}\n two lines"}
SETTINGS = {"key": f"{CANARY}-setting", "deep": {"list": [f"{CANARY}-deep", 1]}}

GOOD = """
    import os, time

    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[sdk.exec.Handler("local")]))

    @plugin.command("knows")
    def knows(ctx):
        return [os.environ["TOKEN"], os.environ["PASSWORD"], ctx.settings["key"]]

    @plugin.command("fail")
    def fail(ctx):
        ctx.settings["no such setting"]

    @plugin.command("die")
    def die(ctx):
        os.abort()
"""

# Each of them fails to start in another way.
LAUNCHES: dict[str, dict[str, Any]] = {
    "exits": {"argv": ["sh", "-c", "exit 3"]},
    "silent": {"argv": ["sleep", "60"], "start_timeout_s": 0.3},
    "garbage": {"argv": ["sh", "-c", "head -c 70000 /dev/zero; sleep 60"]},
    "sends-back": {"argv": ["cat"], "start_timeout_s": 0.3},
    "sends-back-and-exits": {"argv": ["head", "-c", "300"], "start_timeout_s": 5},
    "says-and-sends-back": {"argv": ["sh", "-c", "echo hello; dd bs=9999 count=1 2>/dev/null; exit 1"]},
    "missing": {"argv": ["/no/such/program"]},
    "not-in-path": {"argv": ["no-such-program"]},
    "no-folder": {"argv": ["sleep", "60"], "cwd": "/no/such/folder"},
    "too-long": {"argv": ["sleep", "60"], "env": {"BIG": CANARY * 30000}},
    "raises": {"entry_point": "raises_plugin:no_such_thing"},
}


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    write_plugin(folder, "good", GOOD, launch={"env": SECRETS})
    for name, launch in LAUNCHES.items():
        launch = {**launch, "env": {**SECRETS, **launch.get("env", {})}}
        write_plugin(folder, name, launch=launch)
    return folder


@pytest.fixture
def config(tmp_path: Path, plugins: Path) -> Path:
    """Secrets for each plugin, besides those of its manifest."""
    file = tmp_path / "secret.toml"
    lines = ["entry_points = false"]
    for name in ("good", *LAUNCHES):
        lines += [f"[plugins.{name}]", f"env = {{EXTRA = {json.dumps(SECRETS['TOKEN'])}}}"]
        lines += [f"settings = {{key = {json.dumps(SETTINGS['key'])}, deep = {{list = ['{CANARY}']}}}}"]
    file.write_text("\n".join(lines))
    return file


def shown(value: Any) -> str:
    """Every way in which a log or a person may print it."""
    console = rich.console.Console(file=io.StringIO(), width=200)
    console.print(value)
    assert isinstance(console.file, io.StringIO)
    parts = [repr(value), str(value), pprint.pformat(value), console.file.getvalue()]
    if isinstance(value, BaseException):
        parts += traceback.format_exception(value)
        parts += [repr(vars(value)), repr(value.args)]
    return "\n".join(parts)


def check(*values: Any) -> None:
    for value in values:
        text = value if isinstance(value, str) else shown(value)
        at = text.find(CANARY)
        assert at < 0, text[max(0, at - 300) : at + 100]


class Ear(logging.Handler):
    """Hears every record of every logger, with all that is attached to it."""

    def __init__(self) -> None:
        super().__init__(level=0)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def text(self) -> str:
        formatter = logging.Formatter()
        return "\n".join(formatter.format(one) + repr(vars(one)) for one in self.records)


@pytest.fixture
def ear() -> Iterator[Ear]:
    made, root = Ear(), logging.getLogger()
    level = root.level
    root.addHandler(made)
    root.setLevel(0)
    yield made
    root.removeHandler(made)
    root.setLevel(level)


def test_no_value_comes_out_of_a_host(run: Run, plugins: Path, config: Path, ear: Ear) -> None:
    async def body() -> None:
        told: list[Any] = []
        host = stage("good", *LAUNCHES, dirs=[plugins], config=config)
        events = host.events()

        async def listen() -> None:
            async for event in events:
                told.append(event)

        listening = asyncio.create_task(listen())
        async with host:
            # The secrets are really there: a test in which they were nowhere would show nothing.
            found = await host.call("good", "knows")
            assert all(CANARY in one for one in found)
            told += [host, host.plugins, *host.plugins.values()]
            told += [one.candidate for one in host.plugins.values()]
            for name in LAUNCHES:
                assert host.plugins[name].state is State.FAILED, name
                told.append(host.plugins[name].error)
                told.append(await caught(host.call(name, "x")))
            session = await host.exec("good", ["sh", "-c", "echo $MINE"], tty=False, env={"MINE": CANARY})
            told += [session, await session.wait(), await host.sessions()]
            told.append(
                await caught(host.exec("good", ["no-such-program"], tty=False, env={"MINE": CANARY}))
            )
            told.append(await caught(host.call("good", "fail")))
            told.append(await caught(host.call("good", "die")))
            told.append(host.plugins["good"].error)
        await listening
        assert len(told) > 50
        check(*told)

    run(body())
    assert len(ear.records) > 30
    check(ear.text())


async def caught(work: Any) -> BaseException:
    with pytest.raises(PluginHostError) as info:
        await work
    return info.value


def test_settings_that_cannot_be_sent_are_named_and_not_shown(run: Run, plugins: Path, ear: Ear) -> None:
    class Odd:
        def __repr__(self) -> str:
            return CANARY

    class Changed:
        """An extension that gives a plugin settings no file could hold."""

        @plugin_host.hookimpl
        def plugin_host_discover(self, configuration: Any) -> list[Candidate]:
            return given

    async def body(settings: dict[str, Any]) -> None:
        given[:] = [replace(sound, settings={"key": settings})]
        host = PluginHost(entry_points=False)
        host._search.extensions._manager.register(Changed())
        async with host:
            error = host.plugins["good"].error
            assert error is not None
            check(error)

    given: list[Candidate] = []
    (sound,) = discovery.discover(plugin_dirs=[plugins / "good"], entry_points=False)
    for value in (Odd(), {"inner": Odd()}, [Odd()], 2**70, f"{CANARY}\udcff"):
        run(body({"value": value}))
    check(ear.text())


def test_no_value_is_in_a_public_object(plugins: Path, config: Path) -> None:
    loaded = configuration.load(config)
    check(loaded, loaded.plugins, loaded.plugins["good"])
    for one in discovery.discover(plugin_dirs=[plugins], entry_points=False, configuration=loaded):
        assert one.manifest is not None
        assert CANARY in str(dict(one.env))
        spec = process_spec(one, one.manifest, "r/p/1", {"HOME": CANARY})
        isolation = Isolation(replaced={"HOME": CANARY}, fixed={"A": CANARY})
        check(one, one.manifest, one.manifest.launch, spec, isolation)
        assert "TOKEN" in repr(one.manifest.launch)  # the names are there
    check(SessionOptions(id="x", env={"A": CANARY}, params={"B": CANARY}, resource_data={"C": CANARY}))


@pytest.mark.parametrize(
    "text",
    [
        f'env = {{A = ["{CANARY}"]}}',
        f'env = "{CANARY}"',
        f'env = ["{CANARY}"]',
        f'env = {{A = "{CANARY}\\u0000"}}',
        f'env = {{"A=B" = "{CANARY}"}}',
        f'settings = "{CANARY}"',
        f'settings = ["{CANARY}"]',
        "settings = {when = 2031-07-03}",
        "settings = {number = 20310703203107032031}",
        f'settings = {{a = "{CANARY}" b}}',
        f'env = {{A = "{CANARY}',
        f"env = {{A = {CANARY}}}",
        f"env = {{A = '{CANARY}'', B = 1}}",
        f'env = {{A = "\\{CANARY}"}}',
        f'env = {{A = "x"}}\nsettings = {{a = """{CANARY}',
    ],
)
def test_faults_of_a_configuration_do_not_quote_values(tmp_path: Path, text: str) -> None:
    file = tmp_path / "plugin-host.toml"
    file.write_text(f"[plugins.a]\n{text}\n")
    with pytest.raises(ConfigurationError) as caught:
        configuration.load(file)
    faults = configuration_faults(file)
    assert faults
    said = shown(caught.value) + repr(faults)
    check(said)
    assert not re.search("20310703|2031-07", said)


@pytest.mark.parametrize(
    "launch",
    [
        f'"env": {{"A": ["{CANARY}"]}}',
        f'"env": "{CANARY}"',
        f'"env": {{"A": "{CANARY}\\u0000"}}',
        f'"env": {{"A": {CANARY}}}',
        f'"env": {{"A": "x"{CANARY}"}}',
        f'"env": {{"A": "{CANARY}',
        f'"env": {{"A": "{CANARY}\\x"}}',
        f'"env": {{"A": "{CANARY}\t"}}',
        f'"env": {{"A": "\\ud800{CANARY}"}}',
    ],
)
def test_faults_of_a_manifest_do_not_quote_values(tmp_path: Path, launch: str) -> None:
    file = tmp_path / "plugin_manifest.json"
    file.write_text(f'{{"id": "a", "version": "1", "launch": {{"argv": ["x"], {launch}}}}}')
    faults = manifest_faults(file)
    assert faults
    check(repr(faults))
    (found,) = discovery.discover(plugin_dirs=[tmp_path], entry_points=False)
    assert isinstance(found.error, ManifestError)
    check(found)


@pytest.mark.deadline(60)
def test_no_value_comes_out_of_the_command_line(cli: Cli, plugins: Path, config: Path) -> None:
    which: list[str | Path] = ["--config", config, "--plugin-dir", plugins]
    for words in (
        ["list", *which],
        ["list", *which, "--json"],
        ["validate", plugins],
        ["validate", "--json", config],
        ["call", "good", "fail", *which, "-vv"],
        ["call", "good", "die", *which, "-vv", "--json"],
        ["call", "sends-back", "x", *which, "-vv", "--json"],
        ["call", "says-and-sends-back", "x", *which, "-vv"],
        ["exec", "good", "-e", f"A={CANARY}", *which, "--", "no-such-program"],
        ["exec", "good", "-e", f"={CANARY}", *which, "--", "true"],
    ):
        ended = cli(*words)
        check(ended.out, ended.err)
    assert CANARY in cli("call", "good", "knows", *which).out


@pytest.mark.parametrize("verbose", ["-v", "-vv"])
def test_no_value_comes_out_of_run(cli: Cli, plugins: Path, config: Path, verbose: str) -> None:
    ended = cli(
        "run", "--json", verbose, "--config", config, "--plugin-dir", plugins, "--no-plugin", "good"
    )
    assert ended.status == 3
    assert len(ended.out.splitlines()) > 2 * len(LAUNCHES)
    check(ended.out, ended.err)


def test_canary_is_found_where_it_is_planted() -> None:
    """The search itself: what it is given to read it reads."""
    with pytest.raises(AssertionError):
        check(ValueError(textwrap.dedent(f"  {CANARY}")))
