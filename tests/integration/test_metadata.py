"""Metadata from the host to a plugin: read, watched, and withheld."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from plugin_host import CallTimeout, InvalidPayload, MetadataNotFound, PluginHost
from tests.run import Run
from tests.stage import link_of, stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    @plugin.command("get")
    def get(ctx, path, **default):
        return ctx.metadata.get(path, **default)

    @plugin.command("get_async")
    async def get_async(ctx, path, **default):
        return await ctx.metadata.get(path, **default)

    @plugin.command("wait")
    def wait(ctx, path, last=None, timeout=None, recursive=True):
        entry = ctx.metadata.wait_for_change(path, last=last, timeout=timeout, recursive=recursive)
        return [entry.value, entry.version, entry.exists]

    @plugin.command("watch")
    def watch(ctx, path, until):
        seen = []
        for entry in ctx.metadata.watch(path):
            seen.append(entry.value)
            ctx.progress(len(seen))
            if entry.value == until:
                return seen

    @plugin.command("watch_async")
    async def watch_async(ctx, path, until):
        seen = []
        async for entry in ctx.metadata.watch(path):
            seen.append(entry.value)
            ctx.progress(len(seen))
            if entry.value == until:
                return seen

    @plugin.command("explain")
    def explain(ctx, path):
        try:
            ctx.metadata.get(path)
        except sdk.CallError as error:
            return [type(error).__name__, error.name]

    @plugin.command("other")
    def other(ctx, method):
        try:
            ctx._session.call_host(ctx, method, {"path": 7})
        except sdk.CallError as error:
            return [type(error).__name__, error.name]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("plugins")
    write_plugin(home, "reader", CODE, permissions=["metadata.read:/task"])
    return write_plugin(home, "blind", CODE)


@pytest.fixture
def hosted(run: Run, folder: Path) -> Callable[[Callable[[PluginHost], Awaitable[None]]], None]:
    def drive(body: Callable[[PluginHost], Awaitable[None]]) -> None:
        async def work() -> None:
            async with stage("reader", "blind", dirs=[folder]) as host:
                host.metadata.set("/task", {"env": {"HOME": "/root"}, "step": 1})
                host.metadata.set("/secret", "x")
                await body(host)

        run(work())

    return drive


Hosted = Callable[[Callable[[PluginHost], Awaitable[None]]], None]


def test_plugin_reads_what_its_manifest_asks_for_and_nothing_else(hosted: Hosted) -> None:
    async def body(host: PluginHost) -> None:
        for get in ("get", "get_async"):
            assert await host.call("reader", get, {"path": "/task/env/HOME"}) == "/root"
            assert await host.call("reader", get, {"path": "/task"}) == host.metadata.get("/task")
            assert await host.call("reader", get, {"path": "/task/no", "default": 7}) == 7
        for plugin, path, expected in (
            ("reader", "/task/no", ["MetadataNotFound", "metadata.not_found"]),
            ("reader", "/secret", ["CallFailed", "host.permission_denied"]),
            ("reader", "/", ["CallFailed", "host.permission_denied"]),
            ("reader", "/task/../secret", ["InvalidPayload", "metadata.invalid_payload"]),
            ("blind", "/task", ["CallFailed", "host.permission_denied"]),
            ("blind", "/nothing", ["CallFailed", "host.permission_denied"]),
        ):
            assert await host.call(plugin, "explain", {"path": path}) == expected
        for method, kind in (("metadata.get", "InvalidPayload"), ("metadata.nothing", "NoSuchEndPoint")):
            assert (await host.call("reader", "other", {"method": method}))[0] == kind

    hosted(body)


@pytest.mark.parametrize("watch", ["watch", "watch_async"])
def test_plugin_sees_every_change_that_it_is_given_time_for(hosted: Hosted, watch: str) -> None:
    async def body(host: PluginHost) -> None:
        steps: asyncio.Queue[float] = asyncio.Queue()
        call = asyncio.create_task(
            host.call(
                "reader",
                watch,
                {"path": "/task/step", "until": None},
                on_progress=lambda done, total, message: steps.put_nowait(done),
            )
        )
        for value in (2, "three"):
            await steps.get()
            host.metadata.set("/task/step", value)
        await steps.get()
        host.metadata.delete("/task/step")
        assert await call == [1, 2, "three", None]

    hosted(body)


def test_wait_with_the_version_last_seen_misses_no_change(hosted: Hosted) -> None:
    async def body(host: PluginHost) -> None:
        seen = host.metadata.look("/task/step").version
        host.metadata.set("/task/step", 2)
        value, version, exists = await host.call("reader", "wait", {"path": "/task/step", "last": seen})
        assert (value, exists) == (2, True)
        assert version > seen
        # And without a change it gives what there is when its time is over.
        same = await host.call("reader", "wait", {"path": "/task/step", "last": version, "timeout": 0.01})
        assert same == [2, version, True]

    hosted(body)


def test_change_elsewhere_wakes_nobody(hosted: Hosted, wait_until: WaitUntil) -> None:
    async def body(host: PluginHost) -> None:
        listing = asyncio.create_task(
            host.call("reader", "wait", {"path": "/task/env", "recursive": False, "timeout": 10})
        )
        waits = link_of(host, "reader").connection.incoming
        await wait_until.aio(lambda: bool(waits))
        host.metadata.set("/task/step", 5)
        host.metadata.set("/task/env/HOME", "/")
        host.metadata.set("/task/env/USER", "me")
        assert (await listing)[0] == ["HOME", "USER"]

    hosted(body)


def test_wait_ends_with_its_call_and_leaves_nothing_behind(hosted: Hosted, wait_until: WaitUntil) -> None:
    async def body(host: PluginHost) -> None:
        with pytest.raises(CallTimeout):
            await host.call("reader", "wait", {"path": "/task"}, timeout=0.1)
        link = link_of(host, "reader")
        await wait_until.aio(lambda: not link.connection.incoming)
        assert "waiting=0" in repr(host.metadata)

    hosted(body)


def test_embedder_is_told_what_is_not_there_or_cannot_be(run: Run) -> None:
    async def body() -> None:
        host = PluginHost(entry_points=False)
        with pytest.raises(MetadataNotFound):
            host.metadata.get("/task")
        with pytest.raises(InvalidPayload):
            host.metadata.set("/task", object())
        change = asyncio.create_task(host.metadata.wait_for_change("/task"))
        await asyncio.sleep(0)
        host.metadata.set("/task/step", 1)
        assert (await change).value == {"step": 1}

    run(body())
