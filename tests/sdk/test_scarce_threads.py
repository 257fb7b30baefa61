"""A plugin that gets no more threads: the call that needs one fails, and the plugin serves the others."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from plugin_host_sdk import Plugin
from plugin_host_sdk.errors import PluginHostError
from plugin_host_sdk.exec import Handler
from plugin_host_sdk.exec.clock import SystemClock
from plugin_host_sdk.exec.reactor import Reactor
from plugin_host_sdk.types.session import SessionOptions
from tests.run import Run
from tests.sdk.managed import Manage
from tests.served import serving

Refuse = Callable[[str | tuple[str, ...]], None]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """From now on threads whose names begin so cannot be started."""
    really = threading.Thread.start

    def refuse(names: str | tuple[str, ...]) -> None:
        def start(thread: threading.Thread) -> None:
            if thread.name.startswith(names):
                raise RuntimeError("can't start new thread")
            really(thread)

        monkeypatch.setattr(threading.Thread, "start", start)

    return refuse


def demo() -> Plugin:
    plugin = Plugin("demo", version="1.0.0")
    plugin.command("plain")(lambda ctx: 1)

    @plugin.command("later")
    async def later(ctx: Any) -> int:
        return 2

    return plugin


def test_coroutine_without_a_thread_for_its_loop_fails_alone(
    refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(demo()) as host:
        host.call("plain")
        before = len(os.listdir("/proc/self/fd"))
        refuse("asyncio")
        error = host.error(host.ask_command("later"))
        assert (error["name"], error["retryable"]) == ("rpc.busy", True)
        assert "can't start new thread" in error["message"]
        assert host.call("plain") == 1
        assert len(os.listdir("/proc/self/fd")) == before
        monkeypatch.undo()
        assert host.call("later") == 2


def test_call_without_a_worker_beside_the_reader_fails_alone(
    refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(demo()) as host:
        refuse(("worker", "watchdog"))
        error = host.error(host.ask_command("plain"))
        assert (error["name"], error["retryable"]) == ("rpc.busy", True)
        assert error["message"] == "plain: no thread can be had for it: can't start new thread"
        monkeypatch.undo()
        assert host.call("plain") == 1


def test_coroutine_without_a_descriptor_for_its_loop_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted() -> None:
        raise OSError(24, "Too many open files")

    with serving(demo()) as host:
        monkeypatch.setattr("asyncio.new_event_loop", exhausted)
        error = host.error(host.ask_command("later"))
        assert (error["name"], error["retryable"]) == ("rpc.busy", True)
        assert "Too many open files" in error["message"]
        monkeypatch.undo()
        assert host.call("later") == 2


def test_thread_of_sessions_that_could_not_be_started_is_tried_again(
    refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    reactor = Reactor(SystemClock(), lambda text: None)
    refuse("sessions")
    with pytest.raises(RuntimeError, match="can't start new thread"):
        reactor.start()
    monkeypatch.undo()
    called = threading.Event()
    reactor.call_soon(called.set)
    assert called.wait(5)
    reactor.close()


def test_reactor_that_was_never_started_can_be_closed(refuse: Refuse) -> None:
    reactor = Reactor(SystemClock(), lambda text: None)
    refuse("sessions")
    with pytest.raises(RuntimeError):
        reactor.start()
    reactor.close()


def test_session_without_the_thread_of_sessions_is_not_made(
    refuse: Refuse, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed = manage(Handler("local"))
    refuse("sessions")
    with pytest.raises(RuntimeError, match="can't start new thread"):
        managed.manager.create(SessionOptions(id="s", command=("true",), tty=False))
    assert managed.manager.list() == []
    monkeypatch.undo()
    managed.manager.create(SessionOptions(id="s", command=("true",), tty=False))


def test_session_of_a_coroutine_without_a_thread_to_spawn_in_is_not_made(
    run: Run, refuse: Refuse, manage: Manage
) -> None:
    managed = manage(Handler("local"))

    async def body() -> None:
        refuse("asyncio")
        with pytest.raises(PluginHostError, match="can't start new thread"):
            await managed.manager.create_async(SessionOptions(id="s", command=("true",), tty=False))

    run(body())
    assert managed.manager.list() == []
