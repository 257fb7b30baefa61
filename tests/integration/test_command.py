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
from tests.stage import link_of, stage, write_plugin


@pytest.fixture
def demo() -> PluginHost:
    return stage("obliging")


async def failure(host: PluginHost, command: str, params: Any = None, **options: Any) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await host.call("obliging", command, params, **options)
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
            assert await host.call("obliging", "echo", {"value": value}) == value

    run(body())


def test_parameters_left_out_have_the_handlers_defaults(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("obliging", "greet", {"name": "Ada"}) == "hello Ada"
            assert await host.call("obliging", "greet", {"name": "Ada", "greeting": "hi"}) == "hi Ada"
            assert await host.call("obliging", "echo") is None
            assert await host.call("obliging", "anything", {"a": 1, "b": 2}) == {"a": 1, "b": 2}

    run(body())


def test_handlers_own_status_is_the_code_of_the_error(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            params = {"status": 42, "message": "no such disk", "fields": {"disk": "sdz"}}
            error = await failure(host, "own", params)
            assert (error.code, error.data, error.retryable) == (42, {"disk": "sdz"}, False)
            assert "obliging own: no such disk" in str(error)
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
            assert "obliging fail raised OddError: it is Tuesday" in str(error)
            assert error.data["type"] == "OddError"
            assert error.data["message"] == "it is Tuesday"
            traceback = error.data["traceback"]
            assert "in fail\n" in traceback
            assert "in inner\n" in traceback
            assert "plugin.py" in traceback
            assert "plugin_host_sdk" not in traceback  # where the author looks, not where we do

    run(body())


def test_handler_that_exits_fails_and_the_plugin_lives(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            pid = host.plugins["obliging"].pid
            error = await failure(host, "leave")
            assert "SystemExit" in str(error)
            assert await host.call("obliging", "echo", {"value": 1}) == 1
            assert host.plugins["obliging"].pid == pid

    run(body())


def test_unknown_plugin_is_an_error_that_names_near_ones(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            with pytest.raises(PluginNotFound) as caught:
                await host.call("oblging", "echo")
            assert "no plugin `oblging` (did you mean `obliging`?)" in str(caught.value)
            assert (caught.value.plugin, caught.value.near) == ("oblging", ("obliging",))
            for act in (host.start, host.stop, host.restart):
                with pytest.raises(PluginNotFound):
                    await act("oblging")

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


EXEC = '@plugin.exec("cat")\ndef cat(ctx, opts):\n    return ["cat"]'


@pytest.mark.parametrize(
    ("code", "said"), [("", "offers no commands"), (EXEC, "offers no commands, only exec")]
)
def test_plugin_without_commands_is_told_from_one_with_others(
    run: Run, tmp_path: Path, code: str, said: str
) -> None:
    async def body() -> None:
        async with stage("bare", dirs=[write_plugin(tmp_path, "bare", code)]) as host:
            with pytest.raises(CallFailed, match="bare greet: the plugin " + said + "$") as caught:
                await host.call("bare", "greet")
            assert (caught.value.name, caught.value.code) == ("command.not_found", 101)
            assert caught.value.data == {"commands": []}

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
            await host.stop("obliging")
            with pytest.raises(PluginNotReady) as caught:
                await host.call("obliging", "echo")
            assert (caught.value.plugin, caught.value.state) == ("obliging", "stopped")
            await host.stop("obliging")  # again changes nothing

    run(body())


def test_progress_reaches_the_caller_in_order_and_before_the_result(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        seen: list[tuple[float, float | None, str]] = []
        async with demo as host:
            result = await host.call(
                "obliging", "steps", {"count": 5}, on_progress=lambda *one: seen.append(one)
            )
            assert result == "done"
            assert seen == [(n, 5, f"step {n}") for n in range(5)]
            assert await host.call("obliging", "steps", {"count": 5}) == "done"  # nobody listens

    run(body())


def test_listener_of_progress_that_raises_spoils_nothing(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        def listen(done: float, total: float | None, message: str) -> None:
            raise LookupError("a bug of the caller")

        loop = asyncio.get_running_loop()
        told: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: told.append(context))
        async with demo as host:
            assert await host.call("obliging", "steps", {"count": 3}, on_progress=listen) == "done"
        assert len(told) == 3
        assert isinstance(told[0]["exception"], LookupError)

    run(body())


def test_list_of_commands_tells_their_help_and_parameters(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            _, answer = link_of(host, "obliging").request("command.list", {})
            listed = {one["name"]: one for one in (await answer)["commands"]}
            assert listed["echo"]["help"] == "Give back what came."
            assert listed["greet"]["help"] == "Greet somebody."
            names = [(one["name"], one["required"]) for one in listed["greet"]["params"]]
            assert names == [("name", True), ("greeting", False)]

    run(body())


def test_unknown_method_is_answered(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            _, answer = link_of(host, "obliging").request("nobody.knows", {})
            with pytest.raises(CallFailed) as caught:
                await answer
            assert caught.value.name == "rpc.method_not_found"
            assert await host.call("obliging", "echo", {"value": 1}) == 1

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
            assert await host.call("obliging", "echo", {"value": 1}, timeout=timeout) == 1

    run(body())


@pytest.mark.parametrize("timeout", [math.nan, "5", b"5"])
def test_time_that_is_none_is_refused_before_anything_is_sent(
    run: Run, demo: PluginHost, timeout: Any
) -> None:
    async def body() -> None:
        async with demo as host:
            with pytest.raises(TypeError, match="timeout"):
                await host.call("obliging", "echo", timeout=timeout)

    run(body())


def test_time_that_is_over_is_refused_before_anything_is_sent(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            for timeout in (0, -1, -math.inf):
                with pytest.raises(CallTimeout):
                    await host.call("obliging", "echo", timeout=timeout)

    run(body())


def test_every_error_is_of_the_one_tree(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            for plugin, command in (("none", "x"), ("obliging", "none"), ("obliging", "fail")):
                with pytest.raises(PluginHostError):
                    await host.call(plugin, command)

    run(body())


def test_handler_knows_its_call(run: Run, demo: PluginHost) -> None:
    async def body() -> None:
        async with demo as host:
            assert await host.call("obliging", "facts") == {"name": "facts", "chain": [], "deadline": False}
            assert (await host.call("obliging", "facts", timeout=5))["deadline"] is True

    run(body())
