"""How calls of a served plugin are given up, and how serving ends; a host's connection in the test."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from plugin_host_sdk import Plugin
from plugin_host_sdk.events import ErrorReceived, PeerFailed, ResponseReceived
from plugin_host_sdk.runtime.serve import _end
from tests.served import Served, serving
from tests.wait import WaitUntil


def demo(**options: Any) -> Plugin:
    plugin = Plugin("demo", version="1.0.0", **options)

    @plugin.command("echo")
    def echo(ctx: Any, value: Any = None) -> Any:
        """Give back what came."""
        return value

    return plugin


# Cancel.


def begun(host: Served, plugin: Plugin) -> tuple[int, threading.Event]:
    """Keep a worker busy; the id of the call and what lets it go."""
    gate = threading.Event()
    running = threading.Event()

    @plugin.command("occupy")
    def occupy(ctx: Any) -> str:
        running.set()
        gate.wait(10)
        return "free"

    msgid = host.ask_command("occupy")
    assert running.wait(5)
    return msgid, gate


def test_queued_call_that_is_cancelled_is_answered_at_once_and_never_runs() -> None:
    plugin = demo(workers=1)
    ran: list[int] = []
    plugin.commands.register_handler("note", lambda ctx: ran.append(1))
    with serving(plugin) as host:
        busy, gate = begun(host, plugin)
        queued = host.ask_command("note")
        host.cancel(queued)
        error = host.error(queued)
        assert error["name"] == "rpc.cancelled"
        assert "'note' was cancelled: the caller cancelled" in error["message"]
        gate.set()
        host.result(busy)
        host.call("echo")
        assert ran == []


def test_queued_call_whose_time_is_over_is_refused_and_never_runs() -> None:
    plugin = demo(workers=1)
    ran: list[int] = []
    plugin.commands.register_handler("note", lambda ctx: ran.append(1))
    with serving(plugin) as host:
        busy, gate = begun(host, plugin)
        queued = host.ask_command("note", timeout_ms=20)
        time.sleep(0.03)
        gate.set()
        host.result(busy)
        assert host.error(queued)["name"] == "rpc.deadline_exceeded"
        assert ran == []


def test_cancel_of_a_call_that_is_over_or_never_was_is_nothing() -> None:
    with serving(demo()) as host:
        msgid = host.ask_command("echo")
        host.result(msgid)
        host.cancel(msgid)
        host.cancel(12345)
        assert host.hears_nothing()


def test_running_call_is_told_and_answers_itself() -> None:
    plugin = demo()
    started = threading.Event()

    @plugin.command("wait")
    def wait(ctx: Any) -> Any:
        started.set()
        return [ctx.cancelled.wait(10), ctx.cancelled.reason]

    with serving(plugin) as host:
        msgid = host.ask_command("wait")
        assert started.wait(5)
        host.cancel(msgid)
        assert host.result(msgid)["result"] == [True, "the caller cancelled"]


def test_async_call_is_cancelled_at_its_next_wait(wait_until: WaitUntil) -> None:
    import asyncio

    plugin = demo()
    ended: list[str] = []

    @plugin.command("nap")
    async def nap(ctx: Any) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(ctx.cancelled.reason)

    with serving(plugin) as host:
        msgid = host.ask_command("nap")
        ctx = host.server.running
        wait_until(lambda: any(one.has_begun for one in list(ctx.values())))
        host.cancel(msgid)
        assert host.error(msgid)["name"] == "rpc.cancelled"
        assert ended == ["the caller cancelled"]


# End.


def test_shutdown_is_answered_when_the_running_calls_have_ended() -> None:
    plugin = demo()
    started = threading.Event()

    @plugin.command("wait")
    def wait(ctx: Any) -> str:
        started.set()
        ctx.cancelled.wait(10)
        return str(ctx.cancelled.reason)

    with serving(plugin) as host:
        call = host.ask_command("wait")
        assert started.wait(5)
        end = host.ask("shutdown", {"grace_ms": 5000})
        again = host.ask("shutdown", {"grace_ms": 5000})
        host.result(again)
        late = host.ask_command("echo")
        assert host.error(late)["name"] == "rpc.cancelled"
        finisher = threading.Thread(target=_finish, args=[host])
        finisher.start()
        assert host.result(call)["result"] == "the host is stopping this plugin"
        assert host.result(end) == {"running": 0}
        finisher.join(5)


def test_shutdown_waits_no_longer_than_the_grace() -> None:
    plugin = demo()
    with serving(plugin) as host:
        _, gate = begun(host, plugin)
        end = host.ask("shutdown", {"grace_ms": 50})
        finisher = threading.Thread(target=_finish, args=[host])
        finisher.start()
        assert host.result(end) == {"running": 1}
        finisher.join(5)
        gate.set()


def _finish(host: Served) -> None:

    host.server.ending.wait()
    _end(host.server)


def test_broken_protocol_is_told_to_the_host_and_ends_the_plugin() -> None:
    with serving(demo()) as host:
        host.send(b"\xc1")
        failure = host.expect(PeerFailed)
        assert failure.error["name"] == "rpc.protocol"
        host.server.ending.wait()
        assert "the host broke the protocol" in host.server.ending.reason


def test_end_of_file_cancels_what_runs() -> None:
    plugin = demo()
    started = threading.Event()
    reasons: list[str] = []

    @plugin.command("wait")
    def wait(ctx: Any) -> None:
        started.set()
        ctx.cancelled.wait(10)
        reasons.append(ctx.cancelled.reason)

    with serving(plugin) as host:
        host.ask_command("wait")
        assert started.wait(5)
    assert reasons == ["the host is gone"]


def test_fault_of_the_runtime_itself_is_shown_and_ends_the_plugin(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(demo()) as host:

        def fail(msgid: int) -> None:
            raise AssertionError("a bug of ours")

        monkeypatch.setattr(host.server, "_cancel", fail)
        msgid = host.ask_command("echo")
        host.result(msgid)
        gate = threading.Event()
        host.server.plugin.commands.register_handler("wait", lambda ctx: gate.wait(10))
        waiting = host.ask_command("wait")
        host.cancel(waiting)
        host.server.ending.wait()
        gate.set()
        assert host.server.ending.reason == "the runtime failed"
    assert "a bug of ours" in capfd.readouterr().err


def test_events_of_a_host_that_says_nothing_more_are_its_answers(wait_until: WaitUntil) -> None:
    """A host that closed its sending side still hears the answers to what it asked before."""

    plugin = demo()
    plugin.commands.register_handler("late", lambda ctx: ctx.cancelled.wait(0.2))
    with serving(plugin) as host:
        msgid = host.ask_command("late")
        host.sock.shutdown(socket.SHUT_WR)
        assert isinstance(host.answer(msgid), (ResponseReceived, ErrorReceived))
