"""A thousand sessions over ten plugins, or fewer in a short run: what they cost, and what is left."""

from __future__ import annotations

import asyncio
import resource
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from plugin_host import PluginHost, Session, TerminalError
from tests.effort import by_effort
from tests.run import Run
from tests.session import DESK, Reader, processes
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

PLUGINS = by_effort(3, 10)
SESSIONS = by_effort(60, 1000)
AT_ONCE = 20
# Beyond its ring, of which an idle session has nothing: what the host remembers of it and of its viewer.
MOST_HOST_BYTES = 10 * 1024
MOST_PLUGIN_BYTES = 100 * 1024


@pytest.fixture
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def crowd(folder: Path) -> PluginHost:
    ids = [f"desk{number}" for number in range(PLUGINS)]
    for id in ids:
        write_plugin(folder / "plugins", id, DESK)
    return stage(*ids, dirs=[folder / "plugins"])


def burden(host: PluginHost) -> list[tuple[int, int, int]]:
    """Threads, descriptors and resident bytes of each plugin."""
    found = []
    for plugin in host.plugins.values():
        process = psutil.Process(plugin.pid)
        found.append((process.num_threads(), process.num_fds(), process.memory_info().rss))
    return found


async def answers(session: Session, number: int) -> None:
    """Write a line and see it come back."""
    line = b"are you %d?\n" % number
    async with await session.attach() as viewer:
        reader = Reader(viewer)
        await session.write(line)
        await reader.until(line.rstrip())
        assert reader.gaps == []


@pytest.mark.edges
@pytest.mark.deadline(60)
@pytest.mark.usefixtures("_traced")
def test_crowd_of_sessions_costs_little_and_leaves_nothing(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    # Each has its share: else one plugin may be asked much more at once than another.
    gates = [asyncio.Semaphore(AT_ONCE // PLUGINS) for _ in range(PLUGINS)]

    async def opened(host: PluginHost, number: int) -> Session:
        async with gates[number % PLUGINS]:
            command = ["cat", "-", str(tmp_path)] if number % 2 else ["sh", "-c", f"cat; : {tmp_path}"]
            return await host.exec(f"desk{number % PLUGINS}", command, tty=number % 2 == 0)

    async def asked(session: Session, number: int) -> None:
        async with gates[number % PLUGINS]:
            await answers(session, number)

    async def body() -> None:
        async with crowd(tmp_path) as host:
            for number in range(2 * PLUGINS):  # what the first of each kind loads is not theirs
                first = await opened(host, number)
                await answers(first, number)
                await first.close()
            before, threads = burden(host), threading.active_count()
            traced = tracemalloc.get_traced_memory()[0]
            sessions = await asyncio.gather(*(opened(host, number) for number in range(SESSIONS)))
            each = (tracemalloc.get_traced_memory()[0] - traced) / SESSIONS
            await asyncio.gather(*map(asked, sessions, range(SESSIONS)))
            assert each < MOST_HOST_BYTES
            assert threading.active_count() == threads
            for (fewest, _, least), (most, _, largest) in zip(before, burden(host), strict=True):
                assert most <= fewest + 2 + AT_ONCE // PLUGINS  # workers for what is asked at once
                assert largest - least < 4 * 1024 * 1024 + MOST_PLUGIN_BYTES * SESSIONS / PLUGINS
            assert len(await host.sessions()) == SESSIONS
            await asyncio.gather(*(session.close() for session in sessions))
            assert await host.sessions() == []
            assert processes(tmp_path) == []
            await wait_until.aio(
                lambda: all(now[1] <= then[1] for then, now in zip(before, burden(host), strict=True))
            )

    run(body())


@pytest.mark.parametrize("tty", [True, False])
def test_plugin_out_of_descriptors_says_what_to_do_and_goes_on(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with crowd(tmp_path) as host:
            pid = host.plugins["desk0"].pid
            assert pid is not None
            first = await host.exec("desk0", ["cat"], tty=tty)
            used = psutil.Process(pid).num_fds()
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 10, hard))
            sessions = [first]

            async def fill() -> None:
                while True:
                    sessions.append(await host.exec("desk0", ["cat"], tty=tty))

            with pytest.raises(TerminalError, match=rf"{used + 10} descriptors.*`ulimit -n`") as caught:
                await fill()
            assert caught.value.data["reason"] == "system"
            assert 1 < len(sessions) < 10
            await asyncio.gather(*map(answers, sessions, range(len(sessions))))
            await sessions.pop().close()
            await answers(await host.exec("desk0", ["cat"], tty=tty), 1)

    run(body())
