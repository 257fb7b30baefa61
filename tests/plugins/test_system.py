"""The system plugin's handlers as plain functions, against the machine the tests run on."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgpack
import psutil
import pytest

import plugin_host_sdk as sdk
from plugin_host_sdk.cancellation import Cancellation
from plugin_host_system import cpu, deferred, disk, failure, memory, network, process, ranking, text
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges


class Context(sdk.Context):
    """A call's context without a runtime; `before_wait` runs when a handler begins to wait."""

    __slots__ = ("_before_wait",)

    def __init__(self, before_wait: Callable[[sdk.Context], object] | None = None) -> None:
        no_session: Any = None
        super().__init__(no_session, "test")
        self._before_wait = before_wait

    @property
    def cancelled(self) -> Cancellation:
        before_wait, self._before_wait = self._before_wait, None
        if before_wait is not None:
            before_wait(self)
        return super().cancelled


@contextmanager
def program(*argv: str | bytes) -> Iterator[subprocess.Popen[bytes]]:
    """A child that runs `argv`, gone with its own children at the end."""
    child = subprocess.Popen(argv, start_new_session=True)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):  # the test has ended it
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def sleeper() -> AbstractContextManager[subprocess.Popen[bytes]]:
    return program("sleep", "60")


def ctx() -> sdk.Context:
    return Context()


def listed(answer: dict[str, Any], key: str = "processes") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = answer[key]
    return rows


# cpu


def test_cpu_covers_the_interval_it_reports() -> None:
    answer: dict[str, Any] = cpu.cpu(ctx(), interval=0.05)
    assert 0.05 <= answer["interval_s"] < 2
    assert len(answer["per_cpu_percent"]) == psutil.cpu_count() == answer["logical_cpus"]
    assert all(value is None or 0 <= value <= 100 for value in answer["per_cpu_percent"])
    assert 1 <= answer["usable_cpus"] <= answer["logical_cpus"]
    assert len(answer["load_average"]) == 3


def test_cpu_sees_work() -> None:
    with program(sys.executable, "-c", "while True: pass"):
        answer: dict[str, Any] = cpu.cpu(ctx(), interval=0.5)
    # One of n CPUs at work, and half of it lost to whatever else runs here.
    assert answer["percent"] > 50 / answer["logical_cpus"]
    assert sum(answer["shares_percent"].values()) == pytest.approx(100, abs=1)


def test_cpu_ends_at_once_when_cancelled() -> None:
    context = Context()
    canceller = threading.Timer(0.05, lambda: context.cancelled.set("the caller gave up"))
    start = time.monotonic()
    canceller.start()
    with pytest.raises(sdk.CallCancelled, match="the caller gave up"):
        cpu.cpu(context, interval=60)
    assert time.monotonic() - start < 5
    canceller.join()


def test_shares_add_up_to_all_of_the_time() -> None:
    share = cpu.shares({"user": 1, "idle": 1, "iowait": 0}, {"user": 2, "idle": 3, "iowait": 1})
    assert share == {"user": 25.0, "idle": 50.0, "iowait": 25.0}
    assert cpu.busy_percent(share) == 25.0


def test_a_counter_that_runs_backwards_counts_as_still() -> None:
    share = cpu.shares({"user": 1, "idle": 1, "iowait": 9}, {"user": 2, "idle": 2, "iowait": 3})
    assert share == {"user": 50.0, "idle": 50.0, "iowait": 0.0}


def test_no_time_between_samples_is_unknown_rather_than_idle() -> None:
    assert cpu.shares({"user": 1, "idle": 1}, {"user": 1, "idle": 1}) is None
    assert cpu.busy_percent(None) is None


# memory, network


def test_memory_agrees_with_the_kernel() -> None:
    answer: dict[str, Any] = memory.memory(ctx())
    assert answer["total_bytes"] == psutil.virtual_memory().total
    assert 0 < answer["available_bytes"] <= answer["total_bytes"]
    assert answer["swap"]["used_bytes"] <= answer["swap"]["total_bytes"]


def test_network_lists_the_loopback() -> None:
    answer: dict[str, Any] = network.network(ctx())
    loopbacks = [
        interface
        for interface in answer["interfaces"].values()
        for address in interface["addresses"]
        if (address["family"], address["address"]) == ("ipv4", "127.0.0.1")
    ]
    assert len(loopbacks) == 1
    assert loopbacks[0]["mtu_bytes"] > 0
    assert answer["total"]["received_bytes"] >= loopbacks[0]["received_bytes"]


# disk


