"""The plan of a plugin's limits: what holds each, on machines that have this and that."""

from __future__ import annotations

import pytest

from plugin_host.limit import Enforcement, How, amount, plan
from plugin_host.machine import RESOURCES, Machine, Place
from plugin_host.manifest import Limits

MIB = 1024 * 1024
FREE = dict.fromkeys(RESOURCES)  # nothing is bounded
V1 = Machine(
    places={"memory": Place(1, "/memory/own"), "pids": Place(1, "/pids/own")},
    ceilings=FREE,
)
V2 = Machine(places={"memory": Place(2, "/own"), "pids": Place(2, "/own")}, ceilings=FREE)
BARE = Machine(lacking={"memory": "no memory there", "pids": "no pids there"}, ceilings=FREE)
MIXED = Machine(places={"pids": Place(1, "/pids")}, lacking={"memory": "it is off"}, ceilings=FREE)

EVERY = Limits(
    memory_bytes=256 * MIB, cpu_s=60, open_files=256, processes=64, address_space_bytes=1024 * MIB
)


@pytest.mark.parametrize(
    ("machine", "memory", "processes"),
    [
        (V1, ("cgroup v1", ""), ("cgroup v1", "")),
        (V2, ("cgroup v2", ""), ("cgroup v2", "")),
        (BARE, ("sampling", "no memory there"), ("sampling", "no pids there")),
        (MIXED, ("sampling", "it is off"), ("cgroup v1", "")),
    ],
)
def test_tree_is_held_by_cgroups_where_there_are_some_and_else_looked_at(
    machine: Machine, memory: tuple[How, str], processes: tuple[How, str]
) -> None:
    assert plan(EVERY, machine) == (
        Enforcement("memory_bytes", 256 * MIB, *memory),
        Enforcement("cpu_s", 60, "rlimit"),
        Enforcement("open_files", 256, "rlimit"),
        Enforcement("processes", 64, *processes),
        Enforcement("address_space_bytes", 1024 * MIB, "rlimit"),
    )


@pytest.mark.parametrize("machine", [V1, V2, BARE, Machine()])
def test_what_is_not_set_is_not_in_the_plan(machine: Machine) -> None:
    assert plan(Limits(), machine) == ()
    assert [one.limit for one in plan(Limits(processes=1), machine)] == ["processes"]


def test_controller_that_failed_is_planned_around() -> None:
    machine = V2.without({"memory": "it broke"})
    memory, processes = plan(Limits(memory_bytes=1, processes=2), machine)
    assert (memory.how, memory.reason) == ("sampling", "it broke")
    assert processes.how == "cgroup v2"


def test_bound_of_the_host_itself_is_told_where_it_is_lower() -> None:
    machine = Machine(ceilings={"open_files": 100, "cpu_s": 60, "address_space_bytes": None})
    seconds, files = plan(Limits(open_files=101, cpu_s=60), machine)
    assert (files.how, files.reason) == ("rlimit", "the host itself may have no more than 100")
    assert (seconds.how, seconds.reason) == ("rlimit", "")


def test_limit_that_the_system_does_not_know_is_not_enforced() -> None:
    (one,) = plan(Limits(address_space_bytes=MIB), Machine(ceilings={"open_files": None}))
    assert (one.how, one.is_held) == (None, False)
    assert one.describe() == (
        "its address space limit of 1 MiB is not enforced: this system has no such limit"
    )


@pytest.mark.parametrize(
    ("one", "is_held", "words"),
    [
        (
            Enforcement("memory_bytes", 256 * MIB, "sampling", "why"),
            False,
            "its memory limit of 256 MiB is only looked at once a second: why",
        ),
        (Enforcement("processes", 64, "sampling"), False, "its limit of 64 processes is only looked at"),
        (
            Enforcement("processes", 64, "cgroup v2"),
            True,
            "its limit of 64 processes is enforced by cgroup v2",
        ),
        (Enforcement("cpu_s", 1.5, "rlimit"), True, "its cpu limit of 1.5 s of processor time is enforced"),
        (Enforcement("open_files", 16, "rlimit"), True, "its limit of 16 open files is enforced by rlimit"),
    ],
)
def test_plan_is_told_in_words(one: Enforcement, is_held: bool, words: str) -> None:
    assert one.is_held is is_held
    assert words in one.describe()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1, "1 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (256 * MIB, "256 MiB"),
        (300_000_000, "286.1 MiB"),
        (2**63 - 1, "8.389e+06 TiB"),
    ],
)
def test_sizes_have_the_unit_that_fits(value: int, words: str) -> None:
    assert amount("memory_bytes", value) == words
