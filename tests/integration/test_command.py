"""Calling commands: what goes in, what comes out, and every way in which a call says no."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from plugin_host import (
    CallFailed,
    CallTimeout,
    PluginHost,
    PluginHostError,
    PluginNotFound,
    PluginNotReady,
)
from tests.run import Run
from tests.stage import stage, write_plugin

CODE = """
    import dataclasses
    import msgspec

    @plugin.command("echo", help="Give back what came.")
    def echo(ctx, value=None):
        return value

    @plugin.command("greet")
    def greet(ctx, name, greeting="hello"):
        "Greet somebody."
        return f"{greeting} {name}"

    @plugin.command("own")
    def own(ctx, status, message="", fields=None):
        raise sdk.CommandError(status, message, **(fields or {}))

    class OddError(Exception):
        pass

    @plugin.command("fail")
    def fail(ctx):
        def inner():
            raise OddError("it is Tuesday")
        inner()

    @plugin.command("leave")
    def leave(ctx):
        raise SystemExit(3)

    @plugin.command("uncarried")
    def uncarried(ctx, kind):
        return {"deep": [1, {"set": {1}, "object": object(), "big": 2**64, "lambda": echo}[kind]]}

    @plugin.command("untaken")
    def untaken(ctx, kind):
        if kind == "log":
            ctx.log.info("odd", field={(1, 2): 3})
            return None
        if kind == "own":
            raise sdk.CommandError(5, "odd", field={(1, 2): 3})
        if kind == "error":
            raise sdk.CallFailed("odd", data={(1, 2): 3})
        return {
            "key": lambda: {(1, 2): 3},
            "rows": lambda: [[n] for n in range(150_000)],
            "list": lambda: list(range(1_100_000)),
            "map": lambda: {n: n for n in range(150_000)},
        }[kind]()

    @plugin.command("cycle")
    def cycle(ctx):
        ring = []
        ring.append(ring)
        return ring

    @dataclasses.dataclass
    class Point:
        x: int
        y: int

    class Named(msgspec.Struct):
        name: str

    @plugin.command("typed")
    def typed(ctx):
        return [Point(1, 2), Named("a")]

    @plugin.command("large")
    def large(ctx, size):
        return b"x" * size

    @plugin.command("steps")
    def steps(ctx, count):
        for number in range(count):
            ctx.progress(number, count, f"step {number}")
        return "done"

    @plugin.command("anything")
    def anything(ctx, **others):
        return others

    @plugin.command("facts")
    def facts(ctx):
        return {"name": ctx.name, "chain": list(ctx.chain), "deadline": ctx.deadline is not None}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugin(tmp_path_factory.mktemp("plugins"), "demo", CODE)


@pytest.fixture
def demo(folder: Path) -> PluginHost:
    return stage("demo", dirs=[folder])


async def failure(host: PluginHost, command: str, params: Any = None, **options: Any) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await host.call("demo", command, params, **options)
    return caught.value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**63),
        2**64 - 1,
        1.5,
        math.inf,
        "",
        "ünïcode \0 \U0001f600",
        b"\0\xff",
        [],
        {},
        [1, [2, [3, {"a": [None]}]]],
        {"a": {"b": b"c"}, 1: 2, b"bytes": "key"},
        "x" * 1_000_000,
        b"y" * 3_000_000,
        list(range(50_000)),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_values_of_every_kind_come_back_as_they_went(run: Run, demo: PluginHost, value: Any) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("demo", "echo", {"value": value}) == value

    run(body())


