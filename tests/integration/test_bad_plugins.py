"""One misbehaving plugin beside a good one: the bad one is explained, the good one does not notice."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import (
    CallError,
    CallFailed,
    CallTimeout,
    ManifestError,
    PluginDied,
    PluginHost,
    PluginNotReady,
    State,
    instance,
    writer,
)
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

MIB = 1024 * 1024


@asynccontextmanager
async def beside_a_good_one(bad: str, **options: Any) -> AsyncIterator[PluginHost]:
    """A host with a bad plugin and a good one, which must be as good at the end as it was before."""
    async with stage(bad, "steady", **options) as host:
        pid = host.plugins["steady"].pid
        yield host
        assert await host.call("steady", "echo", {"value": "unmoved"}, timeout=5) == "unmoved"
        assert host.plugins["steady"].pid == pid


async def loop_times(host: PluginHost) -> list[float]:
    """For each of 50 calls of the good plugin how long the host's loop was busy until the answer was there.

    What else the machine does meanwhile is none of it.
    """
    times = []
    for _ in range(50):
        began = time.thread_time()
        assert await host.call("steady", "echo", {"value": 1}) == 1
        times.append(time.thread_time() - began)
    return times


async def death(host: PluginHost, plugin: str, command: str, **params: Any) -> PluginDied:
    with pytest.raises(PluginDied) as caught:
        await host.call(plugin, command, params)
    return caught.value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "expected JSON"),
        ("[]", "expected"),
        ('{"id": "x", "version": 1, "launch": {"argv": ["x"]}}', "$.version"),
        ('{"id": "X!", "version": "1", "launch": {"argv": ["x"]}}', "$.id"),
        ('{"id": "x", "version": "1", "launch": {"argv": ["x"]}, "colour": 1}', "colour"),
        ('{"id": "x", "version": "1", "launch": {}}', "$.launch"),
        ("", "empty file"),
    ],
)
def test_broken_manifest_is_listed_and_explained(run: Run, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "broken").mkdir()
    manifest = tmp_path / "broken" / "plugin_manifest.json"
    manifest.write_text(text)
    folder = write_plugin(tmp_path, "good")

    async def body() -> None:
        async with PluginHost(plugin_dirs=[folder], entry_points=False) as host:
            broken = host.plugins["broken"]
            assert isinstance(broken.error, ManifestError)
            assert str(manifest) in str(broken.error)
            assert words in str(broken.error)
            assert broken.state is State.DISCOVERED
            assert host.plugins["good"].state is State.READY
            with pytest.raises(PluginNotReady, match="plugin_manifest"):
                await host.call("broken", "echo")
            with pytest.raises(ManifestError):
                await host.start("broken")

    run(body())


def test_two_plugins_of_one_id_are_both_refused_and_named(run: Run, tmp_path: Path) -> None:
    first = write_plugin(tmp_path / "one", "twin")
    second = write_plugin(tmp_path / "two", "twin")
    write_plugin(tmp_path / "one", "good")

    async def body() -> None:
        async with PluginHost(plugin_dirs=[first, second], entry_points=False) as host:
            error = str(host.plugins["twin"].error)
            assert str(first / "twin") in error
            assert str(second / "twin") in error
            assert host.plugins["good"].state is State.READY

    run(body())


@pytest.mark.parametrize("status", [0, 3])
def test_exit_in_a_call_is_told_with_status_stderr_and_uptime(run: Run, status: int) -> None:
    async def body() -> None:
        async with beside_a_good_one("dies_midcall") as host:
            error = await death(host, "dies_midcall", "leave", status=status)
            assert f"exited with status {status}" in str(error)
            assert f"leaving with status {status}" in str(error)
            assert error.stderr[-1] == f"leaving with status {status}"
            assert error.uptime is not None
            assert 0 < error.uptime < 20
            assert (error.plugin, error.retryable) == ("dies_midcall", True)
            plugin = host.plugins["dies_midcall"]
            assert (plugin.state, plugin.pid) == (State.FAILED, None)
            with pytest.raises(PluginNotReady, match=f"exited with status {status}"):
                await host.call("dies_midcall", "wait")

    run(body())


@pytest.mark.parametrize("command", ["patch", "async_patch"])
@pytest.mark.parametrize("in_the_way", ["os.write = None", "os.write = builtins.print = None"])
def test_plugin_that_takes_the_wire_from_the_runtime_dies_at_once_and_says_why(
    run: Run, tmp_path: Path, in_the_way: str, command: str
) -> None:
    code = f"""
        import builtins, os

        @plugin.command("patch")
        def patch(ctx):
            {in_the_way}

        @plugin.command("async_patch")
        async def async_patch(ctx):
            {in_the_way}
    """
    folder = write_plugin(tmp_path, "patcher", code)

    async def body() -> None:
        async with stage("patcher", dirs=[folder]) as host:
            with pytest.raises(PluginDied) as caught:
                await host.call("patcher", command, timeout=10)
            assert "'NoneType' object is not callable" in "\n".join(caught.value.stderr)

    run(body())


@pytest.mark.parametrize(
    ("signal", "words"),
    [
        ("SIGKILL", "killed by SIGKILL, not by us (out of memory, or somebody's kill)"),
        ("SIGSEGV", "killed by SIGSEGV (segmentation fault"),
        ("SIGTERM", "killed by SIGTERM (terminated, not by us)"),
        ("SIGABRT", "killed by SIGABRT (aborted"),
    ],
)
def test_death_by_signal_is_told_in_words(run: Run, signal: str, words: str) -> None:
    async def body() -> None:
        async with beside_a_good_one("dies_midcall") as host:
            assert words in str(await death(host, "dies_midcall", "signal", name=signal))

    run(body())


def test_every_call_in_flight_fails_at_once_with_an_error_of_its_own(run: Run) -> None:
    async def body() -> None:
        async with beside_a_good_one("dies_midcall") as host:
            waiting = [asyncio.ensure_future(host.call("dies_midcall", "wait")) for _ in range(100)]
            await asyncio.sleep(0)
            began = time.monotonic()
            psutil.Process(host.plugins["dies_midcall"].pid).terminate()
            errors = await asyncio.gather(*waiting, return_exceptions=True)
            assert time.monotonic() - began < 5
            assert all(isinstance(error, PluginDied) for error in errors)
            assert len({id(error) for error in errors}) == 100

    run(body())


def test_kill_from_outside_is_noticed_without_a_call(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with beside_a_good_one("dies_midcall") as host:
            plugin = host.plugins["dies_midcall"]
            psutil.Process(plugin.pid).kill()
            await wait_until.aio(lambda: plugin.state is State.FAILED)
            assert "SIGKILL, not by us" in str(plugin.error)
            await host.start("dies_midcall")
            assert await host.call("dies_midcall", "wait", timeout=0.05) is None

    with pytest.raises(CallTimeout):
        run(body())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("random", "bytes that are no message"),
        ("text", "is no kind of message"),
        ("truncated", "exited with status 0"),
        ("unknown_id", "123456, which is not open"),
        ("twice", "which is not open"),
        ("not_utf8", "bytes that are no message"),
        ("unhashable", "bytes that are no message"),
        ("announces", "announced a message of more than 16777216 bytes"),
        ("hosts_method", "command.call is not for the plugin to send"),
        ("closes", "closed its connection and runs on"),
    ],
)
def test_broken_protocol_is_a_named_error_and_ends_the_plugin(run: Run, command: str, words: str) -> None:
    async def body() -> None:
        async with beside_a_good_one("breaks_protocol") as host:
            plugin = host.plugins["breaks_protocol"]
            process = psutil.Process(plugin.pid)
            if command == "twice":  # the call itself is answered
                assert await host.call("breaks_protocol", command) == 1
                while plugin.state is State.READY:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            else:
                error = await death(host, "breaks_protocol", command)
                assert words in str(error)
            assert words in str(plugin.error)
            assert plugin.state is State.FAILED
            await host.stop("breaks_protocol")
            assert not process.is_running()

    run(body())


def test_plugin_that_closes_its_connection_and_exits_is_told_as_both(
    run: Run, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(instance, "_EXIT_FOLLOWS_S", 10.0)

    async def body() -> None:
        async with beside_a_good_one("breaks_protocol") as host:
            plugin = host.plugins["breaks_protocol"]
            one = host._supervisors["breaks_protocol"]._instance
            assert one is not None
            dying = asyncio.ensure_future(death(host, "breaks_protocol", "leaves"))
            await wait_until.aio(lambda: one._has_hung_up)
            psutil.Process(plugin.pid).terminate()
            assert "closed its connection and then exited with status 0" in str(await dying)

    run(body())


@pytest.mark.parametrize("command", ["huge", "endless"])
def test_message_over_the_limit_is_refused_in_bounded_memory(run: Run, command: str) -> None:
    async def body() -> None:
        async with beside_a_good_one("sends_huge") as host:
            before = psutil.Process().memory_info().rss
            error = await death(host, "sends_huge", command)
            assert "broke the protocol" in str(error)
            assert "16777216 bytes" in str(error) or "no message" in str(error)
            assert psutil.Process().memory_info().rss - before < 100 * MIB

    run(body())


@pytest.mark.parametrize("command", ["lists", "many"])
def test_structures_beyond_the_limits_are_refused(run: Run, command: str) -> None:
    async def body() -> None:
        async with beside_a_good_one("deep_nesting") as host:
            error = await death(host, "deep_nesting", command)
            assert "broke the protocol" in str(error)
            assert len(str(error)) < 1000

    run(body())


@pytest.mark.parametrize("depth", [10, 500, 1000])
def test_structures_within_the_limits_break_nobody_who_shows_them(
    run: Run, depth: int, logged: pytest.LogCaptureFixture
) -> None:
    """A thousand levels pass the decoder, and are more than a repr can climb down."""

    async def body() -> None:
        async with beside_a_good_one("deep_nesting") as host:
            assert await host.call("deep_nesting", "log", {"depth": depth}) == "logged"
            assert host.plugins["deep_nesting"].commands == []
            assert "[[[[...]]]]" in logged.text

    run(body())


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not read is given up after half a second."""
    monkeypatch.setattr(writer, "LOOK_S", 0.05)


