"""Code of others around a plugin: finalisers, log filters, slow services, stops from within."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_host import CallCancelled, CallTimeout, LaunchError, PluginHost, State, writer
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

CODE = """
    import logging

    class Session:
        def __init__(self):
            self.itself = self

        def __del__(self):
            logging.getLogger("session").warning("not closed")

    @plugin.command("leave_garbage")
    def leave_garbage(ctx, items):
        Session()
        return len(items)

    @plugin.command("log_then_answer")
    def log_then_answer(ctx):
        ctx.log.info("before the answer")
        return 1

    @plugin.command("ask")
    def ask(ctx, service):
        return ctx.host.call(service)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugin(
        tmp_path_factory.mktemp("plugins"),
        "demo",
        CODE,
        permissions=["host.slow", "host.restart", "host.stop"],
    )


@pytest.mark.deadline(60)
def test_finaliser_that_logs_while_the_wire_is_locked_stops_nothing(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with stage("demo", dirs=[folder]) as host:
            for number in range(6000):
                items = [[i] for i in range(number % 90)]
                assert await host.call("demo", "leave_garbage", {"items": items}, timeout=10) == len(items)

    run(body())


class _Raises(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("a filter of the embedder")


@pytest.fixture
def broken_logger() -> Iterator[None]:
    logger, broken = logging.getLogger("plugin_host.plugin.demo"), _Raises()
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addFilter(broken)
    yield
    logger.removeFilter(broken)
    logger.setLevel(level)


def test_log_filter_that_raises_loses_no_answer(folder: Path, broken_logger: None) -> None:
    raised = []

    async def body() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
        host = stage("demo", dirs=[folder])
        await host.__aenter__()
        try:
            for _ in range(10):
                assert await host.call("demo", "log_then_answer", timeout=5) == 1
        finally:
            logging.getLogger("plugin_host.plugin.demo").filters.clear()
            await host.close()

    asyncio.run(body())
    assert {str(context["exception"]) for context in raised} == {"a filter of the embedder"}


def test_service_that_outlives_its_callers_keeps_its_place(run: Run, folder: Path) -> None:
    done = threading.Event()

    def slow(caller: Any) -> None:
        done.wait(30)

    async def body() -> None:
        before = threading.active_count()
        async with stage("demo", dirs=[folder], services={"slow": slow}) as host:
            for _ in range(4):
                asked = [host.call("demo", "ask", {"service": "slow"}, timeout=0.2) for _ in range(20)]
                ended = await asyncio.gather(*asked, return_exceptions=True)
                assert all(isinstance(error, CallTimeout) for error in ended)
            assert threading.active_count() - before <= 33
            done.set()

    run(body())


def test_plugin_may_ask_for_its_own_restart(run: Run, folder: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        host: PluginHost

        async def restart(caller: Any) -> None:
            await host.restart("demo")

        async with stage("demo", dirs=[folder], services={"restart": restart}) as host:
            before = host.plugins["demo"].pid
            with pytest.raises(CallCancelled):
                await host.call("demo", "ask", {"service": "restart"})
            await wait_until.aio(lambda: host.plugins["demo"].pid not in (None, before))
            assert await host.call("demo", "log_then_answer") == 1

    run(body())


def test_plugin_may_ask_for_its_own_stop(run: Run, folder: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        host: PluginHost

        async def stop(caller: Any) -> None:
            await host.stop("demo")

        async with stage("demo", dirs=[folder], services={"stop": stop}) as host:
            with pytest.raises(CallCancelled):
                await host.call("demo", "ask", {"service": "stop"})
            await wait_until.aio(lambda: host.plugins["demo"].state is State.STOPPED)

    run(body())


def test_stop_does_not_wait_for_the_launch_it_ends(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    folder = write_plugin(tmp_path, "hung", "import time; time.sleep(60)")

    async def body() -> None:
        host = stage("hung", dirs=[folder])

        def state() -> State:
            return host.plugins["hung"].state

        entering = asyncio.ensure_future(host.__aenter__())
        await wait_until.aio(lambda: bool(host.plugins) and state() is State.STARTING)
        began = time.monotonic()
        await host.stop("hung")
        assert time.monotonic() - began < 3
        assert state() is State.STOPPED
        await entering
        starting = asyncio.ensure_future(host.start("hung"))
        await wait_until.aio(lambda: state() is State.STARTING)
        await host.stop("hung")
        with pytest.raises(LaunchError, match="was stopped while it started"):
            await starting
        await host.close()

    run(body())


@pytest.mark.deadline(60)
def test_raw_peer_that_does_not_read_has_a_bound(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LOOK_S", 0.05)
    folder = tmp_path / "stuck"
    folder.mkdir()
    (folder / "plugin_manifest.json").write_text(
        '{"id": "stuck", "version": "1", "protocol": "msgpack-rpc", "launch": {"argv": ["sleep", "100"]}}'
    )

    async def body() -> None:
        async with PluginHost(plugin_dirs=[tmp_path], entry_points=False) as host:
            sent = 0
            while host.plugins["stuck"].state is State.READY:
                assert sent < 40, "nothing ended it"
                with pytest.raises(Exception, match="stuck"):
                    await host.call("stuck", "m", ["x" * (1 << 20)], timeout=0.05)
                sent += 1
            assert "does not read" in str(host.plugins["stuck"].error)

    run(body())


@pytest.mark.parametrize("keyword", ["plugin_dirs", "only", "block"])
def test_one_text_is_not_taken_for_a_list_of_letters(keyword: str) -> None:
    with pytest.raises(TypeError, match=f"{keyword} is a list of texts"):
        PluginHost(**{keyword: "system"})  # type: ignore[arg-type]


def test_one_path_is_not_taken_for_a_list_of_paths(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"plugin_dirs is a list of texts, not PosixPath\(.*\) alone"):
        PluginHost(plugin_dirs=tmp_path)  # type: ignore[arg-type]
