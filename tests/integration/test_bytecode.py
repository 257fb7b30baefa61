"""Bytecode beside a plugin whose files are vouched for: it is not what runs."""

from __future__ import annotations

import os
import py_compile
from pathlib import Path

import pytest

from plugin_host import PluginHost
from plugin_host.checksum import checksum
from plugin_host.configuration import convert
from tests.run import Run
from tests.stage import stage, write_plugin

CODE = """
    import os, sys, inner

    @plugin.command("says")
    def says(ctx):
        return [inner.WORD, sys.pycache_prefix]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plugin with a planted .pyc that claims to be of its source, size and time and all."""
    write_plugin(tmp_path / "plugins", "demo", CODE)
    home = tmp_path / "plugins" / "demo"
    source = home / "inner.py"
    source.write_text("WORD = 'evil'\n")
    os.utime(source, (1_000_000_000, 1_000_000_000))
    py_compile.compile(str(source), doraise=True)
    source.write_text("WORD = 'good'\n")
    os.utime(source, (1_000_000_000, 1_000_000_000))
    return tmp_path / "plugins"


def host(folder: Path, **entry: object) -> PluginHost:
    return stage("demo", dirs=[folder], config=convert({"plugins": {"demo": entry}}, file="test"))


def kept_in(prefix: str) -> bool:
    return any(Path(prefix).rglob("inner.*.pyc"))


def test_planted_bytecode_runs_without_a_checksum(run: Run, folder: Path) -> None:
    """What the others guard against is real."""

    async def body() -> None:
        async with host(folder) as one:
            assert await one.call("demo", "says") == ["evil", None]

    run(body())


@pytest.mark.parametrize("sandbox", [None, {}, {"readable": ["/usr"]}])
def test_planted_bytecode_does_not_run_with_a_checksum(
    run: Run, folder: Path, sandbox: dict[str, object] | None
) -> None:
    entry = {} if sandbox is None else {"sandbox": sandbox}

    async def body() -> str:
        # Whoever can plant bytecode may try to say where it is looked for, too.
        env = {"PYTHONPYCACHEPREFIX": "/tmp/elsewhere"}
        async with host(folder, checksum=checksum(folder / "demo"), env=env, **entry) as one:
            word, prefix = await one.call("demo", "says")
            assert word == "good"
            assert prefix.endswith("/demo")
            assert kept_in(prefix)  # the next start is a fast one
            await one.restart("demo")
            assert await one.call("demo", "says") == ["good", prefix]
        return os.path.dirname(str(prefix))

    assert not os.path.exists(run(body()))