def test_plugin_that_never_reads_fails_when_too_much_waits_for_it(run: Run, soon: None) -> None:
    """Calls that were given up are held against it, so a host that keeps calling stays small."""

    async def body() -> None:
        async with beside_a_good_one("never_reads") as host:
            before = psutil.Process().memory_info().rss
            plugin = host.plugins["never_reads"]
            value = "x" * MIB
            for _ in range(200):
                with pytest.raises((CallTimeout, PluginDied, PluginNotReady)):
                    await host.call("never_reads", "anything", {"value": value}, timeout=0.01)
            assert "does not read" in str(plugin.error)
            assert psutil.Process().memory_info().rss - before < 100 * MIB

    run(body())


@pytest.mark.deadline(60)
def test_calls_to_a_plugin_that_never_reads_are_bounded(run: Run) -> None:
    async def body() -> None:
        async with beside_a_good_one("never_reads") as host:
            calls = [asyncio.ensure_future(host.call("never_reads", "anything")) for _ in range(20_000)]
            done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_EXCEPTION)
            assert len(waiting) == 16_384
            for call in done:
                with pytest.raises(CallFailed) as caught:
                    call.result()
                assert (caught.value.name, caught.value.retryable) == ("rpc.busy", True)
            for call in waiting:
                call.cancel()
            await asyncio.wait(calls)

    run(body())