def test_disk_usage_agrees_with_the_file_system(tmp_path: Path) -> None:
    answer: dict[str, Any] = disk.disk_usage(ctx(), path=str(tmp_path))
    stat = os.statvfs(tmp_path)
    assert answer["path"] == str(tmp_path)
    assert answer["total_bytes"] == stat.f_blocks * stat.f_frsize
    assert 0 <= answer["percent"] <= 100
    assert os.path.ismount(answer["mount_point"])
    assert os.stat(answer["mount_point"]).st_dev == os.stat(tmp_path).st_dev


def test_disk_usage_says_which_path_a_relative_one_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert disk.disk_usage(ctx(), path=".")["path"] == str(tmp_path)


def test_mount_point_follows_symlinks(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/proc/self")
    assert disk.mount_point(str(link)) == "/proc"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/no/such/path", failure.NO_SUCH_PATH),
        ("/dev/null/beneath", failure.NO_SUCH_PATH),
        ("", failure.NO_SUCH_PATH),
        ("nul\0inside", failure.NO_SUCH_PATH),
        ("/" + "x" * 300, failure.NOT_ACCESSIBLE),
    ],
)
def test_disk_usage_explains_a_path_it_cannot_ask(path: str, status: int) -> None:
    with pytest.raises(sdk.CommandError) as caught:
        disk.disk_usage(ctx(), path=path)
    assert caught.value.status == status
    assert caught.value.fields == {"path": path}
    assert failure.MEANINGS[status] in str(caught.value)
    assert repr(path) in str(caught.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_refused_path_is_permission_denied(number: int) -> None:
    error = failure.path_failure(OSError(number, os.strerror(number)), "/secret")
    assert error.status == failure.PERMISSION_DENIED


def test_disks_lists_every_mount() -> None:
    answer: dict[str, Any] = disk.disks(ctx(), all_mounts=True)
    kinds = {mount["mount_point"]: mount["file_system"] for mount in answer["mounts"]}
    assert kinds["/proc"] == "proc"
    assert len(kinds) >= len(listed(disk.disks(ctx()), "mounts"))


def test_disks_lists_a_mount_that_cannot_be_asked_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [sample, *_] = psutil.disk_partitions(all=True)
    gone = sample._replace(mountpoint=str(tmp_path / "gone"))
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [gone])
    [mount] = listed(disk.disks(ctx()), "mounts")
    assert mount["error"] == os.strerror(errno.ENOENT)
    assert "total_bytes" not in mount


# processes


def test_processes_puts_the_busiest_first() -> None:
    with program(sys.executable, "-c", "while True: pass") as busy:
        answer: dict[str, Any] = ranking.processes(ctx(), limit=1000, interval=0.5)
    rows = listed(answer)
    percents = [row["cpu_percent"] for row in rows]
    assert percents == sorted(percents, reverse=True)
    [found] = [row for row in rows if row["pid"] == busy.pid]
    assert found["cpu_percent"] > 10
    assert answer["interval_s"] >= 0.5


@pytest.mark.parametrize(
    ("sort", "key", "falling"),
    [("memory", "resident_bytes", True), ("started", "started_at_s", True), ("pid", "pid", False)],
)
def test_processes_sorts_by(sort: Any, key: str, falling: bool) -> None:
    rows = listed(ranking.processes(ctx(), sort=sort, limit=1000, interval=0.05))
    values = [row[key] for row in rows]
    assert values == sorted(values, reverse=falling)


def test_processes_keeps_matching_names_and_counts_them(tmp_path: Path) -> None:
    # A name that nobody else's process has, which might end in the interval.
    own = tmp_path / f"nap{os.getpid()}"
    own.symlink_to(shutil.which("sleep") or "/bin/sleep")
    with program(str(own), "60") as first, program(str(own), "60") as second:
        answer: dict[str, Any] = ranking.processes(
            ctx(), sort="pid", limit=1000, name=own.name.upper(), interval=0.05
        )
        cut: dict[str, Any] = ranking.processes(ctx(), limit=1, name=own.name, interval=0.05)
    assert {first.pid, second.pid} == {row["pid"] for row in listed(answer)}
    assert {row["name"] for row in listed(answer)} == {own.name}
    assert answer["total"] == len(listed(answer))
    assert len(listed(cut)) == 1
    assert cut["total"] >= 2


def test_processes_leaves_out_what_ended_in_the_interval() -> None:
    with sleeper() as child:

        def end(_: sdk.Context) -> None:
            child.kill()
            child.wait()

        rows = listed(ranking.processes(Context(end), limit=1000, interval=0.05))
    assert child.pid not in {row["pid"] for row in rows}
    assert os.getpid() in {row["pid"] for row in rows}


