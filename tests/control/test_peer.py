"""Whose processes become clients of the control socket: the kernel says who they are."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import msgpack
import pytest

from plugin_host import PluginHost
from plugin_host.control import ControlServer, connect
from plugin_host.errors import HostUnreachable
from plugin_host.peerrule import PeerRule
from plugin_host_sdk.protocol import INITIALIZE_ID
from tests.control.arena import arena
from tests.otheruser import NOBODY, answer_to_nobody, needs_root, open_folder
from tests.run import Run
from tests.stage import logged

pytestmark = pytest.mark.edges

__all__ = ["logged", "open_folder"]  # fixtures

HELLO = msgpack.packb([0, INITIALIZE_ID, "initialize", [{"protocols": [1]}]])
STOP = msgpack.packb([0, 1, "host.stop", [{"plugin": "desk"}]])
GROUP = 4242


async def first_answer(path: str, *groups: int) -> Any:
    """What the user nobody is answered, who asks to be a client and to have `desk` stopped."""
    said = await asyncio.to_thread(answer_to_nobody, path, HELLO + STOP, *groups)
    unpacker = msgpack.Unpacker()
    unpacker.feed(said)
    kind, msgid, error, result = next(iter(unpacker))
    assert (kind, msgid) == (1, INITIALIZE_ID)
    return error or result


@needs_root
def test_another_user_is_told_that_it_is_not_admitted_and_nothing_is_done_for_it(
    tmp_path: Path, open_folder: Path, run: Run, logged: pytest.LogCaptureFixture
) -> None:
    path = str(open_folder / "c.sock")

    async def body() -> None:
        async with arena(tmp_path, path) as scene:
            with pytest.raises(PermissionError):
                await first_answer(path)
            os.chmod(path, 0o666)  # as if its descriptor had been passed on
            refused = await first_answer(path)
            assert refused["name"] == "host.not_admitted"
            reason = f"of uid {NOBODY.pw_uid} is not admitted: this socket is for root"
            assert reason in refused["message"]
            assert reason in logged.text
            assert "process" in logged.text
            assert [one for one in scene.host.logs.records() if reason in one.message]
            client = await scene.client()
            assert [one["state"] for one in await client.plugins()] == ["ready"]
            assert len(scene.server.desks()) == 1

    run(body())


@needs_root
def test_members_of_the_group_are_clients_and_others_are_not(
    tmp_path: Path, open_folder: Path, run: Run
) -> None:
    path = str(open_folder / "c.sock")

    async def body() -> None:
        async with arena(tmp_path, path, mode=0o660, group=GROUP):
            os.chmod(path, 0o666)
            assert (await first_answer(path))["name"] == "host.not_admitted"
            assert "token" in await first_answer(path, GROUP)

    run(body())


@needs_root
def test_everybody_is_a_client_where_the_mode_says_so(tmp_path: Path, open_folder: Path, run: Run) -> None:
    path = str(open_folder / "c.sock")

    async def body() -> None:
        async with arena(tmp_path, path, mode=0o666):
            assert "token" in await first_answer(path)

    run(body())


@pytest.mark.parametrize(("mode", "warned"), [(0o666, True), (0o660, False)])
def test_a_socket_that_is_handed_over_for_everybody_is_warned_of(
    own_socket: str, run: Run, logged: pytest.LogCaptureFixture, mode: int, warned: bool
) -> None:
    """As systemd makes it where a unit says nothing of modes."""
    os.makedirs(os.path.dirname(own_socket), exist_ok=True)
    handed = socket.socket(socket.AF_UNIX)
    handed.bind(own_socket)
    handed.listen()
    os.chmod(own_socket, mode)

    async def body() -> None:
        async with ControlServer(PluginHost(only=[]), handed):
            assert ("`SocketMode=0600` ends that" in logged.text) is warned

    run(body())


def test_a_refused_client_raises_the_reason(
    tmp_path: Path, own_socket: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it comes to write after it was refused."""
    monkeypatch.setattr(PeerRule, "admits", lambda *_: False)

    async def body() -> None:
        async with arena(tmp_path, own_socket):
            with pytest.raises(HostUnreachable, match=rf"process {os.getpid()} of uid .* is not admitted"):
                await connect(own_socket)

    run(body())
