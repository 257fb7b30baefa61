"""The blocking host with real plugins, from many threads."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from plugin_host import (
    CallCancelled,
    CallTimeout,
    PluginDied,
    PluginHostError,
    PluginNotFound,
    PluginNotReady,
    State,
    StateChanged,
)
from plugin_host.sync import PluginHost
from tests.effort import by_effort
from tests.run import Run
from tests.stage import runs, stage, write_plugin
from tests.syncstage import blocking
from tests.wait import WaitUntil

TURNS = by_effort(300, 2000)


@pytest.fixture(scope="module")
def host() -> Iterator[PluginHost]:
    """As embedders have one for all tests of a module: entered in one place, used from many."""
    services = {"answer": lambda caller, question: f"{question}? 42"}
    with blocking("steady", "obliging", services=services) as host:
        yield host


def in_thread(function: Callable[[], Any]) -> Callable[[], Any]:
    """Begin it in a thread; what ends it: its result, or the exception it raised."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(function())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()

    def end() -> Any:
        thread.join(10)
        assert not thread.is_alive(), "it waits for ever"
        return outcome[0]

    return end


def test_calls_return_results_and_raise_what_the_asyncio_host_raises(run: Run, host: PluginHost) -> None:
    calls: list[tuple[str, str, Any]] = [
        ("obliging", "echo", {"value": [1, "a", b"b", None, {"c": 1.5}]}),
        ("obliging", "own", {"status": 7, "message": "no", "fields": {"a": 1}}),
        ("obliging", "fail", {}),
        ("obliging", "nothing", {}),
        ("obliging", "greet", {"greeting": 5}),
        ("obliging", "echo", {"value": {(1, 2): 3}}),
        ("obliging", "echo", {"value": object()}),
        ("steady", "echo", {"value": bytes(300_000)}),
        ("absent", "echo", {}),
    ]

    def told(outcome: Any) -> Any:
        if isinstance(outcome, Exception):
            return (
                type(outcome),
                str(outcome),
                getattr(outcome, "name", None),
                getattr(outcome, "data", None),
            )
        return outcome

    async def awaited() -> list[Any]:
        async with stage("steady", "obliging") as other:
            outcomes = [await asyncio.gather(other.call(*call), return_exceptions=True) for call in calls]
            return [told(outcome) for (outcome,) in outcomes]

    ours = []
    for call in calls:
        try:
            ours.append(told(host.call(*call)))
        except Exception as error:
            ours.append(told(error))
    assert ours == run(awaited())


def test_typed_text_is_converted(host: PluginHost) -> None:
    assert host.call_text("obliging", "greet", {"name": "Ada"}) == "hello Ada"


def test_call_ends_with_its_deadline(host: PluginHost) -> None:
    begun = time.monotonic()
    with pytest.raises(CallTimeout, match=r"steady sleep: no answer within 0\.1 s"):
        host.call("steady", "sleep", timeout=0.1)
    assert time.monotonic() - begun < 5
    assert host.call("steady", "echo", {"value": 1}, timeout=5) == 1


def test_progress_is_told_on_the_calling_thread(host: PluginHost) -> None:
    told = []
    result = host.call(
        "obliging",
        "steps",
        {"count": 3},
        on_progress=lambda *report: told.append((threading.current_thread(), *report)),
    )
    assert result == "done"
    assert told == [(threading.current_thread(), n, 3, f"step {n}") for n in range(3)]


def test_call_while_an_event_loop_runs_in_the_calling_thread(run: Run, host: PluginHost) -> None:
    async def cell() -> Any:
        """As a cell of a notebook is run."""
        with host.events():
            return host.call("steady", "echo", {"value": 1}), host.call("steady", "echo", timeout=5)

    assert run(cell()) == (1, None)


@pytest.mark.deadline(60)
def test_sixteen_threads_get_their_own_answers(host: PluginHost) -> None:
    def work(number: int) -> int:
        right = 0
        for turn in range(TURNS):
            right += host.call("steady", "echo", {"value": [number, turn]}) == [number, turn]
        return right

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, range(16))) == [TURNS] * 16


def test_slow_calls_of_other_threads_do_not_delay_quick_ones(host: PluginHost) -> None:
    slow = [in_thread(lambda: host.call("steady", "sleep", {"seconds": 1.0})) for _ in range(4)]
    begun = time.monotonic()
    for number in range(100):
        assert host.call("steady", "echo", {"value": number}) == number
    assert time.monotonic() - begun < 0.9
    assert [end() for end in slow] == [False] * 4