def test_parameters_left_out_have_the_handlers_defaults(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("demo", "greet", {"name": "Ada"}) == "hello Ada"
            assert await host.call("demo", "greet", {"name": "Ada", "greeting": "hi"}) == "hi Ada"
            assert await host.call("demo", "echo") is None
            assert await host.call("demo", "anything", {"a": 1, "b": 2}) == {"a": 1, "b": 2}

    run(body())


def test_handlers_own_status_is_the_code_of_the_error(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            params = {"status": 42, "message": "no such disk", "fields": {"disk": "sdz"}}
            error = await failure(host, "own", params)
            assert (error.code, error.data, error.retryable) == (42, {"disk": "sdz"}, False)
            assert "demo own: no such disk" in str(error)
            bare = await failure(host, "own", {"status": 1})
            assert bare.code == 1
            assert "status 1" in str(bare)

    run(body())


@pytest.mark.parametrize("status", [0, 100, 105, -1])
def test_status_that_is_not_a_handlers_fails_in_the_handler(
    run: Run, demo: PluginHost, status: int
) -> None:
    async def body() -> None:
        async with demo as host:
            error = await failure(host, "own", {"status": status})
            assert error.name == "command.handler_failed"
            assert "a handler's status is 1 to 99" in str(error)

    run(body())


def test_handler_that_raises_is_told_with_type_message_and_traceback(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            error = await failure(host, "fail")
            assert (error.name, error.code) == ("command.handler_failed", 105)
            assert "demo fail raised OddError: it is Tuesday" in str(error)
            assert error.data["type"] == "OddError"
            assert error.data["message"] == "it is Tuesday"
            traceback = error.data["traceback"]
            assert "in fail\n" in traceback
            assert "in inner\n" in traceback
            assert "demo_plugin.py" in traceback
            assert "plugin_host_sdk" not in traceback  # where the author looks, not where we do

    run(body())


def test_handler_that_exits_fails_and_the_plugin_lives(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            pid = host.plugins["demo"].pid
            error = await failure(host, "leave")
            assert "SystemExit" in str(error)
            assert await host.call("demo", "echo", {"value": 1}) == 1
            assert host.plugins["demo"].pid == pid

    run(body())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("set", "result.deep[1]: msgpack cannot carry a builtins.set"),
        ("object", "result.deep[1]: msgpack cannot carry a builtins.object"),
        ("lambda", "result.deep[1]: msgpack cannot carry a builtins.function"),
        ("big", "result.deep[1]: an integer of 65 bits does not fit into 64"),
    ],
)
def test_result_that_cannot_travel_is_named_with_its_place(
    run: Run, demo: PluginHost, kind: str, words: str
) -> None:
    async def body() -> None:
        async with demo as host:
            error = await failure(host, "uncarried", {"kind": kind})
            assert (error.name, error.code) == ("command.not_encodable", 106)
            assert words in str(error)

    run(body())


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("key", "command.not_encodable"),
        ("rows", "rpc.too_large"),
        ("list", "rpc.too_large"),
        ("map", "rpc.too_large"),
        ("own", "command.not_encodable"),
        ("error", "command.handler_failed"),
    ],
)
def test_result_that_the_host_would_not_take_fails_that_call_alone(
    run: Run, demo: PluginHost, kind: str, name: str
) -> None:
    async def body() -> None:
        async with demo as host:
            pid = host.plugins["demo"].pid
            assert (await failure(host, "untaken", {"kind": kind})).name == name
            assert await host.call("demo", "untaken", {"kind": "log"}) is None
            assert host.plugins["demo"].pid == pid

    run(body())


