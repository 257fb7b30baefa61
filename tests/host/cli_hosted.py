"""A host that runs for all tests of a file, and the command line as its users have it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plugin_host.control import connect
from tests.host.cli_run import Background, Cli
from tests.stage import write_plugin

__all__ = ["Hosted", "alone", "hosted", "serve"]

UP_S = 15.0

CODE = """
    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
        sdk.exec.Handler("local", default_command=["sh"]),
    ]))

    @plugin.command("pid")
    def pid(ctx):
        return os.getpid()

    @plugin.command("double")
    def double(ctx, number: int):
        return 2 * number

    @plugin.command("wait")
    def wait(ctx, seconds: float = 60):
        ctx.cancelled.wait(seconds)

    @plugin.command("settings")
    def settings(ctx):
        return ctx.settings

    @plugin.on_reconfigure
    def reconfigure(ctx, settings):
        pass
"""


@dataclass(frozen=True)
class Hosted:
    """`cli` reaches the host `process` at `socket`; `plugins` is the folder of its plugins."""

    cli: Cli
    process: Background
    socket: str
    plugins: Path

    def sessions(self) -> list[str]:
        """The ids of its sessions."""
        return [one["session"]["id"] for one in self._ask("host.sessions")["sessions"]]

    def close(self, session: str) -> None:
        """End a session; it is an error if there is none."""
        self._ask("exec.close", {"session": session})

    def pid_of(self, plugin: str) -> int:
        """The process of a plugin."""
        (found,) = self._ask("host.list", {"plugins": [plugin]})["plugins"]
        pid = found["pid"]
        assert isinstance(pid, int)
        return pid

    def _ask(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Ask without the command line, which takes longer."""

        async def ask() -> Any:
            async with await connect(self.socket) as client:
                return await client.ask(method, params)

        return asyncio.run(ask())


def serve(cli: Cli, folder: Path, socket: str, *words: str | Path) -> Iterator[Hosted]:
    """Run a host with the plugins `desk` and `idler`, a lazy one, until the iteration ends."""
    plugins = folder / "plugins"
    write_plugin(plugins, "desk", CODE, head="import os")
    write_plugin(plugins, "idler", CODE, head="import os", activation="lazy")
    cli.env["PLUGIN_HOST_SOCKET"] = socket
    with cli.background("run", "--json", "--plugin-dir", plugins, *words) as process:
        end = time.monotonic() + UP_S
        while '"event": "ready"' not in process.out:
            assert time.monotonic() < end, process.err
            time.sleep(0.02)
        yield Hosted(cli, process, socket, plugins)
        process.process.terminate()
        process.end()


@pytest.fixture(scope="module")
def hosted(
    tmp_path_factory: pytest.TempPathFactory, sockets: str, request: pytest.FixtureRequest
) -> Iterator[Hosted]:
    """The host of this file's tests."""
    folder = tmp_path_factory.mktemp("hosted")
    place = f"{sockets}/{request.node.name.rpartition('_')[2].removesuffix('.py')}/control.sock"
    yield from serve(Cli(folder), folder, place)


@pytest.fixture
def alone(cli: Cli, tmp_path: Path, own_socket: str) -> Iterator[Hosted]:
    """A host for a test that starts processes of it or ends it."""
    yield from serve(cli, tmp_path, own_socket)