def test_large_results_arrive_beside_small_ones(host: PluginHost) -> None:
    large = [in_thread(lambda: host.call("obliging", "large", {"size": 4_000_000})) for _ in range(3)]
    for number in range(50):
        assert host.call("obliging", "echo", {"value": number}) == number
    assert [len(end()) for end in large] == [4_000_000] * 3


def test_several_plugins_are_called_at_once(host: PluginHost) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(
            lambda turn: host.call(("steady", "obliging")[turn % 2], "echo", {"value": turn}), range(200)
        )
        assert list(found) == list(range(200))


# Services.

ASKING = """
    @plugin.command("ask")
    def ask(ctx, service, **params):
        return ctx.host.call(service, **params)
"""


def test_plain_service_may_call_and_the_deadline_of_its_caller_holds(tmp_path: Path) -> None:
    def relay(caller: Any, seconds: float) -> Any:
        try:
            return own.call("steady", "sleep", {"seconds": seconds})
        except CallTimeout as error:
            return error.message

    async def here(caller: Any) -> Any:
        try:
            own.call("steady", "echo")
        except PluginHostError as error:
            return str(error)

    folder = write_plugin(tmp_path, "asker", ASKING, permissions=["host.relay", "host.here"])
    with blocking("asker", "steady", dirs=[folder], services={"relay": relay, "here": here}) as own:
        assert own.call("asker", "ask", {"service": "relay", "seconds": 0.0}) is False
        with pytest.raises(CallTimeout):
            own.call("asker", "ask", {"service": "relay", "seconds": 60.0}, timeout=0.3)
        assert "own" in own.call("asker", "ask", {"service": "here"})


# Life.


def test_plugin_that_dies_fails_every_waiting_thread_with_one_report(wait_until: WaitUntil) -> None:
    with blocking("steady", "obliging", restarts=False) as host:
        waiting = [in_thread(lambda: host.call("steady", "sleep")) for _ in range(3)]
        link: Any = host._supervisors["steady"].link
        wait_until(lambda: link.in_flight == 3)
        pid = host.plugins["steady"].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        errors = [end() for end in waiting]
        assert [type(error) for error in errors] == [PluginDied] * 3
        assert len({id(error) for error in errors}) == 3
        assert {id(error.report) for error in errors} == {id(host.plugins["steady"].death)}
        assert "killed by SIGKILL" in str(errors[0])
        assert errors[0].report.calls == ("sleep",) * 3
        assert host.call("obliging", "echo", {"value": 1}) == 1
        with pytest.raises(PluginNotReady):
            host.call("steady", "echo")


def test_stop_ends_the_calls_of_other_threads(wait_until: WaitUntil) -> None:
    with blocking("steady") as host:
        link: Any = host._supervisors["steady"].link
        waiting = [in_thread(lambda: host.call("steady", "sleep")) for _ in range(3)]
        wait_until(lambda: link.in_flight == 3)
        host.stop("steady")
        # Its handlers were told of the stop, and may have answered.
        assert all(isinstance(end, CallCancelled) or end is True for end in (end() for end in waiting))
        with pytest.raises(PluginNotReady, match="stopped"):
            host.call("steady", "echo")
        host.start("steady")
        assert host.call("steady", "echo", {"value": 1}) == 1


def test_host_closed_by_another_thread_ends_the_calls(wait_until: WaitUntil, tmp_path: Path) -> None:
    stubborn = """
        import time
        @plugin.command("stay")
        def stay(ctx):
            time.sleep(60)
    """
    folder = write_plugin(tmp_path, "stubborn", stubborn, launch={"stop_timeout_s": 0.3})
    with blocking("stubborn", dirs=[folder]) as host:
        link: Any = host._supervisors["stubborn"].link
        waiting = [in_thread(lambda: host.call("stubborn", "stay")) for _ in range(2)]
        wait_until(lambda: link.in_flight == 2)
        closing = [in_thread(host.close) for _ in range(2)]
        assert [type(end()) for end in waiting] == [CallCancelled] * 2
        assert [end() for end in closing] == [None, None]
        with pytest.raises(PluginNotReady):
            host.call("stubborn", "stay")
        with pytest.raises(PluginHostError, match="closed"):
            host.start("stubborn")
        host.close()


def test_stops_and_starts_at_random_give_every_call_an_end(wait_until: WaitUntil) -> None:
    with blocking("steady") as host:
        is_over = threading.Event()

        def work() -> int:
            right = 0
            while not is_over.is_set():
                try:
                    right += host.call("steady", "echo", {"value": 1}) == 1
                except (CallCancelled, PluginNotReady):
                    time.sleep(0.001)
            return right

        working = [in_thread(work) for _ in range(4)]
        for _ in range(5):
            host.restart("steady")
        host.reload("steady")
        is_over.set()
        assert all(end() > 0 for end in working)