def test_result_that_contains_itself_fails_and_the_plugin_lives(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            error = await failure(host, "cycle")
            assert error.name == "command.not_encodable"
            assert await host.call("demo", "echo", {"value": 1}) == 1

    run(body())


def test_typed_results_travel_as_maps(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("demo", "typed") == [{"x": 1, "y": 2}, {"name": "a"}]

    run(body())


def test_result_over_the_limit_fails_that_call_alone(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            beside = asyncio.ensure_future(host.call("demo", "large", {"size": 1000}))
            error = await failure(host, "large", {"size": 17 << 20})
            assert error.name == "rpc.too_large"
            assert "16777216" in str(error)
            assert len(await beside) == 1000
            assert len(await host.call("demo", "large", {"size": 15 << 20})) == 15 << 20

    run(body())


def test_parameters_over_the_limit_fail_that_call_alone(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            error = await failure(host, "echo", {"value": b"x" * (17 << 20)})
            assert error.name == "rpc.too_large"
            assert "demo echo" in str(error)
            assert await host.call("demo", "echo", {"value": 1}) == 1

    run(body())


def test_parameters_that_cannot_travel_fail_that_call_alone(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            error = await failure(host, "echo", {"value": {"a": [object()]}})
            assert error.name == "rpc.not_encodable"
            assert "value.a[0]" in str(error)
            assert "builtins.object" in str(error)
            assert await host.call("demo", "echo", {"value": 1}) == 1

    run(body())


def test_parameters_that_the_plugin_would_not_take_fail_that_call_alone(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            pid = host.plugins["demo"].pid
            for value, name in (
                ([{(1, 2): 3}], "rpc.not_encodable"),
                ([[n] for n in range(150_000)], "rpc.too_large"),
            ):
                assert (await failure(host, "echo", {"value": value})).name == name
            assert await host.call("demo", "echo", {"value": 1}) == 1
            assert host.plugins["demo"].pid == pid

    run(body())


def test_unknown_plugin_is_an_error_that_names_near_ones(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            with pytest.raises(PluginNotFound) as caught:
                await host.call("dmo", "echo")
            assert "no plugin `dmo` (did you mean `demo`?)" in str(caught.value)
            assert (caught.value.plugin, caught.value.near) == ("dmo", ("demo",))
            for act in (host.start, host.stop, host.restart):
                with pytest.raises(PluginNotFound):
                    await act("dmo")

    run(body())


def test_unknown_command_is_an_error_that_names_near_ones(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            error = await failure(host, "gret")
            assert (error.name, error.code) == ("command.not_found", 101)
            assert "no command 'gret'; did you mean 'greet'?" in str(error)
            assert "greet" in error.data["commands"]
            far = await failure(host, "zzzzzzzz")
            assert "commands: anything, cycle, echo" in str(far)

    run(body())


def test_wrong_parameters_are_named_with_their_path(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            unknown = await failure(host, "greet", {"name": "Ada", "greting": "hi"})
            assert (unknown.name, unknown.code) == ("command.bad_request", 102)
            assert "unknown parameter 'greting'; did you mean 'greeting'?" in str(unknown)
            assert unknown.data == {"path": "$.greting"}
            missing = await failure(host, "greet")
            assert "parameter 'name' is missing" in str(missing)
            assert missing.data == {"path": "$.name"}
            for params in ([1, 2], "text", 7):
                error = await failure(host, "greet", params)
                assert error.name == "command.bad_request"
                assert "parameters are a map" in str(error)
            assert "ctx" in str(await failure(host, "anything", {"ctx": 1}))

    run(body())


def test_plugin_that_is_stopped_is_not_ready(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            await host.stop("demo")
            with pytest.raises(PluginNotReady) as caught:
                await host.call("demo", "echo")
            assert (caught.value.plugin, caught.value.state) == ("demo", "stopped")
            await host.stop("demo")  # again changes nothing

    run(body())


def test_progress_reaches_the_caller_in_order_and_before_the_result(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        seen: list[tuple[float, float | None, str]] = []
        async with demo as host:
            result = await host.call(
                "demo", "steps", {"count": 5}, on_progress=lambda *one: seen.append(one)
            )
            assert result == "done"
            assert seen == [(n, 5, f"step {n}") for n in range(5)]
            assert await host.call("demo", "steps", {"count": 5}) == "done"  # nobody listens

    run(body())


def test_listener_of_progress_that_raises_spoils_nothing(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        def listen(done: float, total: float | None, message: str) -> None:
            raise LookupError("a bug of the caller")

        loop = asyncio.get_running_loop()
        told: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: told.append(context))
        async with demo as host:
            assert await host.call("demo", "steps", {"count": 3}, on_progress=listen) == "done"
        assert len(told) == 3
        assert isinstance(told[0]["exception"], LookupError)

    run(body())


def test_list_of_commands_tells_their_help_and_parameters(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            supervisor = host._supervisors["demo"]
            _, answer = supervisor.ensure_link().request("command.list", {})
            listed = {one["name"]: one for one in (await answer)["commands"]}
            assert listed["echo"]["help"] == "Give back what came."
            assert listed["greet"]["help"] == "Greet somebody."
            names = [(one["name"], one["required"]) for one in listed["greet"]["params"]]
            assert names == [("name", True), ("greeting", False)]

    run(body())


def test_unknown_method_is_answered(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            _, answer = host._supervisors["demo"].ensure_link().request("nobody.knows", {})
            with pytest.raises(CallFailed) as caught:
                await answer
            assert caught.value.name == "rpc.method_not_found"
            assert await host.call("demo", "echo", {"value": 1}) == 1

    run(body())


def test_calls_in_flight_end_in_any_order(run: Run) -> None:
    async def body() -> None:
        async with stage("steady") as host:
            slow = asyncio.ensure_future(host.call("steady", "sleep", {"seconds": 0.2}))
            values = await asyncio.gather(*(host.call("steady", "echo", {"value": n}) for n in range(100)))
            assert values == list(range(100))
            assert not slow.done()
            assert await slow is False

    run(body())


@pytest.mark.parametrize("timeout", [math.inf, 1e15])
def test_time_without_end_is_no_deadline(run: Run, demo: PluginHost, timeout: float) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("demo", "echo", {"value": 1}, timeout=timeout) == 1

    run(body())


@pytest.mark.parametrize("timeout", [math.nan, "5", b"5"])
def test_time_that_is_none_is_refused_before_anything_is_sent(
    run: Run, demo: PluginHost, timeout: Any
) -> None:
    async def body() -> None:
        async with demo as host:
            with pytest.raises(TypeError, match="timeout"):
                await host.call("demo", "echo", timeout=timeout)

    run(body())


def test_time_that_is_over_is_refused_before_anything_is_sent(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            for timeout in (0, -1, -math.inf):
                with pytest.raises(CallTimeout):
                    await host.call("demo", "echo", timeout=timeout)

    run(body())


def test_every_error_is_of_the_one_tree(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            for plugin, command in (("none", "x"), ("demo", "none"), ("demo", "fail")):
                with pytest.raises(PluginHostError):
                    await host.call(plugin, command)

    run(body())


def test_handler_knows_its_call(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("demo", "facts") == {"name": "facts", "chain": [], "deadline": False}
            assert (await host.call("demo", "facts", timeout=5))["deadline"] is True

    run(body())
