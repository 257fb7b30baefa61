"""Calls that come alone, one after the other, to a command that has proved quick."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import pytest

from plugin_host_sdk import CommandError, Plugin
from plugin_host_sdk.endpoint import FIRST_PROOF
from plugin_host_sdk.protocol import FRAME_BYTES
from tests.served import Served, serving
from tests.wait import WaitUntil


def demo() -> tuple[Plugin, list[Any]]:
    """It, and what its contexts and threads were."""
    plugin, seen = Plugin("demo", version="1.0.0"), []

    @plugin.command("echo")
    def echo(ctx: Any, value: Any = None) -> Any:
        seen.append((weakref.ref(ctx), threading.get_ident()))
        if value == "fail":
            raise CommandError(3, "no")
        if value == "odd":
            return object()
        return value

    return plugin, seen


def proved(host: Served) -> None:
    """Called until the reading thread runs it."""
    crew = host.server.crew
    for _ in range(20 * FIRST_PROOF):
        call(host, 0)
        leader = crew.leader
        endpoint = host.server.plugin.capabilities["command"]._handlers["echo"].endpoint  # type: ignore[attr-defined]
        if endpoint.quick and leader is not None:
            return
    raise AssertionError("does not prove quick")


def call(host: Served, value: Any) -> Any:
    return host.result(host.ask_command("echo", {"value": value}))["result"]


def test_it_is_run_by_the_thread_that_reads() -> None:
    plugin, seen = demo()
    with serving(plugin) as host:
        proved(host)
        # Whenever the system takes the processor away, it has to prove itself anew.
        for number in range(500):
            assert call(host, number) == number
            leader = host.server.crew.leader
            if leader is not None and seen[-1][1] == leader.thread:
                return
        raise AssertionError("another thread runs every call")


def test_nothing_of_a_call_is_kept_while_the_next_one_is_awaited(wait_until: WaitUntil) -> None:
    plugin, seen = demo()
    with serving(plugin) as host:
        proved(host)
        call(host, "x")
        wait_until(lambda: seen[-1][0]() is None)
        assert not host.server.running


@pytest.mark.parametrize("size", [FRAME_BYTES - 100, FRAME_BYTES, 3 * FRAME_BYTES])
def test_answers_of_any_size_come_between_others(size: int) -> None:
    plugin, _ = demo()
    with serving(plugin) as host:
        proved(host)
        for _ in range(3):
            assert call(host, "small") == "small"
            assert call(host, b"x" * size) == b"x" * size
            assert host.hears_nothing()


def test_failures_come_between_others() -> None:
    plugin, _ = demo()
    with serving(plugin) as host:
        proved(host)
        for _ in range(3):
            assert host.result(host.ask_command("echo", {"value": "fail"}))["status"] == 3
            assert call(host, 1) == 1
            assert host.error(host.ask_command("echo", {"value": "odd"}))["name"] == "command.not_encodable"
            assert host.error(host.ask_command("echo", {"nope": 1}))["name"] == "command.bad_request"
            assert host.error(host.ask_command("nope"))["name"] == "command.not_found"
            assert host.error(host.ask("nope.nope"))["name"] == "rpc.method_not_found"
            assert call(host, 2) == 2
        assert not host.server.running


def test_call_for_which_nothing_can_be_loaded_is_refused_between_others() -> None:
    plugin, _ = demo()
    with serving(plugin) as host:
        proved(host)
        really = host.server.routes["command.list"]

        def scarce(params: dict[str, Any]) -> Any:
            raise ImportError("no descriptor is left")

        for _ in range(3):
            assert call(host, 1) == 1
            assert host.result(host.ask("command.list"))
            host.server.routes["command.list"] = scarce
            assert host.error(host.ask("command.list"))["name"] == "rpc.busy"
            host.server.routes["command.list"] = really
        assert not host.server.running


def test_calls_with_a_deadline_come_between_others() -> None:
    plugin, _ = demo()
    with serving(plugin) as host:
        proved(host)
        for number in range(5):
            msgid = host.ask("command.call", {"name": "echo", "params": {"value": number}}, timeout_ms=5000)
            assert host.result(msgid)["result"] == number
            assert call(host, "x") == "x"
