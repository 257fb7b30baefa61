"""Calls from a plugin to its host: the answer finds the one who waits, or the reason why there is none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from plugin_host_sdk import CallCancelled, CallError, CallFailed, CallTimeout, Plugin
from plugin_host_sdk.events import CancelReceived
from tests.served import Served, serving
from tests.wait import WaitUntil


def asking() -> Plugin:
    """A plugin with a plain and an async command, and one that asks from a thread of its own; all ask the
    host and tell how it went."""
    plugin = Plugin("demo", version="1.0.0")

    def told(error: CallError) -> list[Any]:
        return [type(error).__name__, error.name, error.message]

    @plugin.command("plain")
    def plain(ctx: Any, service: Any = "echo", params: Any = None) -> Any:
        try:
            return ctx.host.call(service, **(params or {}))
        except CallError as error:
            return told(error)

    @plugin.command("later")
    async def later(ctx: Any, service: Any = "echo", params: Any = None) -> Any:
        try:
            return await ctx.host.call(service, **(params or {}))
        except CallError as error:
            return told(error)

    @plugin.command("thread")
    async def thread(ctx: Any, service: Any = "echo", params: Any = None) -> Any:
        return await asyncio.to_thread(plain, ctx, service, params)

    return plugin


both = pytest.mark.parametrize("command", ["plain", "later"])
each = pytest.mark.parametrize("command", ["plain", "later", "thread"])


def answer(host: Served, result: Any) -> Any:
    """Answer the plugin's request; the request."""
    asked = host.request("host.echo")
    host.send(host.connection.send_response(asked.msgid, result))
    return asked


@each
def test_request_carries_parameters_chain_and_no_deadline_when_there_is_none(command: str) -> None:
    with serving(asking()) as host:
        msgid = host.ask_command(command, {"params": {"value": 5}})
        asked = answer(host, "answered")
        assert asked.params == {"value": 5}
        assert asked.meta == {"chain": ["demo"]}
        assert host.result(msgid)["result"] == "answered"


@each
def test_request_carries_the_rest_of_the_time_and_the_chain_so_far(command: str) -> None:
    with serving(asking()) as host:
        msgid = host.ask_command(command, timeout_ms=8000, chain=["first", "second"])
        asked = answer(host, None)
        assert asked.meta is not None
        assert 7000 < asked.meta["timeout_ms"] <= 8000
        assert asked.meta["chain"] == ["first", "second", "demo"]
        assert host.result(msgid)["result"] is None


@each
def test_error_of_the_host_is_raised(command: str) -> None:
    with serving(asking()) as host:
        msgid = host.ask_command(command)
        asked = host.request("host.echo")
        error = CallFailed("not today", name="host.permission_denied").to_map()
        host.send(host.connection.send_error(asked.msgid, error))
        assert host.result(msgid)["result"] == ["CallFailed", "host.permission_denied", "not today"]


@both
@pytest.mark.parametrize(
    ("value", "name"),
    [(object(), "rpc.not_encodable"), ("x" * (17 << 20), "rpc.too_large")],
    ids=["object", "huge"],
)
def test_parameter_that_cannot_travel_fails_the_call(command: str, value: Any, name: str) -> None:
    plugin = asking()
    call: Callable[..., Any] = plugin.commands._handlers[command].function

    @plugin.command("plain_with_it")
    def plain_with_it(ctx: Any) -> Any:
        return call(ctx, params={"value": value})

    @plugin.command("later_with_it")
    async def later_with_it(ctx: Any) -> Any:
        return await call(ctx, params={"value": value})

    with serving(plugin) as host:
        kind, found, message = host.call(f"{command}_with_it")
        assert (kind, found) == ("CallFailed", name)
        assert "host.echo" in message


@each
def test_deadline_ends_the_wait_and_the_host_is_told(command: str) -> None:
    with serving(asking()) as host:
        msgid = host.ask_command(command, timeout_ms=500)
        asked = host.request("host.echo")
        kind, name, message = host.result(msgid)["result"]
        assert (kind, name) == ("CallTimeout", "rpc.deadline_exceeded")
        assert "while it waited for host.echo" in message
        assert host.expect(CancelReceived).msgid == asked.msgid


