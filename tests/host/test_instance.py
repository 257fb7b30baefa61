"""One run of a plugin without its process: what it says reaches those whom it concerns."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from plugin_host.bytecode import BytecodeFolders
from plugin_host.candidate import Candidate
from plugin_host.death import DeathReport
from plugin_host.event import HostEvent, PluginNotified
from plugin_host.facility import Facilities
from plugin_host.health import HealthVerdict
from plugin_host.instance import Instance, InstanceOwner
from plugin_host.journal import Journal
from plugin_host.keeper.handle import Keeper
from plugin_host.manifest import Manifest, decode
from plugin_host.metadata.desk import MetadataDesk
from plugin_host.metadata.face import Metadata
from plugin_host.plugin import Plugin
from plugin_host.service import ServiceTable
from plugin_host.supervisor import Supervisor
from tests.run import Run

MANIFEST = decode(b'{"id": "demo", "version": "1.0.0", "launch": {"argv": ["x"]}}', file="demo")
RAW = decode(
    b'{"id": "demo", "version": "1", "protocol": "msgpack-rpc", "launch": {"argv": ["x"]}}', file="demo"
)


class Owner(InstanceOwner):
    """Who is told."""

    def __init__(self) -> None:
        self.offered: list[Any] = []

    def died(self, instance: Instance, report: DeathReport) -> DeathReport:
        return report

    def commands_changed(self, instance: Instance, offered: Any) -> None:
        self.offered.append(offered)

    def unresponsive(self, instance: Instance, verdict: HealthVerdict) -> None:
        raise AssertionError("nobody watches it")

    def recovered(self, instance: Instance) -> None:
        raise AssertionError("nobody watches it")


def facilities(events: list[HostEvent]) -> Facilities:
    return Facilities(
        run="run",
        version="0",
        gate=asyncio.Semaphore(1),
        services=ServiceTable({}),
        metadata=MetadataDesk(Metadata()),
        emit=events.append,
        keeper=Keeper("run"),
        bytecode=BytecodeFolders(),
        outer={},
    )


def instance(manifest: Manifest, events: list[HostEvent], owner: InstanceOwner) -> Instance:
    candidate = Candidate(id="demo", source="folder /demo", manifest=manifest, root=Path("/demo"))
    return Instance(candidate, manifest, 1, facilities(events), Journal("demo"), owner)


def test_changed_commands_are_told_to_its_owner_at_once(run: Run) -> None:
    async def body() -> None:
        owner, events = Owner(), list[HostEvent]()
        instance(MANIFEST, events, owner).notified("command.changed", {"commands": ["b", "a"]})
        assert owner.offered == [{"commands": ["b", "a"]}]
        assert events == []

    run(body())


def test_commands_of_one_that_does_not_serve_change_nothing(run: Run) -> None:
    async def body() -> None:
        events: list[HostEvent] = []
        candidate = Candidate(id="demo", source="folder /demo", manifest=MANIFEST, root=Path("/demo"))
        plugin = Plugin(candidate, events.append)
        supervisor = Supervisor(plugin, facilities(events))
        one, other = (instance(MANIFEST, events, supervisor) for _ in range(2))
        supervisor._instance = one
        other.notified("command.changed", {"commands": ["x"]})
        assert plugin.commands == []
        one.notified("command.changed", {"commands": ["b", "a"]})
        assert plugin.commands == ["a", "b"]

    run(body())


def test_notice_that_nobody_knows_is_ignored(run: Run) -> None:
    async def body() -> None:
        owner, events = Owner(), list[HostEvent]()
        instance(MANIFEST, events, owner).notified("new.in_protocol_2", {"a": 1})
        assert (owner.offered, events) == ([], [])

    run(body())


def test_every_notice_of_a_raw_peer_is_an_event(run: Run) -> None:
    async def body() -> None:
        owner, events = Owner(), list[HostEvent]()
        instance(RAW, events, owner).notified("log", [1, 2])
        assert events == [PluginNotified(plugin="demo", method="log", params=[1, 2])]

    run(body())


def test_one_that_was_not_launched_is_not_busy_and_has_no_process(run: Run) -> None:
    async def body() -> None:
        one = instance(MANIFEST, [], Owner())
        assert (one.pid, one.is_busy) == (None, False)
        assert repr(one) == "<Instance run/demo/1 pid=None>"

    run(body())
