"""One host and its clients: what they ask, and what each of them is told."""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest

from plugin_host.control import ControlClient, ControlServer, connect
from plugin_host.errors import (
    CallCancelled,
    CallError,
    CallFailed,
    CallTimeout,
    HostLost,
    HostUnreachable,
    PluginDied,
    PluginNotFound,
    PluginNotReady,
    SocketInUse,
)
from plugin_host.localsocket import LocalSocket
from plugin_host.trace import traced
from plugin_host_sdk.events import ErrorReceived, Initialized, InitializeRefused
from plugin_host_sdk.protocol import INITIALIZE_ID
from tests.control.arena import arena
from tests.run import Run
from tests.wait import WaitUntil


def test_the_trace_of_a_client_is_carried_to_the_plugin_and_to_nobody_elses(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    parent, state = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "a=b"

    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            with traced("00-" + "1" * 32 + "-" + "2" * 16 + "-00"):  # the program's, when a client came
                client, other = await scene.client("one"), await scene.client("two")
            with traced(parent, state):
                mine, others = await asyncio.gather(client.call("desk", "trace"), _untraced(other))
                assert (mine, others) == ([parent, state], [None, ""])
            assert await client.call("desk", "trace") == [None, ""]

    async def _untraced(client: ControlClient) -> Any:
        with traced(None):
            return await client.call("desk", "trace", timeout=10)

    run(body())


def test_a_client_calls_and_is_told_what_an_embedder_is(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client("one")
            assert await client.call("desk", "echo", {"value": [b"\xff", 2**63, "é"]}) == [
                b"\xff",
                2**63,
                "é",
            ]
            steps: list[tuple[float, float | None, str]] = []
            told = await client.call("desk", "work", on_progress=lambda *step: steps.append(step))
            assert told == 3
            assert steps == [(1, 3, "step"), (2, 3, "step"), (3, 3, "step")]
            assert await client.call("desk", "work", {"steps": "2"}, text=True) == 2
            with pytest.raises(CallFailed, match="not today") as refused:
                await client.call("desk", "refuse")
            assert (refused.value.name, refused.value.code) == ("command.failed", 5)
            assert refused.value.data == {"why": "tired"}
            with pytest.raises(PluginNotFound) as missing:
                await client.call("dask", "echo")
            assert missing.value.near == ("desk",)
            with pytest.raises(CallTimeout) as late:
                await client.call("desk", "wait", timeout=0.2)
            with pytest.raises(CallTimeout) as as_late:
                await scene.host.call("desk", "wait", timeout=0.2)
            assert str(late.value) == str(as_late.value) == "desk wait: no answer within 0.2 s"

    run(body())


def test_a_host_that_says_nothing_is_found_by_the_client(own_socket: str, run: Run) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        answer = [1, INITIALIZE_ID, None, {"protocol": 1, "plugin": {"id": "host", "version": "1"}}]
        writer.write(msgpack.packb(answer))
        await reader.read()
        writer.close()

    async def body() -> None:
        os.makedirs(os.path.dirname(own_socket), mode=0o700)
        async with await asyncio.start_unix_server(serve, own_socket), await connect() as client:
            with pytest.raises(CallTimeout, match=r"^host\.call: the host gave no answer within 0\.1 s$"):
                await client.call("desk", "echo", timeout=0.1)

    run(body())


def test_a_death_in_a_call_is_told_with_its_report(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, restart={"policy": "never"}) as scene:
            client = await scene.client()
            with pytest.raises(PluginDied) as died:
                await client.call("desk", "die")
            report = died.value.report
            assert report is not None
            assert (report.plugin, report.calls) == ("desk", ("die",))
            assert report.status is not None
            assert report.status.code == 7
            with pytest.raises(PluginNotReady):
                await client.call("desk", "echo")
            shown = (await client.plugins())[0]
            assert (shown["state"], shown["death"]["exit_code"]) == ("failed", 7)

    run(body())


def test_a_call_is_cancelled_in_the_plugin_when_its_client_gives_up_or_goes(
    tmp_path: Path, own_socket: str, run: Run, caplog: pytest.LogCaptureFixture, wait_until: WaitUntil
) -> None:
    caplog.set_level("INFO", "plugin_host")

    def said(text: str) -> int:
        return sum(text in record.getMessage() for record in caplog.records)

    async def until(text: str, times: int) -> None:
        await wait_until.aio(lambda: said(text) >= times)

    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            call = asyncio.create_task(client.call("desk", "wait"))
            await until(": waiting", 1)
            call.cancel()
            await until(": cancelled", 1)
            call = asyncio.create_task(client.call("desk", "wait"))
            await until(": waiting", 2)
            await client.close()
            with pytest.raises(HostLost):
                await call
            await until(": cancelled", 2)

    run(body())


def test_plugins_are_stopped_started_and_listed_in_order(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client("one")
            assert (await client.stop("desk"))["state"] == "stopped"
            with pytest.raises(PluginNotReady):
                await client.call("desk", "echo")
            assert (await client.start("desk"))["state"] == "ready"
            before = (await client.plugins("desk"))[0]["pid"]
            assert (await client.restart("desk"))["pid"] != before
            before = (await client.plugins("desk"))[0]["pid"]
            assert (await client.reload("desk"))["pid"] != before
            assert [plugin["id"] for plugin in await client.plugins()] == sorted(scene.host.plugins)
            status = await client.status()
            assert status["plugins"] == {"ready": 1}
            assert status["socket"] == own_socket
            assert [(one["name"], one["pid"]) for one in status["clients"]] == [("one", os.getpid())]

    run(body())


def test_a_restart_is_finished_when_the_client_that_asked_for_it_goes(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            pid = scene.host.plugins["desk"].pid
            client = await scene.client()
            asking = asyncio.create_task(client.restart("desk"))
            await wait_until.aio(lambda: scene.host.plugins["desk"].pid != pid)
            await client.close()
            with pytest.raises(HostLost):
                await asking
            await wait_until.aio(lambda: scene.host.plugins["desk"].pid is not None)
            assert scene.host.plugins["desk"].pid != pid

    run(body())


@pytest.mark.parametrize(
    ("method", "params", "text"),
    [
        ("host.stauts", {}, "did you mean `host.status`"),
        ("host.call", {"plugin": "desk"}, "missing required field `command`"),
        ("host.call", {"plugin": 3, "command": "x"}, r"Expected `str`, got `int` - at `\$.plugin`"),
        ("host.call", {"plugin": "desk", "command": "echo", "text": True, "params": [1]}, "are a map"),
        ("exec.create", {"plugin": "desk", "id": "a b"}, "id"),
        ("exec.get", {"session": "nowhere"}, "no such session"),
        ("host.attach", {"session": "nowhere", "plugin": "desk"}, "in plugin `desk`"),
        ("exec.resize", {"session": "x"}, "missing required field `rows`"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(
    method: str, params: dict[str, object], text: str, tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            with pytest.raises(CallError, match=text):
                await (await scene.client()).ask(method, params)

    run(body())


@pytest.mark.parametrize("timeout_ms", [float("nan"), "soon", True, [5]], ids=repr)
def test_a_deadline_that_is_no_time_is_refused_before_anything_is_done(
    timeout_ms: Any, tmp_path: Path, own_socket: str, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.raw()
            await client.initialize()
            call = {"plugin": "desk", "command": "echo"}
            _, data = client.connection.send_request("host.call", call, {"timeout_ms": timeout_ms})
            await client.send(data)
            (refused,) = await client.events()
            assert isinstance(refused, ErrorReceived)
            assert refused.error["name"] == "rpc.invalid_params"
            assert "timeout_ms" in refused.error["message"]

    run(body())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_whoever_is_not_of_this_protocol_is_refused_in_words(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            future = await scene.raw()
            (refused,) = await future.initialize(protocols=[2, 3])
            assert isinstance(refused, InitializeRefused)
            assert refused.error["name"] == "initialize.no_common_protocol"
            assert "the client speaks [2, 3], this host [1]" in refused.error["message"]
            odd = await scene.raw()
            (refused,) = await odd.initialize(release="maybe")
            assert isinstance(refused, InitializeRefused)
            assert "release" in refused.error["message"]
            guess = await scene.raw()
            (refused,) = await guess.initialize(token="short")
            assert isinstance(refused, InitializeRefused)
            plain = await scene.raw()
            (greeted,) = await plain.initialize()
            assert isinstance(greeted, Initialized)
            assert greeted.result["features"] == list(scene.server.methods)

    run(body())


def test_the_socket_is_the_owners_alone_and_its_name_goes_with_the_server(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket):
            assert stat.S_IMODE(os.stat(own_socket).st_mode) == 0o600
            assert stat.S_IMODE(os.stat(os.path.dirname(own_socket)).st_mode) == 0o700
        with pytest.raises(HostUnreachable, match="no host listens there"):
            await connect(own_socket)

    run(body())


def test_a_second_server_at_the_same_place_is_told_who_is_there(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            with pytest.raises(SocketInUse, match=f"process {os.getpid()}"):
                await ControlServer(scene.host, LocalSocket(path=own_socket)).start()
            assert await (await scene.client()).call("desk", "echo", {"value": 1}) == 1

    run(body())


def test_clients_learn_that_the_host_stops(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            call = asyncio.create_task(client.call("desk", "wait"))
            await asyncio.sleep(0)
            await client.status()
            await scene.host.close()
            with suppress(CallCancelled):
                assert await call == "gave up"
            await scene.server.close()
            await client.wait_closed()
            with pytest.raises(HostLost):
                await client.status()

    run(body())


@pytest.mark.edges
def test_two_hundred_clients_each_get_their_own_answers_and_all_events(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    answered = 0

    async def one(path: str, number: int) -> list[str]:
        nonlocal answered
        async with await connect(path, timeout=15) as client, await client.events() as events:
            for step in range(5):
                assert await client.call("desk", "echo", {"value": [number, step]}) == [number, step]
            answered += 1
            states = []
            async for event in events:
                if event["event"] == "state":
                    states.append(event["new"])
                if states[-1:] == ["ready"]:
                    break
            return states

    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            before = len(os.listdir("/proc/self/fd"))
            clients = [asyncio.create_task(one(own_socket, number)) for number in range(200)]
            await wait_until.aio(lambda: answered == len(clients))
            await scene.host.restart("desk")
            for states in await asyncio.gather(*clients):
                assert states == ["stopping", "stopped", "starting", "ready"]
            await wait_until.aio(lambda: not scene.server.desks())
            # A child that waits in a forkserver may have come meanwhile, with two.
            await wait_until.aio(lambda: len(os.listdir("/proc/self/fd")) <= before + 2)

    run(body())
