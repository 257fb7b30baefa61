"""One plugin's life without its process: starts that fail, what a plugin says, and why it is not ready."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from plugin_host import supervisor as module
from plugin_host.bytecode import BytecodeFolders
from plugin_host.candidate import Candidate
from plugin_host.errors import LaunchError, ManifestError, PluginNotReady
from plugin_host.event import HostEvent, PluginNotified, StateChanged
from plugin_host.manifest import decode
from plugin_host.plugin import Plugin
from plugin_host.service import ServiceTable
from plugin_host.supervisor import Supervisor, not_ready
from tests.run import Run

MANIFEST = decode(b'{"id": "demo", "version": "1.0.0", "launch": {"argv": ["x"]}}', file="demo")
RAW = decode(
    b'{"id": "demo", "version": "1", "protocol": "msgpack-rpc", "launch": {"argv": ["x"]}}', file="demo"
)


class Stage:
    """A supervisor, its plugin, and all that was told."""

    def __init__(self, **candidate: Any) -> None:
        self.events: list[HostEvent] = []
        found = {"manifest": MANIFEST, "root": Path("/demo"), **candidate}
        self.plugin = Plugin(Candidate(id="demo", source="folder /demo", **found), self.events.append)
        self.supervisor = Supervisor(
            self.plugin,
            run="run",
            version="0",
            gate=asyncio.Semaphore(1),
            services=ServiceTable({}),
            emit=self.events.append,
            bytecode=BytecodeFolders(),
            outer={},
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


@pytest.mark.parametrize(
    "error", [LaunchError("no such file\nand more"), ManifestError("checksum"), OSError(24, "too many")]
)
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
        stages = [Stage() for _ in range(12)]
        for stage in stages:
            stage.supervisor._gate = gate
        await asyncio.gather(*(stage.supervisor.start() for stage in stages), return_exceptions=True)
        assert most == 3

    run(body())


def test_call_says_why_there_is_no_link(run: Run) -> None:
    async def body() -> None:
        stage = Stage()
        with pytest.raises(PluginNotReady, match="plugin `demo` is discovered, not ready"):
            stage.supervisor.ensure_link()
        stage.plugin.error = LaunchError("it has no head")
        with pytest.raises(PluginNotReady, match="it has no head") as caught:
            stage.supervisor.ensure_link()
        assert (caught.value.plugin, caught.value.state) == ("demo", "discovered")
        skipped = Stage(skipped="blocked")
        with pytest.raises(PluginNotReady, match="not ready: blocked"):
            skipped.supervisor.ensure_link()

    run(body())


# What the plugin says.


@pytest.mark.parametrize(
    ("level", "number"),
    [("debug", 10), ("info", 20), ("warning", 30), ("error", 40), ("critical", 50), ("shout", 20), (7, 20)],
)
def test_log_record_has_the_plugins_level(
    run: Run, caplog: pytest.LogCaptureFixture, level: Any, number: int
) -> None:
    async def body() -> None:
        with caplog.at_level(logging.DEBUG, logger="plugin_host"):
            Stage().supervisor.notified("log", {"level": level, "logger": "a.b", "message": "hello"})

    run(body())
    (record,) = caplog.records
    assert (record.levelno, record.getMessage(), record.name) == (
        number,
        "a.b: hello",
        "plugin_host.plugin.demo",
    )


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"level": None, "logger": None, "message": None, "fields": None},
        {"level": [1], "logger": {"a": 1}, "message": [1, 2], "fields": [1]},
        {"message": "100% %s %d", "fields": {"traceback": 5, 7: 8}},
    ],
)
def test_record_of_any_shape_is_logged(
    run: Run, caplog: pytest.LogCaptureFixture, params: dict[str, Any]
) -> None:
    async def body() -> None:
        with caplog.at_level(logging.DEBUG, logger="plugin_host"):
            Stage().supervisor.notified("log", params)

    run(body())
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage()


def test_changed_commands_are_seen_at_once(run: Run) -> None:
    async def body() -> None:
        stage = Stage()
        stage.supervisor.notified("command.changed", {"commands": ["b", "a"]})
        assert stage.plugin.commands == ["a", "b"]

    run(body())


def test_failure_it_tells_is_an_error_in_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        Stage().supervisor.notified("failure", {"message": "the host broke the protocol"})

    run(body())
    assert caplog.messages == ["plugin demo says: the host broke the protocol"]
    assert caplog.records[0].levelno == logging.ERROR


def test_notice_that_nobody_knows_is_ignored(run: Run) -> None:
    async def body() -> None:
        stage = Stage()
        stage.supervisor.notified("new.in_protocol_2", {"a": 1})
        assert stage.events == []

    run(body())


def test_every_notice_of_a_raw_peer_is_an_event(run: Run) -> None:
    async def body() -> None:
        stage = Stage(manifest=RAW)
        stage.supervisor.notified("log", [1, 2])
        assert stage.events == [PluginNotified(plugin="demo", method="log", params=[1, 2])]

    run(body())


def test_stray_output_is_logged_by_line_and_bounded(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        with caplog.at_level(logging.DEBUG, logger="plugin_host"):
            Stage().supervisor.stray_output(b"one\ntwo \xff\n" + b"more\n" * 1000)

    run(body())
    assert caplog.messages[:2] == [
        "stdout before it was ready: one",
        "stdout before it was ready: two \ufffd",
    ]
    assert len(caplog.messages) < 100


def test_request_before_there_is_a_link_is_nobodys(run: Run) -> None:
    async def body() -> None:
        stage = Stage()
        stage.supervisor.cancelled(5)
        stage.supervisor.requested(None)  # type: ignore[arg-type]

    run(body())
