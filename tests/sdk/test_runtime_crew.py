"""Who runs what in a plugin: the lead, the workers, and the handlers that have earned the lead."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from plugin_host_sdk import Plugin
from plugin_host_sdk.endpoint import FIRST_PROOF, Endpoint
from plugin_host_sdk.runtime.crew import Crew, Worker
from tests.served import Served, serving
from tests.wait import WaitUntil


def demo(workers: int = 4) -> Plugin:
    return Plugin("demo", version="1.0.0", workers=workers)


def endpoint(plugin: Plugin, name: str) -> Endpoint:
    handler = plugin.commands._handlers[name]
    return handler.endpoint


def prove(served: Served, name: str) -> None:
    """Call a fast command until it has earned the leader's thread."""
    for _ in range(1000):
        if endpoint(served.server.plugin, name).quick:
            return
        served.call(name)
    pytest.fail(f"{name} never proved quick")


def test_ping_is_answered_while_every_worker_is_busy() -> None:
    plugin = demo(workers=2)
    gate = threading.Event()

    @plugin.command("wait")
    def wait(ctx: Any) -> None:
        gate.wait(10)

    with serving(plugin) as host:
        waiting = [host.ask_command("wait") for _ in range(5)]
        assert host.result(host.ask("ping", {"nonce": 7})) == {"nonce": 7}
        gate.set()
        assert [host.result(msgid)["status"] for msgid in waiting] == [0] * 5


def test_no_more_handlers_run_at_once_than_the_plugin_has_workers(wait_until: WaitUntil) -> None:
    plugin = demo(workers=3)
    gate = threading.Event()
    started: list[int] = []

    @plugin.command("wait")
    def wait(ctx: Any) -> None:
        started.append(1)
        gate.wait(10)

    with serving(plugin) as host:
        waiting = [host.ask_command("wait") for _ in range(10)]
        wait_until(lambda: len(started) == 3)
        host.result(host.ask("ping"))  # read after all of them
        assert len(started) == 3
        gate.set()
        for msgid in waiting:
            host.result(msgid)
        assert len(started) == 10


def test_idle_plugin_has_no_thread_but_its_reader() -> None:
    before = threading.active_count()
    with serving(demo()) as host:
        host.result(host.ask("ping"))
        assert threading.active_count() == before + 1


def test_fast_handler_earns_the_leaders_thread(wait_until: WaitUntil) -> None:
    plugin = demo()
    threads: list[int] = []

    @plugin.command("fast")
    def fast(ctx: Any) -> None:
        threads.append(threading.get_ident())

    with serving(plugin) as host:
        prove(host, "fast")
        assert len(threads) >= FIRST_PROOF

        # Whenever the system takes the processor away, it has to prove itself anew.
        def is_run_by_the_leader() -> bool:
            prove(host, "fast")
            leader = host.server.crew.leader
            host.call("fast")
            return leader is not None and threads[-1] == leader.thread

        wait_until(is_run_by_the_leader)


def test_quick_handler_that_turns_slow_loses_the_lead_and_its_place(wait_until: WaitUntil) -> None:
    plugin = demo()
    gate = threading.Event()
    slow = threading.Event()

    @plugin.command("moody")
    def moody(ctx: Any) -> str:
        if slow.is_set():
            gate.wait(10)
        return "done"

    with serving(plugin) as host:
        prove(host, "moody")
        proof = endpoint(plugin, "moody").proof
        slow.set()
        stuck = host.ask_command("moody")
        # The thread that reads is the one that is stuck: somebody else must take the lead.
        assert host.result(host.ask("ping", {"nonce": 1})) == {"nonce": 1}
        gate.set()
        assert host.result(stuck)["result"] == "done"
        wait_until(lambda: not endpoint(plugin, "moody").quick)  # perhaps a moment after its answer
        assert endpoint(plugin, "moody").proof == 2 * proof


def test_calls_behind_a_stuck_quick_handler_are_served() -> None:
    plugin = demo()
    gate = threading.Event()
    slow = threading.Event()

    @plugin.command("moody")
    def moody(ctx: Any, number: Any = None) -> Any:
        if slow.is_set() and number is None:
            gate.wait(10)
        return number

    with serving(plugin) as host:
        prove(host, "moody")
        slow.set()
        stuck = host.ask_command("moody")
        others = [host.ask_command("moody", {"number": n}) for n in range(20)]
        assert [host.result(msgid)["result"] for msgid in others] == list(range(20))
        gate.set()
        host.result(stuck)


