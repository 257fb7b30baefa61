"""New settings while a plugin runs: taken, refused, or a reason to restart, one change at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct

import plugin_host_sdk as sdk
from plugin_host_sdk import CommandError, Plugin, RegistrationError
from plugin_host_sdk.reconfiguration import RESTART, Reconfiguration
from tests.served import Served, serving
from tests.wait import WaitUntil

OLD, NEW = {"level": 1}, {"level": 2}


class Level(Struct, forbid_unknown_fields=True):
    level: int = 0


def demo(function: Callable[..., Any] | None = None) -> Plugin:
    plugin = Plugin("demo", version="1.0.0")

    @plugin.command("settings")
    def settings(ctx: Any) -> Any:
        return ctx.settings

    if function is not None:
        plugin.on_reconfigure(function)
    return plugin


def told(plugin: Plugin) -> Any:
    """Serve it with the old settings."""
    return serving(plugin, ready=False)


def start(host: Served) -> None:
    host.initialize("demo", settings=OLD)


def ask(host: Served, settings: Any = NEW, **meta: Any) -> int:
    return host.ask("reconfigure", {"settings": settings}, **meta)


def test_without_a_function_a_restart_is_asked_for() -> None:
    with told(demo()) as host:
        start(host)
        assert host.result(ask(host)) == {"restart": True}
        assert host.call("settings") == OLD


def test_settings_that_are_taken_are_in_force_from_then_on() -> None:
    seen: list[Any] = []

    def take(ctx: Any, settings: Any) -> None:
        seen.append((ctx.name, ctx.settings, settings))

    with told(demo(take)) as host:
        start(host)
        assert host.call("settings") == OLD
        assert host.result(ask(host)) == {}
        assert host.call("settings") == NEW
        assert host.result(ask(host, {})) == {}
        assert host.call("settings") == {}
    assert seen == [("reconfigure", OLD, NEW), ("reconfigure", NEW, {})]


def test_function_may_ask_for_a_restart() -> None:
    with told(demo(lambda ctx, settings: sdk.RESTART)) as host:
        start(host)
        assert host.result(ask(host)) == {"restart": True}
        assert host.call("settings") == OLD
    assert sdk.RESTART is RESTART
    assert repr(RESTART) == "RESTART"


def raises(error: BaseException) -> Callable[..., None]:
    def take(ctx: Any, settings: Any) -> None:
        raise error

    return take


def raises_later(error: BaseException) -> Callable[..., Any]:
    async def take(ctx: Any, settings: Any) -> None:
        await asyncio.sleep(0)
        raise error

    return take


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize("make", [raises, raises_later])
@pytest.mark.parametrize(
    ("error", "message", "data"),
    [
        (CommandError(7, "not now", until=5), "not now", {"status": 7, "until": 5}),
        (CommandError(7), "refused", {"status": 7}),
        (LookupError("no level"), "raised LookupError: no level", {"type": "LookupError"}),
        (SystemExit(3), "raised SystemExit: 3", {"type": "SystemExit"}),
        (sdk.CallFailed("no", name="host.x"), "raised CallFailed: no", {"type": "CallFailed"}),
        (Mute(), "raised Mute: (its text cannot be had: ValueError)", {}),
    ],
)
def test_settings_are_refused_by_raising(
    make: Callable[..., Any], error: BaseException, message: str, data: dict[str, Any]
) -> None:
    with told(demo(make(error))) as host:
        start(host)
        refused = host.error(ask(host))
        assert (refused["name"], refused["code"]) == ("reconfigure.refused", 1)
        assert refused["message"].endswith(message)
        assert data.items() <= refused["data"].items()
        assert host.call("settings") == OLD


def test_other_results_are_refused() -> None:
    with told(demo(lambda ctx, settings: True)) as host:
        start(host)
        assert "returns nothing or RESTART, not True" in host.error(ask(host))["message"]
        assert host.call("settings") == OLD


@pytest.mark.parametrize("settings", [None, [1], "x"])
def test_settings_that_are_no_map_are_refused_unseen(settings: Any) -> None:
    with told(demo(raises(AssertionError("was called")))) as host:
        start(host)
        assert host.error(ask(host, settings))["name"] == "rpc.invalid_params"
        assert host.error(host.ask("reconfigure", {}))["name"] == "rpc.invalid_params"


def test_typed_settings_are_checked_and_converted() -> None:
    seen: list[Any] = []

    def take(ctx: Any, new: Level, *, unused: int = 0) -> None:
        seen.append(new)

    with told(demo(take)) as host:
        start(host)
        assert host.result(ask(host)) == {}
        refused = host.error(ask(host, {"level": "x"}))
        assert refused["name"] == "reconfigure.refused"
        assert "new.level: Expected `int`, got `str`" in refused["message"]
        assert refused["data"] == {"path": "$.level"}
        assert host.error(ask(host, {"depth": 1}))["name"] == "reconfigure.refused"
        assert host.call("settings") == NEW  # as they came
    assert seen == [Level(2)]


def test_annotation_of_no_use_refuses() -> None:
    def take(ctx: Any, settings: nowhere.Type) -> None:  # type: ignore[name-defined]  # noqa: F821
        pass

    with told(demo(take)) as host:
        start(host)
        assert "annotations cannot be used" in host.error(ask(host))["message"]


def test_async_function_runs_on_the_loop_of_the_handlers() -> None:
    loops: list[Any] = []
    plugin = demo()

    @plugin.on_reconfigure
    async def take(ctx: Any, settings: Any) -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())

    @plugin.command("loop")
    async def loop(ctx: Any) -> None:
        loops.append(asyncio.get_running_loop())

    with told(plugin) as host:
        start(host)
        assert host.result(ask(host)) == {}
        host.call("loop")
        assert host.call("settings") == NEW
    assert len(set(loops)) == 1


def test_running_calls_keep_the_settings_they_started_with() -> None:
    gate, inside = threading.Event(), threading.Event()
    plugin = demo(lambda ctx, settings: None)

    @plugin.command("wait")
    def wait(ctx: Any) -> Any:
        inside.set()
        assert gate.wait(5)
        return ctx.settings

    with told(plugin) as host:
        start(host)
        running = host.ask_command("wait")
        assert inside.wait(5)
        assert host.result(ask(host)) == {}
        gate.set()
        assert host.result(running)["result"] == OLD
        assert host.call("settings") == NEW


def test_changes_come_one_after_the_other_and_a_ping_between_them() -> None:
    gate, inside = threading.Event(), threading.Semaphore(0)
    most = 0
    now: list[int] = []

    def take(ctx: Any, settings: Any) -> None:
        nonlocal most
        now.append(settings["n"])
        most = max(most, len(now))
        inside.release()
        assert gate.wait(5)
        now.remove(settings["n"])

    with told(demo(take)) as host:
        start(host)
        asked = [ask(host, {"n": n}) for n in range(4)]
        assert inside.acquire(timeout=5)
        assert host.hears_nothing()
        assert host.call("settings") == OLD
        gate.set()
        assert [host.result(msgid) for msgid in asked] == [{}] * 4
    assert most == 1


def test_function_never_runs_on_the_thread_that_reads(wait_until: WaitUntil) -> None:
    """Also when it has been quick a thousand times; quick handlers do run there."""
    threads: set[int] = set()
    leaders: set[int] = set()

    def take(ctx: Any, settings: Any) -> None:
        leader = host.server.crew.leader
        threads.add(threading.get_ident())
        leaders.add(leader.thread if leader is not None else 0)
        assert threading.get_ident() not in leaders

    with told(demo(take)) as host:
        start(host)
        for _ in range(200):
            assert host.result(ask(host)) == {}
    assert threads


def test_change_that_waits_longer_than_its_deadline_is_refused() -> None:
    gate, inside = threading.Event(), threading.Event()

    def take(ctx: Any, settings: Any) -> None:
        inside.set()
        assert gate.wait(5)

    with told(demo(take)) as host:
        start(host)
        first = ask(host)
        assert inside.wait(5)
        late = host.error(ask(host, {"level": 3}, timeout_ms=50))
        assert late["name"] == "rpc.deadline_exceeded"
        gate.set()
        assert host.result(first) == {}
        assert host.call("settings") == NEW


def test_change_that_is_cancelled_is_answered_however_its_error_tells_of_itself() -> None:
    inside = threading.Event()

    def take(ctx: Any, settings: Any) -> None:
        if settings == NEW:
            inside.set()
            ctx.cancelled.wait(5)
            raise Mute

    with told(demo(take)) as host:
        start(host)
        msgid = ask(host)
        assert inside.wait(5)
        host.cancel(msgid)
        assert "its text cannot be had" in host.error(msgid)["message"]
        assert host.result(ask(host, {})) == {}


@pytest.mark.parametrize("way", ["cancel", "deadline"])
def test_async_change_that_nobody_waits_for_is_cancelled(way: str) -> None:
    inside = threading.Event()

    async def take(ctx: Any, settings: Any) -> None:
        inside.set()
        if settings == NEW:
            await asyncio.sleep(60)

    with told(demo(take)) as host:
        start(host)
        msgid = ask(host, **({"timeout_ms": 200} if way == "deadline" else {}))
        assert inside.wait(5)
        if way == "cancel":
            host.cancel(msgid)
        assert host.error(msgid)["name"] in ("rpc.cancelled", "rpc.deadline_exceeded")
        assert host.call("settings") == OLD
        assert host.result(ask(host, {})) == {}


def test_async_change_that_is_cancelled_before_its_first_step_is_given_up() -> None:
    plugin = demo()
    gate, inside = threading.Event(), threading.Event()

    @plugin.command("block")
    async def block(ctx: Any) -> None:
        inside.set()
        assert gate.wait(5)  # the loop, so that nothing else begins

    @plugin.on_reconfigure
    async def take(ctx: Any, settings: Any) -> None:
        raise AssertionError("was called")

    with told(plugin) as host:
        start(host)
        blocking = host.ask_command("block")
        assert inside.wait(5)
        msgid = ask(host, timeout_ms=100)
        while (ctx := host.server.running.get(msgid)) is None or not ctx.cancelled._listeners:
            assert host.hears_nothing()
        host.cancel(msgid)
        assert host.hears_nothing()
        gate.set()
        assert host.error(msgid)["name"] == "rpc.cancelled"
        host.result(blocking)


@pytest.mark.parametrize("way", ["cancel", "deadline"])
def test_plain_change_that_comes_too_late_takes_a_restart(way: str) -> None:
    """The host goes by the old settings, and the author's code perhaps by the new."""
    inside = threading.Event()

    def take(ctx: Any, settings: Any) -> None:
        inside.set()
        while not ctx.cancelled and ctx.remaining() != 0.0:
            ctx.cancelled.wait(0.01)

    with told(demo(take)) as host:
        start(host)
        msgid = ask(host, **({"timeout_ms": 50} if way == "deadline" else {}))
        assert inside.wait(5)
        if way == "cancel":
            host.cancel(msgid)
        assert host.result(msgid) == {"restart": True}
        assert host.call("settings") == OLD


def test_function_that_gives_up_when_cancelled_says_so() -> None:
    inside = threading.Event()

    def take(ctx: Any, settings: Any) -> None:
        inside.set()
        assert ctx.cancelled.wait(5)
        ctx.check()

    with told(demo(take)) as host:
        start(host)
        msgid = ask(host)
        assert inside.wait(5)
        host.cancel(msgid)
        assert host.error(msgid)["name"] == "rpc.cancelled"
        assert host.call("settings") == OLD


@pytest.mark.parametrize(
    "function",
    [None, lambda: None, lambda ctx: None, lambda ctx, a, b: None, lambda ctx, *, a, b: None, 7],
)
def test_function_that_cannot_be_called_so_is_refused_at_import(function: Any) -> None:
    with pytest.raises(RegistrationError):
        Reconfiguration(function)


def test_second_function_is_refused() -> None:
    plugin = demo(lambda ctx, settings: None)
    with pytest.raises(RegistrationError, match="already"):
        plugin.on_reconfigure(lambda ctx, settings: None)


def test_decorator_gives_the_function_back() -> None:
    def take(ctx: Any, settings: Any) -> None:
        pass

    assert Plugin("demo", version="1").on_reconfigure(take) is take
