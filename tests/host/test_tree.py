"""Which processes belong to a plugin, found whatever they did to leave it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable

import pytest

from plugin_host import tree
from plugin_host.processtable import ProcessRow
from plugin_host.tree import ProcessIdentity
from tests.host.child import TOKEN, WAIT, Child, spec
from tests.run import Run
from tests.wait import WaitUntil

FAMILY = (
    """
import os, sys
def grow(name, *, session=False):
    if os.fork():
        return
    if session:
        os.setsid()
    sys.stderr.write(f"{name} {os.getpid()}\\n")
    signal.pause()
import signal
def leave(name, *, session):
    middle = os.fork()
    if not middle:
        if session:
            os.setsid()
        grow(name)
        os._exit(0)
    os.waitpid(middle, 0)
grow("kin")
grow("terminal", session=True)
leave("orphan", session=False)
leave("daemon", session=True)
"""
    + WAIT
)
"""A child, a child in a session of its own, an orphan in the plugin's session, a daemon in another."""

NAMES = ("kin", "terminal", "orphan", "daemon")


async def grown(wait_until: WaitUntil) -> tuple[Child, dict[str, int]]:
    child = Child(spec(FAMILY))
    pids = {name: await wait_until.aio(child.number(name)) for name in NAMES}
    await wait_until.aio(child.said("ready"))
    return child, pids


def pids_of(processes: Iterable[ProcessIdentity]) -> set[int]:
    return {process.pid for process in processes}


async def end(child: Child, wait_until: WaitUntil) -> None:
    left = tree.snapshot(child.process.identity) | tree.marked(TOKEN)
    tree.signal_all(left, signal.SIGKILL)
    await child.process.wait()
    await wait_until.aio(lambda: not tree.alive(left))
    child.process.close()