@pytest.mark.deadline(60)
def test_calls_that_were_given_up_count_until_they_are_answered(run: Run) -> None:
    """A peer that answers nothing cannot make the host remember more and more calls."""

    async def body() -> None:
        async with beside_a_good_one("answers_strangely") as host:
            refused = 0
            for _ in range(5):
                calls = [
                    asyncio.ensure_future(host.call("answers_strangely", "ignore", timeout=0.05))
                    for _ in range(3400)
                ]
                await asyncio.wait(calls)
                for call in calls:
                    error = call.exception()
                    assert isinstance(error, CallError)
                    refused += error.name == "rpc.busy"
            # A ping that is not answered either is one of them.
            assert 0 <= refused - (17_000 - 16_384) <= 2
            # It is the plugin's own fault and of no consequence to others; a new start makes it good.
            await host.restart("answers_strangely")
            answer = {"result": {"status": 0, "result": 1}}
            assert await host.call("answers_strangely", "answer", answer) == 1

    run(body())


def test_plugin_that_asks_and_reads_no_answer_fails(
    run: Run, soon: None, tmp_path: Path, wait_until: WaitUntil
) -> None:
    from plugin_host.configuration import load

    file = tmp_path / "plugin-host.toml"
    file.write_text("[plugins.never_reads.settings]\nask = true\n")

    async def echo(caller: Any, value: str) -> str:
        return value

    async def body() -> None:
        async with beside_a_good_one("never_reads", config=load(file), services={"echo": echo}) as host:
            plugin = host.plugins["never_reads"]
            await wait_until.aio(lambda: plugin.state is State.FAILED)
            assert "does not read" in str(plugin.error)

    run(body())


@pytest.mark.deadline(60)
@pytest.mark.parametrize("service", ["echo", "slow"])
def test_plugin_that_never_stops_asking_slows_nobody_else(run: Run, service: str) -> None:
    async def echo(caller: Any) -> str:
        return "here"

    threads: set[int] = set()

    def slow(caller: Any, seconds: float = 0.2) -> str:
        threads.add(threading.get_ident())
        time.sleep(seconds)
        return "done"

    async def body() -> None:
        services = {"echo": echo, "slow": slow}
        async with beside_a_good_one("never_stops_asking", services=services) as host:
            flood = asyncio.ensure_future(host.call("never_stops_asking", "ask", {"service": service}))
            await asyncio.sleep(0.5)
            assert sorted(await loop_times(host))[25] < 0.1
            # Behind the thousands that the other one has asked for it would take minutes.
            asked = {"service": "slow", "params": {"seconds": 0.01}}
            assert await host.call("steady", "ask", asked, timeout=5) == "done"
            assert threading.get_ident() not in threads
            assert not flood.done()
            await host.stop("never_stops_asking")
            with pytest.raises(CallError):
                await flood

    run(body())


@pytest.mark.parametrize("command", ["log", "stderr", "progress"])
def test_plugin_that_never_stops_talking_slows_nobody_else(run: Run, command: str) -> None:
    async def body() -> None:
        async with beside_a_good_one("floods") as host:
            flood = asyncio.ensure_future(host.call("floods", command, on_progress=lambda *_: None))
            await asyncio.sleep(0.3)
            assert sorted(await loop_times(host))[25] < 0.1
            assert not flood.done()
            flood.cancel()
            await asyncio.wait([flood])
            # The flooder heard its cancel beside its own noise, and is as good as before.
            with pytest.raises(CallTimeout):
                await host.call("floods", command, timeout=0.1)

    run(body())
