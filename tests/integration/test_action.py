"""Actions from an embedder to a plugin's process and back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import PluginHost, action
from plugin_host.errors import (
    ActionInvalid,
    ActionNotFound,
    ActionNotSupported,
    ActionRefused,
    CallCancelled,
    PluginDied,
    PluginNotFound,
)
from plugin_host.event import ActionEnded, ActionStarted
from plugin_host.state import State
from tests.robot import robot
from tests.session import is_alive
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

MIB = 1 << 20


def script(text: str, **fields: Any) -> action.RunScript:
    return action.RunScript(data=text.encode(), **fields)


async def collected(run: Any) -> dict[str, bytes]:
    """All output, by stream; offsets have to leave no hole."""
    came = {"stdout": bytearray(), "stderr": bytearray()}
    async for piece in run.output():
        assert piece.offset == len(came[piece.stream])
        came[piece.stream] += piece.data
    return {name: bytes(data) for name, data in came.items()}


def test_scripts_run_side_by_side_with_outputs_apart_and_are_told_of(tmp_path: Path) -> None:
    async def one(host: PluginHost, number: int) -> None:
        text = f"echo out {number}; echo err {number} >&2; exit {number}"
        run = await host.actions.trigger("robot", script(text))
        came = await collected(run)
        result = await run.result()
        assert came == {"stdout": f"out {number}\n".encode(), "stderr": f"err {number}\n".encode()}
        assert (result.success, result.code, result.stdout) == (number == 0, number, came["stdout"])
        assert host.actions.get(run.id) is run
        assert run.succeeded == (number == 0)

    async def body() -> None:
        async with robot(tmp_path) as host:
            events = host.events()
            await asyncio.gather(*(one(host, number) for number in range(12)))
            assert len(host.actions.list()) == 12
            started, ended = {}, {}
            async with asyncio.timeout(5):
                async for event in events:
                    if isinstance(event, ActionStarted):
                        started[event.action] = event
                    elif isinstance(event, ActionEnded):
                        assert event.action in started
                        ended[event.action] = event
                    if len(ended) == 12:
                        break
            assert sum(event.success for event in ended.values()) == 1
            with pytest.raises(ActionNotFound):
                host.actions.get("nothing")

    asyncio.run(body())


def test_output_is_live(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    async def body() -> None:
        async with robot(tmp_path) as host:
            text = f"echo one; while ! test -e {gate}; do sleep 0.02; done; echo two"
            run = await host.actions.trigger("robot", script(text))
            reader = run.output()
            assert (await anext(reader)).data == b"one\n"
            assert not run.is_over
            gate.touch()
            assert [piece.data async for piece in reader] == [b"two\n"]
            assert (await run.result()).success

    asyncio.run(body())


def test_megabytes_arrive_whole_for_who_reads_and_wait_for_nobody_else(tmp_path: Path) -> None:
    size = 6 * MIB

    async def body() -> None:
        async with robot(tmp_path) as host:
            text = f"head -c {size} /dev/zero; head -c 4099 /dev/zero >&2"
            run = await host.actions.trigger("robot", script(text))
            result = await run.result()
            assert (result.stdout_bytes, result.truncated) == (size, True)
            late = [piece async for piece in run.output()]
            assert sum(len(piece.data) for piece in late) <= 1_000_000
            again = await host.actions.trigger("robot", script(text))
            came = await collected(again)
            assert (len(came["stdout"]), len(came["stderr"])) == (size, 4099)

    asyncio.run(body())


def test_cancel_ends_the_whole_tree_and_may_be_repeated(tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with robot(tmp_path) as host:
            text = "trap '' TERM; sleep 60 & echo $!; wait; wait"
            run = await host.actions.trigger("robot", script(text))
            async with run.output() as reader:
                child = int((await anext(reader)).data)
            assert [await run.cancel("enough", grace=0.1) for _ in range(2)] == ["cancelling"] * 2
            result = await run.result()
            assert not result.success
            assert "enough" in result.reason
            await wait_until.aio(lambda: not is_alive(child))
            assert await run.cancel() == "not_running"

    asyncio.run(body())


def test_silent_script_gives_signs_and_keeps_a_lazy_plugin_from_being_stopped(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with robot(tmp_path, activation="lazy", idle_stop_s=0.2) as host:
            run = await host.actions.trigger("robot", script("exec sleep 60"))
            first = run.last_sign
            await wait_until.aio(lambda: run.last_sign > first + 0.6)
            assert str(host.plugins["robot"].state) == "ready"
            await run.cancel(grace=0)
            await run.result()
            await wait_until.aio(lambda: host.plugins["robot"].state is State.IDLE)

    asyncio.run(body())


def test_death_of_the_plugin_is_the_reason_of_all_its_actions(tmp_path: Path) -> None:
    async def body() -> None:
        async with robot(tmp_path) as host:
            runs = [await host.actions.trigger("robot", script("echo up; exec sleep 60")) for _ in range(2)]
            reader = runs[0].output()
            await anext(reader)
            os.kill(host.plugins["robot"].pid or 0, signal.SIGKILL)
            for run in runs:
                with pytest.raises(PluginDied, match=f"with action {run.id} running") as caught:
                    await run.result()
                assert caught.value.report is not None
                assert caught.value.report.calls == ("run_script", "run_script")
            with pytest.raises(PluginDied):
                await anext(reader)

    asyncio.run(body())


def test_stop_of_the_plugin_ends_its_actions(tmp_path: Path) -> None:
    async def body() -> None:
        async with robot(tmp_path) as host:
            run = await host.actions.trigger("robot", script("exec sleep 60"))
            await host.stop("robot")
            with contextlib.suppress(CallCancelled):
                assert not (await run.result()).success

    asyncio.run(body())


def test_exit_answers_before_the_plugin_goes(tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with robot(tmp_path) as host:
            run = await host.actions.trigger("robot", action.Exit())
            assert await run.result() == action.Done(message="leaving")
            await wait_until.aio(lambda: host.plugins["robot"].state is State.STOPPED)
            death = host.plugins["robot"].death
            assert death is not None
            assert death.status is not None
            assert death.status.code == 0

    asyncio.run(body())


def test_refusals_are_raised_by_the_trigger(tmp_path: Path) -> None:
    write_plugin(tmp_path / "plugins", "other")

    async def body() -> None:
        async with stage("other", dirs=[tmp_path / "plugins"]) as host:
            with pytest.raises(ActionNotSupported, match="`other` has no actions"):
                await host.actions.trigger("other", action.Exit())
            with pytest.raises(PluginNotFound):
                await host.actions.trigger("nobody", action.Exit())
        async with robot(tmp_path) as host:
            with pytest.raises(ActionRefused, match="not allowed") as caught:
                await host.actions.trigger("robot", action.Reboot())
            assert caught.value.option == "allow_reboot"
            assert "heartbeat" in await host.actions.kinds("robot")
            await host.actions.trigger("robot", script("exec sleep 60"), id="mine")
            with pytest.raises(ActionInvalid, match="known already"):
                await host.actions.trigger("robot", script("true"), id="mine")

    asyncio.run(body())


def test_upload_goes_through_in_bounded_memory(tmp_path: Path) -> None:
    size = 64 * MIB
    source = tmp_path / "source"
    with source.open("wb") as file:
        for number in range(64):
            file.write(os.urandom(1) * MIB + bytes([number]))
        file.truncate(size)
    told: list[tuple[int, int | None]] = []

    async def body() -> None:
        async with robot(tmp_path) as host:
            plugin = psutil.Process(host.plugins["robot"].pid)
            before = psutil.Process().memory_info().rss, plugin.memory_info().rss
            request = action.UploadFile(path=str(tmp_path / "arrived"))
            run = await host.actions.trigger(
                "robot", request, source, on_progress=lambda *told_now: told.append(told_now)
            )
            result = await run.result()
            after = psutil.Process().memory_info().rss, plugin.memory_info().rss
            assert max(now - then for now, then in zip(after, before, strict=True)) < 24 * MIB
            assert result.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
            assert run.progress == told[-1] == (size, size)

    asyncio.run(body())
    assert (tmp_path / "arrived").stat().st_size == size