def test_rank_puts_the_unknown_last_and_equals_by_pid() -> None:
    rows: list[dict[str, Any]] = [
        {"pid": 3, "cpu_percent": None},
        {"pid": 2, "cpu_percent": 0.0},
        {"pid": 1, "cpu_percent": 0.0},
        {"pid": 4, "cpu_percent": 7.0},
    ]
    assert [row["pid"] for row in ranking.rank(rows, "cpu")] == [4, 1, 2, 3]


# one process


def test_process_tells_about_this_one() -> None:
    answer: dict[str, Any] = process.process(ctx(), pid=os.getpid())
    assert answer["parent_pid"] == os.getppid()
    assert answer["user_id"] == os.getuid()
    assert answer["working_directory"] == os.getcwd()
    assert answer["executable"] == os.path.realpath(sys.executable)
    assert answer["started_at_s"] + answer["age_s"] == pytest.approx(time.time(), abs=5)
    assert answer["resident_bytes"] <= answer["virtual_bytes"]


def test_process_that_ended_is_no_such_process() -> None:
    with sleeper() as child:
        pass
    for ask in (process.process, process.children):
        with pytest.raises(sdk.CommandError) as caught:
            ask(ctx(), pid=child.pid)
        assert caught.value.status == failure.NO_SUCH_PROCESS
        assert caught.value.fields == {"pid": child.pid}


def test_a_pid_no_system_has_is_no_such_process() -> None:
    with pytest.raises(sdk.CommandError, match="no such process: 18446744073709551615"):
        process.process(ctx(), pid=2**64 - 1)
    with pytest.raises(sdk.CommandError, match="no such process: 99999999999999999999") as caught:
        process.process(ctx(), pid=99999999999999999999)
    assert caught.value.fields == {"pid": "99999999999999999999"}  # as a number it cannot be sent


def test_a_refused_process_is_permission_denied() -> None:
    error = failure.process_failure(psutil.AccessDenied(1), 1)
    assert (error.status, error.fields) == (failure.PERMISSION_DENIED, {"pid": 1})


def test_process_tells_what_is_left_of_a_zombie(wait_until: WaitUntil) -> None:
    with program("true") as child:
        wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
        answer = process.process(ctx(), pid=child.pid)
    assert answer["status"] == "zombie"
    assert answer["name"] == "true"
    assert not answer["command_line"]
    msgpack.packb(answer)


def test_children_reach_as_deep_as_asked(wait_until: WaitUntil) -> None:
    with program("sh", "-c", "sh -c 'sleep 60; true' & wait") as shell:

        def all_of_them() -> list[dict[str, Any]]:
            rows = listed(process.children(ctx(), pid=shell.pid), "children")
            return rows if [row["name"] for row in rows] == ["sh", "sleep"] else []

        inner, sleep = wait_until(all_of_them)
        direct = listed(process.children(ctx(), pid=shell.pid, recursive=False), "children")
    assert (inner["parent_pid"], sleep["parent_pid"]) == (shell.pid, inner["pid"])
    assert [row["pid"] for row in direct] == [inner["pid"]]


def test_bytes_that_are_not_text_still_travel(wait_until: WaitUntil) -> None:
    with program("sh", "-c", "sleep 60; true", b"\xff\xfe") as child:
        # For a moment of its start a program has no command line.
        wait_until(lambda: psutil.Process(child.pid).cmdline())
        answer: dict[str, Any] = process.process(ctx(), pid=child.pid)
    assert answer["command_line"][-1] == "\ufffd\ufffd"
    assert msgpack.unpackb(msgpack.packb(answer)) == answer


def test_text_keeps_what_is_text() -> None:
    assert text.clean("grüße\udcff") == "grüße\ufffd"
    assert text.clean("") is None
    assert text.clean(None) is None
    assert text.clean_all(["a", "", "\udc80"]) == ["a", "", "\ufffd"]
    assert text.clean_all(None) is None


# all of them


@pytest.mark.parametrize(
    "ask",
    [
        lambda: cpu.cpu(ctx(), interval=0.05),
        lambda: memory.memory(ctx()),
        lambda: disk.disk_usage(ctx()),
        lambda: disk.disks(ctx(), all_mounts=True),
        lambda: network.network(ctx()),
        lambda: ranking.processes(ctx(), limit=1000, interval=0.05),
        lambda: process.process(ctx(), pid=os.getpid()),
        lambda: process.children(ctx(), pid=1),
    ],
)
def test_an_answer_is_made_of_what_travels(ask: Callable[[], object]) -> None:
    answer = ask()
    assert msgpack.unpackb(msgpack.packb(answer)) == answer


def test_deferred_has_two_modules_and_no_more() -> None:
    assert deferred.psutil is psutil
    assert deferred.parameter.__name__ == "plugin_host_system.parameter"
    with pytest.raises(AttributeError, match="no attribute 'numpy'"):
        _ = deferred.numpy  # type: ignore[attr-defined]
