"""`async def` handlers: one loop on one thread, started when the first of them is called."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from plugin_host import CallFailed, PluginDied, PluginHost
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import functools, sys, threading

    @plugin.command("modules")
    def modules(ctx):
        return [name in sys.modules for name in ("asyncio", "selectors", "logging")]

    @plugin.command("threads")
    def threads(ctx):
        return [thread.name for thread in threading.enumerate()]

    @plugin.command("nap")
    async def nap(ctx, seconds=0.0):
        import asyncio
        await asyncio.sleep(seconds)
        return threading.current_thread().name

    @plugin.command("fail")
    async def fail(ctx):
        raise LookupError("gone")

    @plugin.command("own")
    async def own(ctx):
        raise sdk.CommandError(9, "no more", left=0)

    @plugin.command("uncarried")
    async def uncarried(ctx):
        return {1}

    @plugin.command("exit")
    async def exit_(ctx):
        sys.exit(1)

    @plugin.command("own_timeout")
    async def own_timeout(ctx):
        import asyncio
        async with asyncio.timeout(0.01):
            await asyncio.sleep(30)

    @plugin.command("own_cancel")
    async def own_cancel(ctx):
        import asyncio
        raise asyncio.CancelledError

    @plugin.command("break_loop")
    async def break_loop(ctx):
        import asyncio
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, loop._selector.close)

    @plugin.command("stop_loop")
    async def stop_loop(ctx):
        import asyncio
        asyncio.get_running_loop().stop()
        return "stopped"

    @plugin.command("leave_exiting")
    async def leave_exiting(ctx):
        import asyncio
        asyncio.get_running_loop().call_soon(sys.exit, 5)
        return "left"

    class Later:
        async def __call__(self, ctx, value=None):
            return ["object", value]

        async def method(self, ctx, value=None):
            return ["method", value]

    plugin.commands.register_handler("object", Later())
    plugin.commands.register_handler("method", Later().method)
    plugin.commands.register_handler("partial", functools.partial(Later().method, value=5))

    @plugin.command("steps")
    async def steps(ctx, count):
        for number in range(count):
            ctx.progress(number)

    @plugin.command("background")
    async def background(ctx):
        import asyncio
        asyncio.get_running_loop().create_task(asyncio.sleep(60))
        asyncio.get_running_loop().call_later(0.01, lambda: 1 / 0)
        return "left it running"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugin(tmp_path_factory.mktemp("plugins"), "demo", CODE)


@pytest.fixture
def demo(folder: Path) -> PluginHost:
    return stage("demo", dirs=[folder])


def test_loop_starts_with_the_first_call_of_an_async_handler(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("demo", "modules") == [False, False, False]
            thread = await host.call("demo", "nap")
            assert (await host.call("demo", "modules"))[0] is True
            assert (await host.call("demo", "threads")).count(thread) == 1
            assert await host.call("demo", "nap") == thread

    run(body())


def test_a_thousand_naps_last_as_long_as_one(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            await host.call("demo", "nap")
            before = len(await host.call("demo", "threads"))
            began = time.monotonic()
            await asyncio.gather(*(host.call("demo", "nap", {"seconds": 0.2}) for _ in range(1000)))
            assert time.monotonic() - began < 5
            assert len(await host.call("demo", "threads")) <= before + 1

    run(body())


@pytest.mark.parametrize(
    ("command", "name", "words"),
    [
        ("fail", "command.handler_failed", "raised LookupError: gone"),
        ("uncarried", "command.not_encodable", "builtins.set"),
        ("exit", "command.handler_failed", "SystemExit"),
        ("own_timeout", "command.handler_failed", "raised TimeoutError"),
        ("own_cancel", "command.handler_failed", "CancelledError"),
    ],
)
def test_failure_is_told_and_the_loop_goes_on(
    run: Run, demo: PluginHost, command: str, name: str, words: str
) -> None:
    async def body() -> None:
        async with demo as host:
            for _ in range(2):
                with pytest.raises(CallFailed) as caught:
                    await host.call("demo", command)
                assert caught.value.name == name
                assert words in str(caught.value)
            await host.call("demo", "nap", timeout=5)

    run(body())


def test_own_status_of_an_async_handler(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            with pytest.raises(CallFailed) as caught:
                await host.call("demo", "own")
            assert (caught.value.code, caught.value.data) == (9, {"left": 0})

    run(body())


@pytest.mark.parametrize(
    ("command", "result"),
    [("object", ["object", 1]), ("method", ["method", 1]), ("partial", ["method", 1])],
)
def test_async_callables_of_every_kind_serve(
    run: Run, demo: PluginHost, command: str, result: list[object]
) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("demo", command, {"value": 1}) == result

    run(body())


def test_progress_of_an_async_handler(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        seen: list[float] = []
        async with demo as host:
            await host.call("demo", "steps", {"count": 3}, on_progress=lambda done, *_: seen.append(done))
        assert seen == [0, 1, 2]

    run(body())


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("stop_loop", "stderr: an async handler has stopped the event loop, which all of them share"),
        ("leave_exiting", "stderr: SystemExit: 5"),
    ],
)
def test_loop_is_of_all_handlers_and_none_of_them_ends_it(
    run: Run,
    demo: PluginHost,
    logged: pytest.LogCaptureFixture,
    wait_until: WaitUntil,
    command: str,
    told: str,
) -> None:
    async def body() -> None:
        async with demo as host:
            await host.call("demo", command)
            for _ in range(3):
                assert await host.call("demo", "nap", timeout=10) == "asyncio"
            await wait_until.aio(lambda: told in logged.text)

    run(body())


def test_plugin_whose_loop_cannot_run_on_ends_and_says_why(
    run: Run, demo: PluginHost, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with demo as host:
            await host.call("demo", "break_loop", timeout=10)
            with pytest.raises(PluginDied):
                await host.call("demo", "nap", {"seconds": 30}, timeout=20)
            assert "stderr: ValueError: I/O operation on closed epoll object" in logged.text

    run(body())


def test_what_a_handler_leaves_running_does_not_hold_the_stop(
    run: Run, demo: PluginHost, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("demo", "background") == "left it running"
            await host.call("demo", "nap", {"seconds": 0.05})
            began = time.monotonic()
            await host.stop("demo")
            assert time.monotonic() - began < 0.9
        assert "ZeroDivisionError" in logged.text
        assert "exited with status 0" in logged.text

    run(body())
