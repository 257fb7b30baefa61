"""Plugins that call back: services, permissions, the chain, re-entrance, and deadlines that travel."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from plugin_host import CallCancelled, Caller, CallFailed, CallTimeout, PluginDied, PluginHost
from plugin_host.configuration import load
from tests.run import Run
from tests.stage import link_of, stage, write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

CODE = """
    import asyncio

    @plugin.command("ask")
    def ask(ctx, service, params=None):
        return ctx.host.call(service, **(params or {}))

    @plugin.command("ask_async")
    async def ask_async(ctx, service, params=None):
        return await ctx.host.call(service, **(params or {}))

    @plugin.command("ask_many")
    async def ask_many(ctx, service, count):
        return await asyncio.gather(*(ctx.host.call(service, number=n) for n in range(count)))

    @plugin.command("relay")
    def relay(ctx, path):
        "Send what is left of the path on to the plugin that comes next in it."
        if not path:
            return list(ctx.chain)
        return ctx.host.call("relay", path=path)

    @plugin.command("relay_async")
    async def relay_async(ctx, path):
        return await ctx.host.call("relay_async", path=path) if path else list(ctx.chain)

    @plugin.command("remaining")
    def remaining(ctx):
        return ctx.remaining()

    @plugin.command("explain")
    def explain(ctx, service):
        try:
            ctx.host.call(service)
        except sdk.CallError as error:
            return [type(error).__name__, error.name, error.code, str(error)]
