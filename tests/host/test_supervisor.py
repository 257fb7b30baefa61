"""One plugin's life without its process: starts that fail, what a plugin says, and why it is not ready."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from plugin_host import instance as module
from plugin_host.admittance import not_ready
from plugin_host.bytecode import BytecodeFolders
from plugin_host.candidate import Candidate
from plugin_host.death import Phase
from plugin_host.errors import CallTimeout, LaunchError, ManifestError, PluginNotReady, SpawnError
from plugin_host.event import HostEvent, StateChanged
from plugin_host.facility import Facilities
from plugin_host.keeper.handle import Keeper
from plugin_host.manifest import decode
from plugin_host.metadata.desk import MetadataDesk
from plugin_host.metadata.face import Metadata
from plugin_host.plugin import Plugin
from plugin_host.service import ServiceTable
from plugin_host.state import State
from plugin_host.supervisor import Supervisor
from tests.run import Run

MANIFEST = decode(b'{"id": "demo", "version": "1.0.0", "launch": {"argv": ["x"]}}', file="demo")


class Stage:
    """A supervisor, its plugin, and all that was told."""

    def __init__(self, gate: asyncio.Semaphore | None = None, **candidate: Any) -> None:
        self.events: list[HostEvent] = []
        found = {"manifest": MANIFEST, "root": Path("/demo"), **candidate}
        self.plugin = Plugin(Candidate(id="demo", source="folder /demo", **found), self.events.append)
        self.supervisor = Supervisor(
            self.plugin,
            Facilities(
                run="run",
                version="0",
                gate=gate or asyncio.Semaphore(1),
                services=ServiceTable({}),
                metadata=MetadataDesk(Metadata()),
                emit=self.events.append,
                keeper=Keeper("run"),
                bytecode=BytecodeFolders(),
                outer={},
            ),
        )

    @property
    def states(self) -> list[str]:
        return [str(event.new) for event in self.events if isinstance(event, StateChanged)]


def launching(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    async def launch(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(module, "launch", launch)


def test_broken_candidate_is_its_error_and_moves_nowhere(run: Run) -> None:
    async def body() -> None:
        stage = Stage(manifest=None, error=ManifestError("not JSON"))
        with pytest.raises(ManifestError, match="not JSON"):
            await stage.supervisor.start()
        assert stage.states == []

    run(body())


@pytest.mark.parametrize("error", [LaunchError("no such file\nand more"), ManifestError("checksum")])
def test_launch_that_fails_leaves_the_reason(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def body() -> None:
        launching(monkeypatch, error)
        stage = Stage()
        with pytest.raises(type(error)):
            await stage.supervisor.start()
        assert stage.plugin.error is error
        assert stage.states == ["starting", "failed"]
        moved = stage.events[-1]
        assert isinstance(moved, StateChanged)
        assert moved.reason == str(error).partition("\n")[0]
        if isinstance(error, LaunchError):
            assert error.plugin == "demo"
        await stage.supervisor.stop()  # of what does not run changes nothing
        assert stage.states == ["starting", "failed"]

    run(body())


@pytest.mark.parametrize("lack", [OSError(24, "too many files"), RuntimeError("can't start new thread")])
def test_launch_that_lacks_something_is_a_launch_error_that_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, lack: Exception
) -> None:
    async def body() -> None:
        launching(monkeypatch, lack)
        stage = Stage()
        with pytest.raises(SpawnError) as caught:
            await stage.supervisor.start()
        assert str(caught.value) == f"plugin `demo` cannot be started: {lack}"
        report = caught.value.report
        assert report is not None
        assert (report.phase, report.how) == (Phase.SPAWN, f"cannot be started: {lack}")
        assert stage.states == ["starting", "failed"]

    run(body())


@pytest.mark.parametrize(
    ("problem", "is_scarce"),
    [
        (OSError(errno.EMFILE, "too many files"), True),
        (RuntimeError("can't start new thread"), True),
        (OSError(errno.EACCES, "no right"), False),
        (OSError(errno.ENOSPC, "no room"), False),
        (RuntimeError("cannot reuse"), False),
    ],
)
def test_only_what_passes_by_itself_is_a_lack(
    run: Run, monkeypatch: pytest.MonkeyPatch, problem: Exception, is_scarce: bool
) -> None:
    """A plugin that can never be started is given up."""

    async def body() -> None:
        launching(monkeypatch, problem)
        with pytest.raises(SpawnError) as caught:
            await Stage().supervisor.start()
        assert caught.value.is_scarce == is_scarce

    run(body())


def test_restart_that_lacks_something_is_tried_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        launching(monkeypatch, RuntimeError("can't start new thread"))
        stage = Stage()
        stage.plugin.move(State.STARTING)
        stage.plugin.move(State.READY)
        stage.plugin.move(State.BACKOFF)
        stage.supervisor._revival = asyncio.create_task(stage.supervisor._revive(0))
        await asyncio.wait((stage.supervisor._revival,))
        assert stage.states[3:] == ["starting", "backoff"]
        await stage.supervisor.close()

    run(body())


def test_cancelled_launch_after_one_that_was_called_off_is_cancelled(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = asyncio.Event()

    async def fails(*_: Any) -> Any:
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise LaunchError("it ended at the same moment") from None

    async def body() -> None:
        stage = Stage()
        monkeypatch.setattr(module, "launch", fails)
        first = asyncio.create_task(stage.supervisor.start())
        await began.wait()
        await stage.supervisor.stop()
        with pytest.raises(LaunchError, match="at the same moment"):
            await first
        launching(monkeypatch, asyncio.CancelledError())
        with pytest.raises(asyncio.CancelledError):
            await stage.supervisor.start()

    run(body())


def test_stop_waits_for_no_start_that_was_wanted_before_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches: list[object] = []
    began = asyncio.Event()

    async def launch(*order: Any) -> Any:
        launches.append(order)
        began.set()
        await asyncio.Event().wait()

    async def body() -> None:
        monkeypatch.setattr(module, "launch", launch)
        stage = Stage()
        since = stage.supervisor.stops
        starts = [asyncio.create_task(stage.supervisor.start()) for _ in range(3)]
        swap = asyncio.create_task(stage.supervisor.swap(stage.plugin.candidate, since))
        await began.wait()
        await stage.supervisor.stop()
        found = await asyncio.gather(*starts, swap, return_exceptions=True)
        assert [type(one) for one in found] == [LaunchError] * 4
        assert "was stopped meanwhile" in str(found[-1])
        with pytest.raises(LaunchError, match="was stopped meanwhile"):
            await stage.supervisor.start(since)
        assert len(launches) == 1
        assert stage.plugin.state is State.STOPPED

    run(body())


def test_stop_that_is_cancelled_leaves_no_plugin_waiting_for_a_restart_that_was_called_off(
    run: Run,
) -> None:
    async def body() -> None:
        stage = Stage()
        for state in (State.STARTING, State.READY, State.BACKOFF):
            stage.plugin.move(state)
        stage.supervisor._revival = asyncio.create_task(stage.supervisor._revive(60))
        async with stage.supervisor._lock:
            stop = asyncio.create_task(stage.supervisor.stop())
            await asyncio.sleep(0)
            stop.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stop
        assert stage.plugin.state is State.STOPPED

    run(body())


def test_cancelled_launch_leaves_a_reason_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        launching(monkeypatch, asyncio.CancelledError())
        stage = Stage()
        with pytest.raises(asyncio.CancelledError):
            await stage.supervisor.start()
        assert stage.states == ["starting", "failed"]
        assert "its launch was cancelled" in str(not_ready(stage.plugin))

    run(body())


def test_gate_lets_no_more_launches_through_than_it_has_room_for(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = most = 0

    async def launch(*_: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        raise LaunchError("enough")

    async def body() -> None:
        monkeypatch.setattr(module, "launch", launch)
        gate = asyncio.Semaphore(3)
        stages = [Stage(gate) for _ in range(12)]
        await asyncio.gather(*(stage.supervisor.start() for stage in stages), return_exceptions=True)
        assert most == 3

    run(body())


def test_call_says_why_there_is_no_link(run: Run) -> None:
    async def body() -> None:
        stage = Stage()
        with pytest.raises(PluginNotReady, match="plugin `demo` is discovered, not ready"):
            await stage.supervisor.admit(None, fail_fast=False)
        stage.plugin.error = LaunchError("it has no head")
        with pytest.raises(PluginNotReady, match="it has no head") as caught:
            await stage.supervisor.admit(None, fail_fast=False)
        assert (caught.value.plugin, caught.value.state) == ("demo", "discovered")
        skipped = Stage(skipped="blocked")
        with pytest.raises(PluginNotReady, match="not ready: blocked"):
            await skipped.supervisor.admit(None, fail_fast=False)

    run(body())


def test_calls_of_a_plugin_that_starts_wait_within_their_time_or_not_at_all(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, over = asyncio.Event(), asyncio.Event()

    async def launch(*_: Any) -> Any:
        began.set()
        await over.wait()
        raise LaunchError("it has no head")

    async def body() -> None:
        monkeypatch.setattr(module, "launch", launch)
        stage = Stage()
        start = asyncio.create_task(stage.supervisor.start())
        await began.wait()
        with pytest.raises(PluginNotReady, match="is starting, not ready"):
            await stage.supervisor.admit(60.0, fail_fast=True)
        with pytest.raises(CallTimeout, match="is starting, not ready; it was waited for until"):
            await stage.supervisor.admit(0.02, fail_fast=False)
        patient = asyncio.create_task(stage.supervisor.admit(60.0, fail_fast=False))
        await asyncio.sleep(0)
        assert not patient.done()
        over.set()
        with pytest.raises(PluginNotReady, match="is failed, not ready: it has no head"):
            await patient
        with pytest.raises(LaunchError):
            await start

    run(body())
