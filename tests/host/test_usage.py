"""Looking at what plugins use: whole trees, once a second, one look for all, and nothing when idle."""

from __future__ import annotations

import asyncio
import logging
import os
import threading

import pytest

from plugin_host import ladder, usage
from plugin_host.processtable import ProcessTable, read_use
from plugin_host.tree import ProcessIdentity
from plugin_host.usage import Excess, Sampler
from tests.host.child import TOKEN, WAIT, Child, spec
from tests.host.confined import MIB
from tests.run import Run
from tests.wait import WaitUntil

BIG = f"have = b'x' * (40 * {MIB})" + WAIT
SHARED = f"import os\nhave = b'x' * (40 * {MIB})\nfor _ in range(2): os.fork()" + WAIT


async def end(child: Child) -> None:
    await ladder.stop(child.process, polite=None, timeout_s=0, mark=TOKEN)
    child.process.close()


def test_memory_above_its_limit_is_told_once(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = Child(spec(BIG))
        await wait_until.aio(child.said("ready"))
        found: list[Excess] = []
        watch = Sampler(0.01).watch(child.process.identity, {"memory_bytes": 20 * MIB}, found.append)
        await wait_until.aio(lambda: found)
        (excess,) = found
        assert (excess.limit, excess.allowed) == ("memory_bytes", 20 * MIB)
        assert 40 * MIB <= excess.seen < 80 * MIB
        looks = ProcessTable._last
        await wait_until.aio(lambda: ProcessTable._last is not looks)
        await wait_until.aio(lambda: ProcessTable._last is not looks)
        assert len(found) == 1
        assert watch.peak_memory == pytest.approx(excess.seen, rel=0.2)
        watch.close()
        watch.close()
        await end(child)

    run(body())


def test_pages_that_processes_share_are_counted_once(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = Child(spec(SHARED))
        await wait_until.aio(lambda: child.lines.count("ready") == 4)
        found: list[Excess] = []
        watch = Sampler(0.01).watch(child.process.identity, {"memory_bytes": 120 * MIB}, found.append)
        await wait_until.aio(lambda: watch.peak_memory)
        resident = sum(use.resident for one in watch.known if (use := read_use(one.pid)))
        assert len(watch.known) == 4
        assert resident > 160 * MIB
        assert watch.peak_memory is not None
        assert watch.peak_memory < 120 * MIB
        assert found == []
        watch.close()
        await end(child)

    run(body())


def test_threads_count_among_processes(run: Run, wait_until: WaitUntil) -> None:
    code = "import threading\nfor _ in range(5): threading.Thread(target=input, daemon=True).start()" + WAIT

    async def body() -> None:
        child = Child(spec(code))
        await wait_until.aio(child.said("ready"))
        found: list[Excess] = []
        sampler = Sampler(0.01)
        enough = sampler.watch(child.process.identity, {"processes": 6}, found.append)
        few = sampler.watch(child.process.identity, {"processes": 5}, found.append)
        await wait_until.aio(lambda: found)
        assert found == [Excess("processes", 6, 5)]
        enough.close()
        few.close()
        await end(child)

    run(body())


def test_one_look_serves_all_and_none_is_made_for_nobody(
    run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def look(watches: tuple[usage.Watch, ...]) -> list[usage._Sight]:
        looks.append(len(watches))
        assert threading.current_thread() is not threading.main_thread()
        return [usage._Sight(frozenset(), 0, 0) for _ in watches]

    monkeypatch.setattr(usage, "_look", look)

    async def body() -> None:
        before = {task.get_name() for task in asyncio.all_tasks()}
        sampler = Sampler(0.01)
        watches = [sampler.watch(ProcessIdentity(1, 0), {}, print) for _ in range(3)]
        await wait_until.aio(lambda: len(looks) > 1)
        assert set(looks) == {3}
        for watch in watches:
            watch.close()
        assert sampler._task is None
        await wait_until.aio(lambda: {task.get_name() for task in asyncio.all_tasks()} == before)
        sampler.watch(ProcessIdentity(1, 0), {}, print).close()

    run(body())


def test_listener_that_fails_and_a_look_that_fails_stop_nobody(
    run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fails = [OSError("no descriptor left")]

    def look(watches: tuple[usage.Watch, ...]) -> list[usage._Sight]:
        if fails:
            raise fails.pop()
        return [usage._Sight(frozenset(), 100, 0) for _ in watches]

    def bad(_: Excess) -> None:
        raise LookupError

    monkeypatch.setattr(usage, "_look", look)

    async def body() -> None:
        sampler = Sampler(0.01)
        found: list[Excess] = []
        one = sampler.watch(ProcessIdentity(1, 0), {"memory_bytes": 1}, bad)
        two = sampler.watch(ProcessIdentity(1, 0), {"memory_bytes": 1}, found.append)
        await wait_until.aio(lambda: found)
        one.close()
        two.close()

    with caplog.at_level(logging.WARNING, logger="plugin_host"):
        run(body())
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert "no descriptor left" in caplog.text


def test_memory_of_nobody_is_what_was_known() -> None:
    assert usage._proportional(2**22 + 1, 77) == 77
    ours = read_use(os.getpid())
    assert ours is not None
    assert 0 < usage._proportional(os.getpid(), 0) <= 2 * ours.resident
