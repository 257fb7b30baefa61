"""The order of every list that clients are given, which is the same at each asking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from plugin_host import PluginHost, action
from plugin_host.control import ControlClient, ControlServer, connect
from plugin_host.localsocket import LocalSocket
from tests.run import Run
from tests.session import sh
from tests.stage import stage, write_plugin

pytestmark = pytest.mark.edges

HEAD = "from plugin_host_sdk import action"
CODE = """
sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
    sdk.exec.Handler("zebra", default_command=["sh"]),
    sdk.exec.Handler("ape", default_command=["sh"]),
]))
action.register_plugin(plugin, action.PluginOpts(
    run_script=lambda ctx, request: None,
    heartbeat=lambda ctx, request: action.HeartbeatResult(nonce=request.nonce, versions={}),
))

@plugin.command()
def run(ctx): pass

@plugin.command()
def jump(ctx): pass
"""


@asynccontextmanager
async def place(folder: Path, path: str) -> AsyncIterator[tuple[PluginHost, ControlClient]]:
    """A host that is told of its three plugins, and finds them, in another order than that of their ids."""
    for home, id in (("first", "c"), ("second", "a"), ("second", "b")):
        write_plugin(folder / home, id, CODE, head=HEAD)
    host = stage("b", "c", "a", dirs=[folder / "first", folder / "second"])
    async with host, ControlServer(host, LocalSocket(path=path)), await connect(path, name="z") as client:
        yield host, client


def test_plugins_and_what_they_offer_are_in_order_of_names_and_clients_of_their_coming(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with (
            place(tmp_path, own_socket) as (_, client),
            await connect(own_socket, name="x"),
            await connect(own_socket, name="y"),
        ):
            plugins = await client.plugins()
            assert [one["id"] for one in plugins] == ["a", "b", "c"]
            assert [one["id"] for one in await client.plugins("c", "b")] == ["b", "c"]
            assert plugins[0]["commands"] == ["jump", "run"]
            assert plugins[0]["capabilities"] == ["action", "command", "exec"]
            assert [one.resource for one in await client.exec_handlers("a")] == ["ape", "zebra"]
            assert await client.actions.kinds("a") == ["heartbeat", "run_script"]
            assert [one["name"] for one in (await client.status())["clients"]] == ["z", "x", "y"]

    run(body())


def test_what_goes_on_is_listed_from_the_oldest_on(tmp_path: Path, own_socket: str, run: Run) -> None:
    ids = ["z", "x", "y"]

    async def body() -> None:
        async with place(tmp_path, own_socket) as (host, client):
            for plugin, id in (("c", "w"), *(("a", id) for id in ids)):
                await client.exec(plugin, sh("exec sleep 60"), resource="ape", tty=False, id=id)
            found = [(one.plugin, one.id) for one in await client.sessions()]
            assert found == [("a", "z"), ("a", "x"), ("a", "y"), ("c", "w")]
            listed = (await client.ask("exec.list", {"plugin": "a"}))["sessions"]
            assert [one["id"] for one in listed] == ids
            for id in ids:
                host.tasks.offer(id=id)
            assert [one.id for one in host.tasks.list()] == ids
            assert [one.id for one in await client.tasks.list()] == ids
            runs = [await client.actions.trigger("a", action.Heartbeat(nonce=id)) for id in ids]
            assert [one.id for one in await client.actions.list()] == [one.id for one in runs]

    run(body())
