"""What goes wrong at command listeners is told by the host's logs, and costs nobody else anything."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from plugin_host import CommandListeners, PluginHost
from plugin_host.errors import SocketError
from plugin_host.listener.limit import Limits
from tests.host.talk import room, said
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

__all__ = ["room"]

CODE = """
    @plugin.command("large")
    def large(ctx):
        return "x" * 5_000_000
"""


def told(host: PluginHost) -> str:
    """The one thing that the host has to say."""
    (record,) = [one for one in host.logs.records() if one.source == "host"]
    return record.message


def test_client_that_does_not_take_its_reply_is_dropped(
    tmp_path: Path, room: Path, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        host = stage("one", dirs=[write_plugin(tmp_path, "one", CODE)])
        limits = Limits(write_s=0.1)
        async with host, CommandListeners(host, room / "c", limits=limits):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(room / "c" / "one"))
                client.sendall(b'{"Command":"large"}')
                await wait_until.aio(lambda: host.logs.records())
            assert f"process {os.getpid()} did not take its reply" in told(host)

    run(body())


def test_plugin_whose_id_is_too_long_for_a_socket_is_without_a_listener_and_the_others_are_not(
    tmp_path: Path, room: Path, run: Run
) -> None:
    long = "l" * 40
    folder = room / ("f" * (107 - 20 - len(str(room))))

    async def body() -> None:
        write_plugin(tmp_path, long, CODE)
        host = stage("one", long, dirs=[write_plugin(tmp_path, "one", CODE)])
        async with host, CommandListeners(host, folder) as listeners:
            assert listeners.names == ["host", "one"]
            assert len((await said(folder / "one", "large"))["Result"]) == 5_000_000
            text = told(host)
            assert text.startswith(f"plugin `{long}` has no command listener: ")
            assert "that of a socket at most 107" in text
            assert "--command-dir" in text
            with pytest.raises(SocketError):
                listeners.listen(long)
        with pytest.raises(SocketError, match="at most 107"):
            await CommandListeners(host, folder, plugins=[long]).start()
        assert not folder.exists()

    run(body())