def test_lazy_plugin_is_started_once_by_many_first_calls(tmp_path: Path) -> None:
    code = """
        import os
        @plugin.command("pid")
        def pid(ctx):
            return os.getpid()
    """
    folder = write_plugin(tmp_path, "lazy", code, activation="lazy", idle_stop_s=60)
    with blocking("lazy", dirs=[folder]) as host:
        assert host.plugins["lazy"].state is State.IDLE
        with host.events() as events, ThreadPoolExecutor(8) as pool:
            pids = set(pool.map(lambda _: host.call("lazy", "pid"), range(8)))
        assert pids == {host.plugins["lazy"].pid}
        moves = [event.new for event in events if isinstance(event, StateChanged)]
        assert moves == [State.STARTING, State.READY]
        assert host._supervisors["lazy"].idleness is not None
        assert host._supervisors["lazy"].idleness.uses >= 8


def test_call_waits_for_a_plugin_that_comes_back_unless_told_to_fail(tmp_path: Path) -> None:
    code = """
        import os
        @plugin.command("die")
        def die(ctx):
            os._exit(3)
        @plugin.command("echo")
        def echo(ctx, value=None):
            return value
    """
    restart = {"policy": "on-failure", "backoff_initial_s": 0.2}
    folder = write_plugin(tmp_path, "returner", code, restart=restart)
    with blocking("returner", dirs=[folder]) as host:
        with pytest.raises(PluginDied):
            host.call("returner", "die")
        with pytest.raises(PluginNotReady):
            host.call("returner", "echo", fail_fast=True)
        with pytest.raises(CallTimeout):
            host.call("returner", "echo", timeout=0.0001)
        assert host.call("returner", "echo", {"value": 2}, timeout=10) == 2


def test_events_come_to_the_thread_that_iterates_and_end_with_the_host() -> None:
    host = blocking("steady")
    events = host.events()
    collected = in_thread(lambda: [event.new for event in events if isinstance(event, StateChanged)])
    with host:
        pid = host.plugins["steady"].pid
        assert host.call("steady", "pid") == pid
    assert collected() == [State.STARTING, State.READY, State.STOPPING, State.STOPPED]
    assert not runs(pid)


def test_host_that_cannot_begin_leaves_nothing_behind() -> None:
    with pytest.raises(PluginNotFound), blocking("absent"):
        pass


def test_plugins_are_found_without_a_thread() -> None:
    host = blocking("steady")
    host.discover()
    assert host.plugins["steady"].state is State.DISCOVERED
    assert not host._thread.is_begun
    host.close()


def test_host_is_used_without_entering_it() -> None:
    host = blocking("steady")
    host.discover()
    host.start("steady")
    assert host.call("steady", "echo", {"value": 1}) == 1
    host.close()


def test_call_of_another_thread_waits_for_a_host_that_expects_to_be_entered(wait_until: WaitUntil) -> None:
    host = blocking("steady")
    host.expect()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(host.call, "steady", "echo", {"value": 1})
        host.expect()  # also when the host's own thread runs by now
        wait_until(lambda: host._host._supervisors["steady"]._moved is not None)
        assert not call.done()
        with host:
            assert call.result() == 1


def test_what_is_logged_counted_and_traced_is_there_for_threads_too(tmp_path: Path) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    code = """
        @plugin.command("speak")
        def speak(ctx):
            ctx.log.warning("spoken")
    """
    folder = write_plugin(tmp_path, "speaker", code)
    with PluginHost(plugin_dirs=[folder], entry_points=False, only=["speaker"], tracing=provider) as host:
        stream = host.logs.follow(level="warning")
        for _ in range(3):
            host.call("speaker", "speak")
        assert [next(stream).message for _ in range(3)] == ["spoken"] * 3
        stream.close()
        assert [one.message for one in host.logs.records("speaker", level="warning")] == ["spoken"] * 3
        calls = host.metrics()["plugins"]["speaker"]["calls"]["speak"]
        assert calls["started"] == calls["finished"] == 3
        assert host.recent_events
        version = host.metadata.set("/task", {"name": "night"})
        assert host.metadata.get("/task/name") == "night"
        assert host.metadata.wait_for_change("/task", last=version - 1).version == version
        assert host.metadata.look("/task", recursive=False).value == ["name"]
        host.metadata.delete("/task")
    assert [span.name for span in spans.get_finished_spans()] == ["speaker/speak"] * 3