"""
ALL = ["host.note", "host.relay", "host.relay_async", "host.slow", "host.far", "host.fail", "host.plain"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("plugins")
    for id in ("a", "b"):
        write_plugin(home, id, CODE, permissions=ALL)
    write_plugin(home, "narrow", CODE + "\n    plugin.workers = 1\n", permissions=ALL)
    return home


class Services:
    """What these plugins may call; `host` is set once there is one."""

    def __init__(self) -> None:
        self.host: PluginHost | None = None
        self.noted: list[tuple[Caller, dict[str, Any]]] = []
        self.ended = asyncio.Event()

    def table(self) -> dict[str, Any]:
        return {
            "note": self.note,
            "relay": self.relay,
            "relay_async": self.relay_async,
            "slow": self.slow,
            "far": self.far,
            "fail": self.fail,
            "plain": self.plain,
            "ungranted": self.note,
        }

    async def note(self, caller: Caller, **params: Any) -> str:
        self.noted.append((caller, params))
        return f"noted for {caller.plugin}"

    async def relay(self, caller: Caller, path: list[str]) -> Any:
        assert self.host is not None
        return await self.host.call(path[0], "relay", {"path": path[1:]})

    async def relay_async(self, caller: Caller, path: list[str]) -> Any:
        assert self.host is not None
        return await self.host.call(path[0], "relay_async", {"path": path[1:]})

    async def slow(self, caller: Caller) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            self.ended.set()

    async def far(self, caller: Caller, plugin: str = "b") -> Any:
        assert self.host is not None
        return await self.host.call(plugin, "remaining")

    async def fail(self, caller: Caller) -> None:
        raise LookupError("nothing here")

    def plain(self, caller: Caller, number: int = 0) -> list[Any]:
        return [number, threading.current_thread() is threading.main_thread()]


async def failure(call: Any) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("ask", ["ask", "ask_async"])
def test_service_gets_its_caller_and_named_parameters(run: Run, folder: Path, ask: str) -> None:
    async def body() -> None:
        services = Services()
        async with stage("a", dirs=[folder], services=services.table()) as host:
            params = {"service": "note", "params": {"x": 1, "y": [2]}}
            assert await host.call("a", ask, params) == "noted for a"
            ((caller, noted),) = services.noted
            assert noted == {"x": 1, "y": [2]}
            assert (caller.plugin, caller.chain, caller.deadline) == ("a", ("a",), None)

    run(body())


@pytest.mark.parametrize("ask", ["ask", "ask_async"])
def test_plain_service_runs_beside_the_loop(run: Run, folder: Path, ask: str) -> None:
    async def body() -> None:
        async with stage("a", dirs=[folder], services=Services().table()) as host:
            assert await host.call("a", ask, {"service": "plain", "params": {"number": 7}}) == [7, False]

    run(body())


def test_hundreds_of_services_run_for_one_async_handler(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with stage("a", dirs=[folder], services=Services().table()) as host:
            answers = await host.call("a", "ask_many", {"service": "plain", "count": 600})
            assert [number for number, _ in answers] == list(range(600))

    run(body())


def denials(logged: pytest.LogCaptureFixture) -> list[str]:
    return [text for record in logged.records if "may not call" in (text := record.getMessage())]


def test_service_that_no_manifest_asks_for_is_refused_and_logged_once(
    run: Run, folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with stage("a", dirs=[folder], services=Services().table()) as host:
            error = await failure(host.call("a", "ask", {"service": "ungranted"}))
            assert "may not call host.ungranted" in str(error)
            kind, name, _, text = await host.call("a", "explain", {"service": "ungranted"})
            assert (kind, name) == ("CallFailed", "host.permission_denied")
            assert "plugin `a` may not call host.ungranted: its manifest does not ask for it" in text
            assert "host.note" in text  # what is granted
            (record,) = denials(logged)
            assert record in text

    run(body())


def test_configuration_withholds_what_a_manifest_asks_for(
    run: Run, folder: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "plugin-host.toml"
    file.write_text('[plugins.a]\npermissions = ["host.plain", "host.never_asked_for"]\n')

    async def body() -> None:
        services = Services().table()
        async with stage("a", dirs=[folder], services=services, config=load(file)) as host:
            assert (await host.call("a", "ask", {"service": "plain"}))[0] == 0
            for _ in range(2):
                _, name, _, text = await host.call("a", "explain", {"service": "note"})
                assert name == "host.permission_denied"
            assert "plugin `a` may not call host.note: its manifest asks for it, and the host's" in text
            assert "[plugins.a] does not list it (granted: host.plain)" in text
            (record,) = denials(logged)
            assert record in text
            refused = await host.call("a", "explain", {"service": "never_asked_for"})
            assert refused[1] == "host.permission_denied"
            assert "its manifest does not ask for it" in refused[3]

    run(body())


def test_service_that_does_not_exist_is_told_with_near_ones(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with stage("a", dirs=[folder], services={"relays": lambda caller: 1}) as host:
            kind, name, _, text = await host.call("a", "explain", {"service": "relay"})
            assert (kind, name) == ("CallFailed", "host.service_not_found")
            assert "did you mean `relays`" in text

    run(body())


def test_service_that_raises_is_told_with_type_and_message(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with stage("a", dirs=[folder], services=Services().table()) as host:
            kind, name, _, text = await host.call("a", "explain", {"service": "fail"})
            assert (kind, name) == ("CallFailed", "host.service_failed")
            assert "host.fail raised LookupError: nothing here" in text

    run(body())


def test_wrong_parameters_of_a_service_are_told(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with stage("a", dirs=[folder], services=Services().table()) as host:
            for params in ({"nonsense": 1}, {"caller": 1}):
                error = await failure(host.call("a", "ask", {"service": "slow", "params": params}))
                assert next(iter(params)) in str(error)

    run(body())


def test_result_of_a_service_that_cannot_travel_is_told(run: Run, folder: Path) -> None:
    async def body() -> None:
        services = {"note": lambda caller: {1}, "slow": lambda caller: b"x" * (17 << 20)}
        async with stage("a", dirs=[folder], services=services) as host:
            assert (await host.call("a", "explain", {"service": "note"}))[1] == "rpc.not_encodable"
            assert (await host.call("a", "explain", {"service": "slow"}))[1] == "rpc.too_large"

    run(body())


@pytest.mark.parametrize("relay", ["relay", "relay_async"])
def test_chain_grows_with_each_plugin(run: Run, folder: Path, relay: str) -> None:
    async def body() -> None:
        services = Services()
        async with stage("a", "b", dirs=[folder], services=services.table()) as host:
            services.host = host
            assert await host.call("a", relay, {"path": ["b", "a", "b"]}) == ["a", "b", "a"]

    run(body())


@pytest.mark.parametrize("relay", ["relay", "relay_async"])
def test_plugin_calls_itself_up_to_depth_sixteen(run: Run, folder: Path, relay: str) -> None:
    async def body() -> None:
        services = Services()
        async with stage("narrow", dirs=[folder], services=services.table()) as host:
            services.host = host
            assert await host.call("narrow", relay, {"path": ["narrow"] * 16}) == ["narrow"] * 16
            error = await failure(host.call("narrow", relay, {"path": ["narrow"] * 17}))
            assert "nested deeper than 16" in str(error)
            assert " -> ".join(["narrow"] * 17) in str(error)
            assert await host.call("narrow", relay, {"path": []}) == []

    run(body())


def test_plugin_is_called_back_while_all_its_workers_wait(run: Run, folder: Path) -> None:
    """32 handlers of `a` wait for `b`, and each of those calls waits for `a`."""

    async def body() -> None:
        services = Services()
        async with stage("a", "b", dirs=[folder], services=services.table()) as host:
            services.host = host
            calls = [host.call("a", "relay", {"path": ["b", "a", "b", "a"]}) for _ in range(64)]
            assert await asyncio.gather(*calls) == [["a", "b", "a", "b"]] * 64

    run(body())


def test_single_worker_is_no_obstacle_to_re_entrance(run: Run, folder: Path) -> None:
    async def body() -> None:
        services = Services()
        async with stage("narrow", "b", dirs=[folder], services=services.table()) as host:
            services.host = host
            path = ["b", "narrow", "b", "narrow"]
            calls = [host.call("narrow", "relay", {"path": path}) for _ in range(10)]
            assert await asyncio.gather(*calls) == [["narrow", *path[:-1]]] * 10

    run(body())


def test_plain_services_may_call_plugins_and_come_back(run: Run, folder: Path) -> None:
    """More of them at once than there are threads for one plugin, each waiting for a further one."""

    async def body() -> None:
        services = Services()
        loop = asyncio.get_running_loop()

        def relay(caller: Caller, path: list[str]) -> Any:
            assert services.host is not None
            call = services.host.call(path[0], "relay_async", {"path": path[1:]})
            return asyncio.run_coroutine_threadsafe(call, loop).result(30)

        table = {"relay_async": relay}
        async with stage("a", dirs=[folder], services=table) as host:
            services.host = host
            calls = [host.call("a", "relay_async", {"path": ["a", "a"]}) for _ in range(50)]
            assert await asyncio.gather(*calls) == [["a", "a"]] * 50

    run(body())


@pytest.mark.parametrize("ask", ["ask", "ask_async"])
def test_deadline_travels_through_the_host_to_the_next_plugin(run: Run, folder: Path, ask: str) -> None:
    async def body() -> None:
        services = Services()
        async with stage("a", "b", dirs=[folder], services=services.table()) as host:
            services.host = host
            left = await host.call("a", ask, {"service": "far"}, timeout=20)
            assert 15 < left < 20
            assert await host.call("a", ask, {"service": "far"}) is None

    run(body())


@pytest.mark.parametrize("ask", ["ask", "ask_async"])
def test_deadline_ends_the_nested_call_everywhere(run: Run, folder: Path, ask: str) -> None:
    async def body() -> None:
        services = Services()
        async with stage("a", dirs=[folder], services=services.table()) as host:
            began = time.monotonic()
            with pytest.raises(CallTimeout):
                await host.call("a", ask, {"service": "slow"}, timeout=0.2)
            await services.ended.wait()
            assert time.monotonic() - began < 2

    run(body())


@pytest.mark.parametrize("ask", ["ask", "ask_async"])
def test_cancel_travels_to_the_service(run: Run, folder: Path, wait_until: WaitUntil, ask: str) -> None:
    async def body() -> None:
        services = Services()
        async with stage("a", dirs=[folder], services=services.table()) as host:
            call = asyncio.ensure_future(host.call("a", ask, {"service": "slow"}))
            desks = host._services._desks
            await wait_until.aio(lambda: any(desk.running for desk in desks.values()))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await services.ended.wait()
            link = link_of(host, "a")
            await wait_until.aio(lambda: not link.connection.incoming)

    run(body())


def test_death_of_the_far_plugin_reaches_the_first(run: Run, folder: Path) -> None:
    async def body() -> None:
        services = Services()

        async def note(caller: Caller) -> Any:
            assert services.host is not None
            return await services.host.call("dies_midcall", "leave", {"status": 5})

        async with stage("a", "dies_midcall", dirs=[folder], services={"note": note}) as host:
            services.host = host
            _, name, code, text = await host.call("a", "explain", {"service": "note"})
            assert (name, code) == ("command.connection", 103)
            assert "dies_midcall` died" in text
            assert "exited with status 5" in text

    run(body())


def test_failure_of_the_far_call_names_the_far_plugin(run: Run, folder: Path) -> None:
    async def body() -> None:
        services = Services()

        async def note(caller: Caller) -> Any:
            assert services.host is not None
            return await services.host.call("b", "ask", {"service": "fail"})

        async with stage("a", "b", dirs=[folder], services=services.table() | {"note": note}) as host:
            services.host = host
            *_, text = await host.call("a", "explain", {"service": "note"})
            assert text == "b ask raised CallFailed: host.fail raised LookupError: nothing here"

    run(body())


def test_death_of_the_caller_cancels_its_services(run: Run, folder: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        services = Services()
        async with stage("a", dirs=[folder], services=services.table()) as host:
            call = asyncio.ensure_future(host.call("a", "ask", {"service": "slow"}))
            await wait_until.aio(lambda: host._services._desks)
            pid = host.plugins["a"].pid
            assert pid is not None
            os.kill(pid, 9)
            with pytest.raises(PluginDied):
                await call
            await services.ended.wait()
            assert not host._services._desks

    run(body())


def test_stop_of_the_caller_cancels_its_services(run: Run, folder: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        services = Services()
        async with stage("a", dirs=[folder], services=services.table()) as host:
            call = asyncio.ensure_future(host.call("a", "ask", {"service": "slow"}))
            await wait_until.aio(lambda: host._services._desks)
            await host.stop("a")
            with pytest.raises(CallCancelled):
                await call
            await services.ended.wait()

    run(body())


def test_threads_of_services_are_shared_and_end_with_the_host(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with stage("a", "b", dirs=[folder], services=Services().table()) as host:
            for _ in range(20):
                await host.call("a", "ask", {"service": "plain"})
                await host.call("b", "ask", {"service": "plain"})
            names = [thread.name for thread in threading.enumerate()]
            # As many as run at once, whoever asks; a thread may just be going back to wait.
            assert 1 <= names.count("plugin-host-service") <= 4

    run(body())