def test_cancel_ends_the_wait_of_a_plain_handler_and_the_host_is_told() -> None:
    with serving(asking()) as host:
        msgid = host.ask_command("plain")
        asked = host.request("host.echo")
        host.cancel(msgid)
        assert host.result(msgid)["result"][:2] == ["CallCancelled", "rpc.cancelled"]
        assert host.expect(CancelReceived).msgid == asked.msgid


def test_cancel_ends_the_wait_of_an_async_handler_and_the_host_is_told() -> None:
    with serving(asking()) as host:
        msgid = host.ask_command("later")
        asked = host.request("host.echo")
        host.cancel(msgid)
        assert host.error(msgid)["name"] == "rpc.cancelled"
        assert host.expect(CancelReceived).msgid == asked.msgid


@each
def test_late_answer_of_the_host_is_dropped(command: str) -> None:
    with serving(asking()) as host:
        msgid = host.ask_command(command, timeout_ms=500)
        asked = host.request("host.echo")
        host.result(msgid)
        host.expect(CancelReceived)
        host.send(host.connection.send_response(asked.msgid, "late"))
        assert host.hears_nothing()
        assert host.server.wiring.connection.late_answers == 1


@both
def test_end_of_the_connection_fails_every_wait(command: str) -> None:
    plugin = Plugin("demo", version="1.0.0")
    told: list[str] = []

    @plugin.command("plain")
    def plain(ctx: Any) -> None:
        try:
            ctx.host.call("echo")
        except BaseException as error:
            told.append(str(error))

    @plugin.command("later")
    async def later(ctx: Any) -> None:
        try:
            await ctx.host.call("echo")
        except BaseException as error:  # or its cancellation, whichever comes first
            told.append(str(error) or "host.echo: the host is gone")

    with serving(plugin) as host:
        for _ in range(5):
            host.ask_command(command)
        for _ in range(5):
            host.request("host.echo")
    assert told == ["host.echo: the host is gone"] * 5


def test_call_after_the_end_fails_at_once(wait_until: WaitUntil) -> None:
    plugin = asking()
    kept: list[Any] = []
    plugin.commands.register_handler("keep", kept.append)
    with serving(plugin) as host:
        host.call("keep")
        wiring = host.server.wiring
    assert wiring.connection.state == "closed"
    with pytest.raises(CallFailed):
        kept[0].host.call("echo")


def test_waits_of_many_threads_each_get_their_own_answer() -> None:
    plugin = Plugin("demo", version="1.0.0")

    @plugin.command("spread")
    def spread(ctx: Any) -> list[int]:
        got: dict[int, int] = {}

        def ask(number: int) -> None:
            got[number] = ctx.host.call("echo", number=number)

        threads = [threading.Thread(target=ask, args=[number]) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [got[number] for number in range(20)]

    with serving(plugin) as host:
        msgid = host.ask_command("spread")
        asked = [host.request("host.echo") for _ in range(20)]
        for one in reversed(asked):
            host.send(host.connection.send_response(one.msgid, one.params["number"] * 10))
        assert host.result(msgid)["result"] == [number * 10 for number in range(20)]


def test_cancel_wakes_every_thread_that_waits_for_the_host() -> None:
    plugin = Plugin("demo", version="1.0.0")
    errors: list[CallError] = []

    @plugin.command("spread")
    def spread(ctx: Any) -> None:
        def ask() -> None:
            try:
                ctx.host.call("echo")
            except CallError as error:
                errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with serving(plugin) as host:
        msgid = host.ask_command("spread")
        for _ in range(10):
            host.request("host.echo")
        host.cancel(msgid)
        host.result(msgid)
        assert [type(error) for error in errors] == [CallCancelled] * 10


def test_call_whose_time_is_over_does_not_ask() -> None:
    plugin = Plugin("demo", version="1.0.0")

    @plugin.command("late")
    def late(ctx: Any) -> str:
        while ctx.remaining():
            pass
        try:
            ctx.host.call("echo")
        except CallTimeout as error:
            return error.name
        return "asked"

    with serving(plugin) as host:
        assert host.call("late", timeout_ms=250) == "rpc.deadline_exceeded"
        assert host.hears_nothing()
