"""A plugin that talks without end is heard in measure, and nobody else has to wait for it."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import PluginHost
from plugin_host.flood import BURST, RATE, Flood
from tests.run import Run
from tests.script import say
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

CODE = """
    @plugin.command("log")
    def log(ctx, count, level="info"):
        for number in range(count):
            getattr(ctx.log, level)("one of many", number=number)
        return count

    @plugin.command("debug_then_error")
    def debug_then_error(ctx, count):
        for number in range(count):
            ctx.log.debug("one of many")
        ctx.log.error("the reason")

    @plugin.command("endless")
    def endless(ctx):
        while not ctx.cancelled:
            ctx.log.info("one of many")

    @plugin.command("stderr")
    def stderr(ctx, megabytes):
        line = b"one of many lines that nobody reads, " * 2 + b"\\n"
        block = line * 1000
        count = megabytes * 1_000_000 // len(block)
        for _ in range(count):
            os.write(2, block)
        return count * 1000

    @plugin.command("endless_stderr")
    def endless_stderr(ctx):
        while not ctx.cancelled:
            os.write(2, b"one of many lines\\n" * 100)

    @plugin.command("endless_child")
    def endless_child(ctx):
        child = subprocess.Popen(["yes", "one of many lines of a child"], stdout=2)
        ctx.cancelled.wait()
        child.kill()
        child.wait()

    @plugin.command("echo")
    def echo(ctx, value=None):
        return value
"""
MANY = 4 * BURST
PATIENCE_S = 30.0


class Ear(logging.Handler):
    """Counts what is logged, and adds up what is said to be dropped; keeps only what is rare."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = 0
        self.dropped = 0
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "one of many" in text:
            self.heard += 1
        elif told := re.match(r"plugin \w+: (\d+) log records? \w+ dropped in the last ", text):
            self.dropped += int(told[1])
        elif record.levelno >= logging.WARNING:
            self.said.append(text)

    @property
    def sum(self) -> int:
        return self.heard + self.dropped


@pytest.fixture
def ear() -> Iterator[Ear]:
    made, logger = Ear(), logging.getLogger("plugin_host")
    level, propagates = logger.level, logger.propagate
    logger.addHandler(made)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False  # the test's own records of it would be the memory that grows
    yield made
    logger.removeHandler(made)
    logger.setLevel(level)
    logger.propagate = propagates


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    return write_plugin(folder, "floody", CODE, head="import os, subprocess", launch={"stop_timeout_s": 10})


@pytest.fixture
def floody(folder: Path) -> PluginHost:
    return stage("floody", "obliging", dirs=[folder])


@pytest.mark.deadline(60)
@pytest.mark.parametrize(("level", "most"), [("info", BURST), ("error", BURST + 500)])
def test_every_record_is_heard_or_told_of(
    run: Run, floody: PluginHost, ear: Ear, wait_until: WaitUntil, level: str, most: int
) -> None:
    async def body() -> float:
        async with floody as host:
            begun = time.monotonic()
            assert await host.call("floody", "log", {"count": MANY, "level": level}) == MANY
            await wait_until.aio(lambda: ear.sum == MANY, PATIENCE_S)
            return time.monotonic() - begun

    took = run(body())
    assert ear.sum == MANY
    assert most <= ear.heard <= most + 1 + took * (RATE + 50)


@pytest.mark.deadline(60)
@pytest.mark.parametrize(
    "word",
    [
        [2, "failure", [{"message": "one of many"}]],
        [2, "action.finished", [{"action": "one of many"}]],
        [2, "exec.exited", [{"session": 1}]],
        [2, "metadata.artifact_sent", [{}]],
    ],
    ids=lambda word: word[1],
)
def test_words_of_which_the_host_complains_are_heard_in_measure(
    run: Run, ear: Ear, wait_until: WaitUntil, word: list[Any]
) -> None:
    async def body() -> float:
        async with stage("odd_sessions") as host:
            begun = time.monotonic()
            for _ in range(4):
                await say(host, *[word] * BURST)
            await wait_until.aio(lambda: ear.sum + len(ear.said) >= MANY, PATIENCE_S)
            return time.monotonic() - begun

    took = run(body())
    assert ear.sum + len(ear.said) == MANY
    assert ear.heard + len(ear.said) <= BURST + 501 + took * (RATE + 50)


