"""Each plugin in an environment of its own: one that holds only the SDK, and other Pythons."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from plugin_host import LaunchError, State
from tests import venv
from tests.run import Run
from tests.stage import stage, write_plugin

CODE = """
    import sys

    @plugin.command("where")
    def where(ctx):
        return {"prefix": sys.prefix, "version": "%d.%d" % sys.version_info[:2], "path": sys.path[-1]}

    @plugin.command("has")
    def has(ctx, module):
        import importlib.util
        return importlib.util.find_spec(module) is not None

    @plugin.command("echo")
    def echo(ctx, value=None):
        return value

    @plugin.command("fail")
    async def fail(ctx):
        raise LookupError("in another Python")
"""


def test_environment_that_holds_only_the_sdk_runs_a_plugin(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "alone", CODE, launch={"venv": "venv"})
    venv.lend(venv.bare(folder / "alone" / "venv"))

    async def body() -> None:
        async with stage("alone", dirs=[folder]) as host:
            assert host.plugins["alone"].error is None
            where = await host.call("alone", "where")
            assert where["prefix"] == str(folder / "alone" / "venv")
            assert where["path"] == str(folder / "alone")
            assert await host.call("alone", "has", {"module": "plugin_host_sdk"}) is True
            assert await host.call("alone", "has", {"module": "plugin_host"}) is False
            assert await host.call("alone", "has", {"module": "click"}) is False

    run(body())


def test_environment_without_the_sdk_is_told(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "empty", CODE, launch={"venv": "venv"})
    venv.bare(folder / "empty" / "venv")

    async def body() -> None:
        async with stage("empty", dirs=[folder]) as host:
            error = host.plugins["empty"].error
            assert isinstance(error, LaunchError)
            python = folder / "empty" / "venv" / "bin" / "python"
            assert f"{python} has no plugin-host-sdk: install it there" in str(error)

    run(body())


def test_link_to_an_interpreter_keeps_its_environment(run: Run, tmp_path: Path) -> None:
    """The name by which a Python is started says which environment it is."""
    home = tmp_path / "venv"
    venv.lend(venv.bare(home))
    launch = {"interpreter": str(home / "bin" / "python")}
    folder = write_plugin(tmp_path / "plugins", "linked", CODE, launch=launch)
    assert os.path.realpath(home / "bin" / "python") != str(home / "bin" / "python")

    async def body() -> None:
        async with stage("linked", dirs=[folder]) as host:
            assert (await host.call("linked", "where"))["prefix"] == str(home)

    run(body())


@pytest.mark.deadline(60)
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_host_of_one_python_runs_plugins_of_another(run: Run, tmp_path: Path, version: str) -> None:
    python = venv.interpreter(version)
    if python is None:
        pytest.fail(f"there is no Python {version} here, on PATH or of pyenv")
    folder = write_plugin(tmp_path, "other", CODE, launch={"venv": "venv"})
    packages = venv.bare(folder / "other" / "venv", python=python)
    # msgpack without its extension module, which is made for one version: Python alone will do.
    venv.lend(packages, ["plugin_host_sdk", "msgpack"])

    async def body() -> None:
        async with stage("other", dirs=[folder]) as host:
            assert host.plugins["other"].error is None
            assert host.plugins["other"].state is State.READY
            assert (await host.call("other", "where"))["version"] == version
            for value in (None, [1, {"a": b"b"}], "x" * 3_000_000, list(range(30_000))):
                assert await host.call("other", "echo", {"value": value}) == value
            with pytest.raises(Exception, match="LookupError: in another Python"):
                await host.call("other", "fail")

    run(body())


def test_default_is_the_interpreter_of_the_host(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "same", CODE)

    async def body() -> None:
        async with stage("same", dirs=[folder]) as host:
            assert (await host.call("same", "where"))["prefix"] == sys.prefix

    run(body())


def test_interpreter_that_is_too_old_is_told(run: Run, tmp_path: Path) -> None:
    """A Python before 3.11 knows no -P; it says so and ends with status 2."""
    old = tmp_path / "python3.10"
    old.write_text("#!/bin/sh\necho 'Unknown option: -P' >&2\nexit 2\n")
    old.chmod(0o755)
    folder = write_plugin(tmp_path / "plugins", "aged", CODE, launch={"interpreter": str(old)})

    async def body() -> None:
        async with stage("aged", dirs=[folder]) as host:
            assert f"{old} is older than Python 3.11" in str(host.plugins["aged"].error)

    run(body())