def test_input_behind_a_quick_call_is_handed_on_by_one_thread_however_long_that_takes() -> None:
    both = threading.Event()
    heard: list[bytes] = []

    class Slow:
        """Takes its time with the first piece, as on a machine where a thread waits for a processor."""

        def received(self, offset: int, data: bytes) -> None:
            if data == b"second":
                both.set()
            else:
                both.wait(0.2)  # longer than a turn of author code may last
            heard.append(data)

        def ended(self, total: int, error: Any = None) -> None: ...

    plugin = demo()

    @plugin.command("echo")
    def echo(ctx: Any) -> None: ...

    with serving(plugin) as host:
        prove(host, "echo")
        host.server.sink.open_input(2, 1024, Slow())
        streams = host.connection.streams
        streams.open_send(streams.reserve(), 1024)
        msgid, call = host.connection.send_request("command.call", {"name": "echo", "params": {}})
        pieces = [b"".join(streams.send_data(2, data)) for data in (b"first", b"second")]
        host.send(call + b"".join(pieces))
        host.result(msgid)
        assert both.wait(10)
        host.result(host.ask("ping", {}))
    assert heard == [b"first", b"second"]


def test_quick_handler_may_wait_for_the_host() -> None:
    plugin = demo()

    @plugin.command("ask")
    def ask(ctx: Any, host: Any = False) -> Any:
        return ctx.host.call("name") if host else None

    with serving(plugin) as host:
        prove(host, "ask")
        msgid = host.ask_command("ask", {"host": True})
        question = host.request("host.name")
        host.send(host.connection.send_response(question.msgid, "test"))
        assert host.result(msgid)["result"] == "test"


def test_call_that_comes_back_runs_though_all_workers_wait(wait_until: WaitUntil) -> None:
    plugin = demo(workers=1)
    gate = threading.Event()
    started = threading.Event()

    @plugin.command("wait")
    def wait(ctx: Any) -> str:
        started.set()
        gate.wait(10)
        return "waited"

    @plugin.command("now")
    def now(ctx: Any) -> str:
        return "now"

    with serving(plugin) as host:
        first = host.ask_command("wait")
        queued = host.ask_command("wait")
        wait_until(started.is_set)
        assert host.result(host.ask_command("now", chain=["demo", "other"]))["result"] == "now"
        gate.set()
        assert [host.result(msgid)["result"] for msgid in (first, queued)] == ["waited", "waited"]


def test_threads_beyond_the_usual_number_end_when_they_are_not_needed(wait_until: WaitUntil) -> None:
    plugin = demo(workers=2)
    gate = threading.Event()

    @plugin.command("wait")
    def wait(ctx: Any) -> None:
        gate.wait(10)

    before = threading.active_count()
    with serving(plugin) as host:
        calls = [host.ask_command("wait", chain=["demo"]) for _ in range(12)]
        wait_until(lambda: threading.active_count() >= before + 12)
        gate.set()
        for msgid in calls:
            host.result(msgid)
        # workers, the leader, the watchdog at most
        wait_until(lambda: threading.active_count() <= before + 2 + 1 + 1)


def test_end_of_file_ends_every_thread() -> None:
    before = set(threading.enumerate())
    plugin = demo()

    @plugin.command("fast")
    def fast(ctx: Any) -> None: ...

    with serving(plugin) as host:
        prove(host, "fast")
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)


def test_a_reader_at_end_of_file_waits_instead_of_reading_on() -> None:
    """A plugin whose host is gone uses no processor time while its last handlers end."""
    plugin = demo()
    begun = threading.Event()
    spent: list[float] = []

    @plugin.command("last")
    def last(ctx: Any) -> None:
        begun.set()
        ctx.cancelled.wait(10)
        before = time.process_time()
        time.sleep(0.1)
        spent.append(time.process_time() - before)

    with serving(plugin) as host:
        host.ask_command("last")
        assert begun.wait(5)
    assert spent[0] < 0.05


def test_crew_starts_threads_only_for_work() -> None:
    mutex = threading.RLock()
    leading = threading.Event()
    release = threading.Event()

    def lead(_: Worker) -> None:
        leading.set()
        release.wait(10)

    before = threading.active_count()
    crew = Crew(mutex, lead, 2)
    assert threading.active_count() == before
    crew.start()
    assert leading.wait(5)
    assert threading.active_count() == before + 1
    done = threading.Event()
    crew.submit(done.set)
    assert done.wait(5)
    release.set()
    crew.close()


def test_only_the_leader_can_give_the_lead_away() -> None:
    crew = Crew(threading.RLock(), lambda _: None, 1)
    assert not crew.give_lead(Worker())


def test_calls_are_answered_with_the_threads_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = demo(workers=8)
    plugin.command("nap")(lambda ctx: time.sleep(0.02))
    really = threading.Thread.start
    refused = []

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith(("worker", "watchdog")):
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        really(thread)

    with serving(plugin) as host:
        host.call("nap")
        monkeypatch.setattr(threading.Thread, "start", start)
        waiting = [host.ask_command("nap") for _ in range(10)]
        assert [host.result(msgid)["status"] for msgid in waiting] == [0] * 10
        assert refused
        monkeypatch.undo()