@pytest.mark.deadline(60)
def test_rest_is_told_when_the_plugin_ends(
    run: Run, floody: PluginHost, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin_host.floodgate.REPORT_S", 3600.0)
    # On a machine so busy that the flood takes seconds, each second would let more of it through.
    monkeypatch.setattr("plugin_host.floodgate.Flood", partial(Flood, rate=1))

    async def body() -> None:
        async with floody as host:
            await host.call("floody", "log", {"count": MANY})
            assert ear.dropped == 0

    run(body())
    assert ear.sum == MANY
    assert ear.dropped > 0


@pytest.mark.deadline(60)
def test_error_that_explains_a_flood_is_heard(run: Run, floody: PluginHost, ear: Ear) -> None:
    async def body() -> None:
        async with floody as host:
            await host.call("floody", "debug_then_error", {"count": MANY})

    run(body())
    assert ear.dropped > 0
    assert [text for text in ear.said if "the reason" in text] == ["floody.debug_then_error: the reason"]


@pytest.mark.deadline(60)
def test_record_below_the_level_takes_no_room(run: Run, floody: PluginHost, ear: Ear) -> None:
    logging.getLogger("plugin_host").setLevel(logging.INFO)

    async def body() -> None:
        async with floody as host:
            await host.call("floody", "log", {"count": MANY, "level": "debug"})
            await host.call("floody", "log", {"count": 100})

    run(body())
    assert (ear.heard, ear.dropped) == (100, 0)


async def latencies(host: PluginHost, plugin: str, count: int = 80) -> list[float]:
    """How long each of so many calls takes, the longest last."""
    times = []
    for number in range(count):
        begun = time.perf_counter()
        assert await host.call(plugin, "echo", {"value": number}, timeout=PATIENCE_S) == number
        times.append(time.perf_counter() - begun)
        await asyncio.sleep(0.001)
    return sorted(times)


@pytest.mark.deadline(120)
@pytest.mark.parametrize("kind", ["endless", "endless_stderr", "endless_child"])
def test_flood_delays_nobody_and_takes_no_memory(
    run: Run, floody: PluginHost, ear: Ear, wait_until: WaitUntil, kind: str
) -> None:
    async def body() -> None:
        async with floody as host:
            idle = await latencies(host, "obliging")
            flood = asyncio.create_task(host.call("floody", kind))
            await wait_until.aio(lambda: ear.dropped > 0, PATIENCE_S)
            before, busy, begun = psutil.Process().memory_info().rss, time.thread_time(), time.monotonic()
            beside = await latencies(host, "obliging")
            own = await latencies(host, "floody", 10)
            await asyncio.sleep(0.5)
            share = (time.thread_time() - busy) / (time.monotonic() - begun)
            grown = psutil.Process().memory_info().rss - before
            flood.cancel()
            with pytest.raises(asyncio.CancelledError):
                await flood
            assert beside[-2] < 0.1 + 20 * idle[-2], "calls of another plugin wait"
            assert own[-1] < 5, "calls of the flooding plugin wait"
            assert grown < 16 * 1024 * 1024
            assert share < 0.7  # most of it for the calls

    run(body())


@pytest.mark.deadline(60)
def test_plugin_is_never_blocked_by_its_stderr(run: Run, floody: PluginHost, ear: Ear) -> None:
    async def body() -> int:
        async with floody as host:
            sent = await host.call("floody", "stderr", {"megabytes": 20}, timeout=PATIENCE_S)
            assert isinstance(sent, int)
            return sent

    sent = run(body())
    assert sent > 240_000
    assert ear.sum == sent


def test_tail_of_a_flood_explains_a_death(run: Run, tmp_path: Path, ear: Ear) -> None:
    folder = write_plugin(
        tmp_path,
        "floody",
        """
        @plugin.command("die")
        def die(ctx):
            os.write(2, b"one of many lines\\n" * 100_000 + b"the reason\\n")
            os._exit(3)
        """,
        head="import os",
    )

    async def body() -> str:
        async with stage("floody", dirs=[folder]) as host:
            with pytest.raises(Exception, match="died") as caught:
                await host.call("floody", "die")
            return str(caught.value)

    assert "one of many lines\n    the reason\n" in run(body())