def test_snapshot_finds_descendants_and_the_members_of_their_sessions(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        child, pids = await grown(wait_until)
        expected = {child.process.pid, pids["kin"], pids["terminal"], pids["orphan"]}
        assert pids_of(tree.snapshot(child.process.identity)) == expected
        await end(child, wait_until)

    run(body())


def test_marks_find_what_left_the_tree_and_the_session(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child, pids = await grown(wait_until)
        everybody = {child.process.pid, *pids.values()}
        assert pids_of(tree.marked(TOKEN)) == everybody
        assert pids_of(tree.marked(TOKEN, since=child.process.identity.started)) == everybody
        assert tree.marked(TOKEN, since=child.process.identity.started + 10**6) == frozenset()
        assert tree.marked(TOKEN[:-1]) == tree.marked(f"{TOKEN}0") == frozenset()
        await end(child, wait_until)

    run(body())


def test_snapshot_after_the_plugins_death_finds_its_session(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child, pids = await grown(wait_until)
        before = tree.snapshot(child.process.identity)
        child.process.send_signal(signal.SIGKILL)
        await child.process.wait()
        root = child.process.identity
        assert pids_of(tree.snapshot(root)) == {pids["kin"], pids["orphan"]}
        assert pids_of(tree.snapshot(root, before)) == {pids["kin"], pids["orphan"], pids["terminal"]}
        await end(child, wait_until)
        tree.signal_all(before, signal.SIGKILL)

    run(body())


def test_known_member_leads_to_its_own_descendants(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child, pids = await grown(wait_until)
        daemon = tree.identify(pids["daemon"])
        assert daemon is not None
        assert pids["daemon"] in pids_of(tree.snapshot(child.process.identity, [daemon]))
        await end(child, wait_until)

    run(body())


def test_identity_is_number_and_start_and_shows_the_name(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = Child(spec(WAIT))
        identity = tree.identify(child.process.pid)
        assert identity == child.process.identity
        assert f"({child.process.pid})" in str(identity)
        assert ProcessIdentity(1, 2, "one") == ProcessIdentity(1, 2, "other") != ProcessIdentity(1, 3)
        await end(child, wait_until)
        assert tree.identify(child.process.pid) is None

    run(body())


@pytest.mark.parametrize("pidfd", [True, False])
def test_number_that_passed_to_another_process_is_never_signalled(
    run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch, pidfd: bool
) -> None:
    if not pidfd:
        monkeypatch.delattr(os, "pidfd_open")

    async def body() -> None:
        child = Child(spec(WAIT))
        await wait_until.aio(child.said("ready"))
        now = child.process.identity
        former = ProcessIdentity(now.pid, now.started - 1)
        assert tree.alive([former, now]) == {now}
        assert tree.signal_all([former], signal.SIGKILL) == frozenset()
        assert tree.snapshot(former) == frozenset()
        assert not tree.signal_groups(former, (), signal.SIGKILL)
        assert tree.alive([now]) == {now}
        assert tree.signal_all([former, now], signal.SIGKILL) == {now}
        await child.process.wait()
        assert tree.alive([now]) == tree.signal_all([now], signal.SIGKILL) == frozenset()
        child.process.close()

    run(body())


def test_ended_process_is_not_alive_though_nobody_reaped_it(wait_until: WaitUntil) -> None:
    with subprocess.Popen(["true"]) as child:
        identity = tree.identify(child.pid)
        assert identity is not None
        wait_until(lambda: not tree.alive([identity]))
        assert tree.snapshot(identity) == frozenset()


def test_somebody_elses_process_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    with subprocess.Popen(["sleep", "60"]) as child:
        identity = tree.identify(child.pid)
        assert identity is not None
        with monkeypatch.context() as patch:
            patch.setattr(signal, "pidfd_send_signal", refuse)
            assert tree.signal_all([identity], signal.SIGKILL) == frozenset()
        assert tree.signal_all([identity], signal.SIGKILL) == {identity}


def test_group_is_signalled_only_when_all_of_it_is_ours(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child, pids = await grown(wait_until)
        everybody = tree.marked(TOKEN)
        who = {process.pid: process for process in everybody}
        kin, terminal = who[pids["kin"]], who[pids["terminal"]]
        assert not tree.signal_groups(kin, (), signal.SIGKILL)
        assert tree.signal_groups(kin, [terminal], signal.SIGKILL)
        await wait_until.aio(lambda: not tree.alive([terminal]))
        assert tree.alive(everybody) == everybody - {terminal}
        assert tree.signal_groups(child.process.identity, (), signal.SIGKILL)
        await wait_until.aio(lambda: tree.alive(everybody) == {who[pids["daemon"]]})
        await end(child, wait_until)

    run(body())


def test_orphan_that_we_inherit_is_reaped() -> None:
    # A subreaper is what a host is that runs as process 1 of a container.
    code = """
import ctypes, os, signal, sys, time
from plugin_host import tree
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
reader, writer = os.pipe()
parent = os.fork()
if not parent:
    orphan = os.fork()
    if orphan:
        os.write(writer, b"%d" % orphan)
        os._exit(0)
    signal.pause()
os.waitpid(parent, 0)
orphan = tree.identify(int(os.read(reader, 20)))
tree.reap_adopted([orphan])
assert tree.alive([orphan])
tree.signal_all([orphan], signal.SIGKILL)
while tree.alive([orphan]):
    time.sleep(0.001)
tree.reap_adopted([orphan])
assert tree.identify(orphan.pid) is None
tree.reap_adopted([orphan])
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=15)


def row(pid: int, parent: int, session: int, started: float = 5) -> ProcessRow:
    return ProcessRow(pid, parent, session, session, started, "x", False)


def test_family_follows_children_and_sessions_to_the_end() -> None:
    rows = {
        found.pid: found
        for found in [
            row(1, 0, 1, 0),
            row(10, 1, 10),  # the plugin
            row(11, 10, 11),  # its child leads a session
            row(12, 1, 11),  # whose orphan
            row(13, 12, 13),  # has a child with a session
            row(14, 1, 13),  # that has an orphan
            row(15, 1, 15),
            row(16, 10, 16, started=4),  # older than its parent: that number was reused
        ]
    }
    found = tree.family(rows, [ProcessIdentity(10, 5)])
    assert {each.pid for each in found} == {10, 11, 12, 13, 14}
    assert tree.family(rows, [ProcessIdentity(10, 4)]) == frozenset()
    gone = {pid: each for pid, each in rows.items() if pid != 10}
    assert {each.pid for each in tree.family(gone, [ProcessIdentity(10, 5)])} == set()


def test_family_never_holds_the_host_or_init() -> None:
    host = os.getpid()
    rows = {1: row(1, 0, 1, 0), host: row(host, 20, 20), 20: row(20, 1, 20), 21: row(21, host, 20)}
    assert {each.pid for each in tree.family(rows, [ProcessIdentity(20, 5)])} == {20, 21}
    assert tree.family(rows, [ProcessIdentity(1, 0)]) == frozenset()
