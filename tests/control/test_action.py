"""Actions over the control socket: with the face of the host's own, and an owner."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from plugin_host import action
from plugin_host.control import ControlServer
from plugin_host.control.claim import Share
from plugin_host.errors import (
    ActionFailed,
    ActionInvalid,
    ActionNotFound,
    ActionRefused,
    CallFailed,
    HostLost,
    PluginDied,
    PluginNotFound,
)
from plugin_host.localsocket import LocalSocket
from tests.control.arena import Arena
from tests.robot import robot
from tests.wait import WaitUntil

WHOLE = bytes(range(256)) * 12_000
ODD: list[Any] = [
    {"kind": "dance"},
    {"request": {"data": 5}},
    {"stdout": 3},
    {"data": 8},
    {"window": 0},
    "twice",
]
SLEEP = action.RunScript(data=b"echo up; exec sleep 60")


@asynccontextmanager
async def stage(folder: Path, path: str, *, share: Share = "user") -> AsyncIterator[Arena]:
    async with (
        robot(folder) as host,
        ControlServer(host, LocalSocket(path=path), share=share) as server,
        AsyncExitStack() as stack,
        asyncio.timeout(18),
    ):
        yield Arena(host, server, stack)


async def output(run: Any) -> dict[str, bytes]:
    came = {"stdout": bytearray(), "stderr": bytearray()}
    async for piece in run.output():
        assert piece.offset == len(came[piece.stream])
        came[piece.stream] += piece.data
    return {name: bytes(data) for name, data in came.items()}


def test_client_has_the_face_of_the_host(tmp_path: Path, own_socket: str, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with stage(tmp_path, own_socket) as there:
            client = await there.client()
            text = b"head -c 5000000 /dev/zero; echo err >&2; exit 3"
            run = await client.actions.trigger("robot", action.RunScript(data=text))
            came = await output(run)
            assert (len(came["stdout"]), came["stderr"]) == (5_000_000, b"err\n")
            result = await run.result()
            assert (result.code, result.stdout_bytes) == (3, 5_000_000)

            again = await client.actions.trigger("robot", action.RunScript(data=text))
            assert (await again.result()).code == 3  # and nobody has read

            with pytest.raises(ActionRefused) as caught:
                await client.actions.trigger("robot", action.Reboot())
            assert caught.value.option == "allow_reboot"
            with pytest.raises(PluginNotFound):
                await client.actions.trigger("nobody", action.Exit())
            with pytest.raises(ActionInvalid, match="needs data"):
                await client.actions.trigger("robot", action.UploadFile(path="/x"))
            assert "heartbeat" in await client.actions.kinds("robot")
            beat = await client.actions.trigger("robot", action.Heartbeat(nonce="n"))
            assert (await beat.result()).nonce == "n"

            silent = await client.actions.trigger("robot", SLEEP)
            before = silent.last_sign
            await wait_until.aio(lambda: silent.last_sign > before + 0.2)
            assert await silent.cancel("enough", grace=0) == "cancelling"
            assert "enough" in (await silent.result()).reason
            assert await client.actions.cancel(silent.id) == "not_running"
            assert await client.actions.cancel("never-was") == "not_running"

    asyncio.run(body())


def test_upload_through_the_socket(tmp_path: Path, own_socket: str) -> None:
    async def body() -> None:
        async with stage(tmp_path, own_socket) as there:
            client = await there.client()
            target = tmp_path / "arrived"
            source = tmp_path / "source"
            source.write_bytes(WHOLE)
            told: list[tuple[int, int | None]] = []
            run = await client.actions.trigger(
                "robot",
                action.UploadFile(path=str(target)),
                source,
                on_progress=lambda *now: told.append(now),
            )
            assert (await run.result()).sha256 == hashlib.sha256(WHOLE).hexdigest()
            assert target.read_bytes() == WHOLE
            assert told[-1] == (len(WHOLE), len(WHOLE))

    asyncio.run(body())


def test_source_that_fails_at_the_client_is_the_reason(tmp_path: Path, own_socket: str) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise ActionFailed("the well is dry")

    async def body() -> None:
        async with stage(tmp_path, own_socket) as there:
            client = await there.client()
            request = action.UploadFile(path=str(tmp_path / "arrived"))
            run = await client.actions.trigger("robot", request, broken())
            with pytest.raises(ActionFailed, match="the well is dry"):
                await run.result()
            (there_run,) = there.host.actions.list()
            with pytest.raises(ActionFailed, match="could not be read"):
                await there_run.result()

    asyncio.run(body())


def test_client_that_goes_cancels_what_it_did_not_want_kept(tmp_path: Path, own_socket: str) -> None:
    async def body() -> None:
        async with stage(tmp_path, own_socket) as there:
            client, other = await there.client(), await there.client()
            gone = await client.actions.trigger("robot", SLEEP, id="gone")
            await client.actions.trigger("robot", SLEEP, id="kept", keep=True)
            late = await client.actions.trigger("robot", SLEEP, id="late")
            await client.actions.keep(late)
            listed = {one.id: one.plugin for one in await other.actions.list("robot")}
            assert listed == dict.fromkeys(["gone", "kept", "late"], "robot")
            await client.close()
            with pytest.raises(HostLost):
                await gone.result()
            followed = await other.actions.get("gone")
            assert "its client has gone" in (await followed.result()).reason
            for id in ("kept", "late"):
                run = await other.actions.get(id)
                assert not run.is_over
                assert (await anext(run.output())).data == b"up\n"
                assert await run.cancel(grace=0) == "cancelling"
                await run.result()

    asyncio.run(body())


def test_client_that_goes_in_the_middle_of_an_upload_ends_it(tmp_path: Path, own_socket: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"more" * 1000
            await asyncio.sleep(0)

    async def body() -> None:
        async with stage(tmp_path, own_socket) as there:
            client = await there.client()
            request = action.UploadFile(path=str(tmp_path / "arrived"))
            await client.actions.trigger("robot", request, endless(), keep=True)
            await client.close()
            (run,) = there.host.actions.list()
            with pytest.raises(ActionFailed, match="client that sent the data has gone"):
                await run.result()

    asyncio.run(body())


def test_follower_that_comes_later_goes_on_where_it_was(tmp_path: Path, own_socket: str) -> None:
    async def body() -> None:
        async with stage(tmp_path, own_socket) as there:
            client, other = await there.client(), await there.client()
            done = await client.actions.trigger("robot", action.RunScript(data=b"echo 0123456789"))
            assert (await done.result()).success
            late = await other.actions.get(done.id, since={"stdout": 4})
            assert [(one.offset, one.data) async for one in late.output()] == [(4, b"456789\n")]
            assert (await late.result()).success
            answer = await other.ask("action.result", {"action": done.id})
            assert (answer["kind"], answer["result"]["success"]) == ("run_script", True)
            with pytest.raises(ActionNotFound):
                await other.actions.get("nothing")

    asyncio.run(body())


def test_action_of_another_client_may_be_none_of_ones_business(tmp_path: Path, own_socket: str) -> None:
    async def body() -> None:
        async with stage(tmp_path, own_socket, share="owner") as there:
            client, other = await there.client(), await there.client()
            run = await client.actions.trigger("robot", SLEEP)
            assert [one.id for one in await client.actions.list()] == [run.id]
            assert await other.actions.list() == []
            for method in ("action.cancel", "action.result", "action.keep"):
                with pytest.raises(CallFailed, match="another client's"):
                    await other.ask(method, {"action": run.id})
            with pytest.raises(CallFailed, match="another client's"):
                await other.actions.get(run.id)
            assert not run.is_over

    asyncio.run(body())


def test_death_of_the_plugin_reaches_the_client_with_its_report(tmp_path: Path, own_socket: str) -> None:
    async def body() -> None:
        async with stage(tmp_path, own_socket) as there:
            client = await there.client()
            run = await client.actions.trigger("robot", SLEEP)
            reader = run.output()
            assert (await anext(reader)).data == b"up\n"
            os.kill(there.host.plugins["robot"].pid or 0, signal.SIGKILL)
            with pytest.raises(PluginDied, match=f"with action {run.id} running") as caught:
                await run.result()
            assert caught.value.report is not None
            assert await run.cancel() == "not_running"

    asyncio.run(body())


def test_trigger_that_is_cancelled_leaves_nothing(
    tmp_path: Path, own_socket: str, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with stage(tmp_path, own_socket) as there:
            client = await there.client()
            task = asyncio.create_task(client.actions.trigger("robot", SLEEP, id="never"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await client.status()
            await wait_until.aio(lambda: all(one.is_over for one in there.host.actions.list()))

    asyncio.run(body())


def test_odd_triggers_are_refused_and_the_client_served_on(
    tmp_path: Path, own_socket: str, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with stage(tmp_path, own_socket) as there:
            client = await there.client()
            streams = client.link.streams
            for number, changed in enumerate(ODD):
                stdout, stderr = streams.reserve(), streams.reserve()
                asked = {
                    "plugin": "robot",
                    "action": f"a{number}",
                    "kind": "run_script",
                    "request": {"data": SLEEP.data},
                    "stdout": stdout,
                    "stderr": stdout if changed == "twice" else stderr,
                    "window": 1 << 20,
                }
                with pytest.raises((ActionInvalid, CallFailed)):
                    await client.ask("action.trigger", asked | (changed if type(changed) is dict else {}))
            await wait_until.aio(lambda: all(one.is_over for one in there.host.actions.list()))
            assert await client.status()

    asyncio.run(body())
