"""Parameters with declared types: checked and converted before the handler runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plugin_host import CallFailed, PluginHost
from tests.run import Run
from tests.stage import link_of, stage, write_plugin

HEAD = """
    from __future__ import annotations
    from typing import TYPE_CHECKING, Annotated, Any, Literal
    import msgspec
    from msgspec import Meta, Struct
    if TYPE_CHECKING:
        from plugin_host_sdk import Context
        from nowhere import Nothing
"""
CODE = """
    ran = []

    class Limits(Struct):
        cpu: int
        memory: float = 1.0

    class Job(Struct):
        name: str
        limits: Limits
        tags: list[str] = []

    @plugin.command("repeat")
    def repeat(ctx: Context, text: str, times: Annotated[int, Meta(ge=1, le=10)] = 2) -> Nothing:
        ran.append("repeat")
        return text * times

    @plugin.command("submit")
    def submit(ctx: Context, job: Job) -> dict[str, Any]:
        return {"type": type(job).__name__, "job": job}

    @plugin.command("choose")
    async def choose(ctx: Context, how: Literal["fast", "slow"] = "fast", level: float | None = None):
        return [how, level]

    @plugin.command("mixed")
    def mixed(ctx, count: int, anything=None, **others):
        return [count, anything, others]

    @plugin.command("flags")
    def flags(ctx: Context, on: bool, numbers: list[int] = [], data: bytes = b""):
        return [on, numbers, data]

    @plugin.command("unusable")
    def unusable(ctx: Context, thing: Nothing):
        return 1

    @plugin.command("ran")
    def ran_(ctx):
        return ran
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugin(tmp_path_factory.mktemp("plugins"), "typed", CODE, head=HEAD)


@pytest.fixture
def typed(folder: Path) -> PluginHost:
    return stage("typed", dirs=[folder])


@pytest.mark.parametrize(
    ("command", "params", "result"),
    [
        ("repeat", {"text": "ab"}, "abab"),
        ("repeat", {"text": "ab", "times": 3}, "ababab"),
        (
            "submit",
            {"job": {"name": "a", "limits": {"cpu": 1}}},
            {"type": "Job", "job": {"name": "a", "limits": {"cpu": 1, "memory": 1.0}, "tags": []}},
        ),
        ("choose", {}, ["fast", None]),
        ("choose", {"how": "slow", "level": 2}, ["slow", 2.0]),
        ("mixed", {"count": 1, "anything": [1], "x": 2}, [1, [1], {"x": 2}]),
        ("flags", {"on": True, "numbers": [1, 2], "data": b"\0"}, [True, [1, 2], b"\0"]),
    ],
)
def test_right_parameters_arrive_as_their_types(
    run: Run, typed: PluginHost, command: str, params: dict[str, Any], result: Any
) -> None:
    async def body() -> None:
        async with typed as host:
            assert await host.call("typed", command, params) == result

    run(body())


@pytest.mark.parametrize(
    ("command", "params", "path", "words"),
    [
        ("repeat", {"text": 5}, "$.text", "`str`"),
        ("repeat", {"text": "a", "times": "3"}, "$.times", "`int`"),
        ("repeat", {"text": "a", "times": 11}, "$.times", "<= 10"),
        ("repeat", {"text": "a", "times": None}, "$.times", "`int`"),
        ("repeat", {}, "$.text", "missing"),
        ("repeat", {"text": "a", "tims": 3}, "$.tims", "did you mean 'times'"),
        ("submit", {"job": {"name": "a", "limits": {}}}, "$.job.limits", "cpu"),
        ("submit", {"job": {"name": "a", "limits": {"cpu": "1"}}}, "$.job.limits.cpu", "`int`"),
        (
            "submit",
            {"job": {"name": "a", "limits": {"cpu": 1}, "tags": ["x", 2]}},
            "$.job.tags[1]",
            "`str`",
        ),
        ("submit", {"job": 5}, "$.job", "object"),
        ("choose", {"how": "sideways"}, "$.how", "sideways"),
        ("flags", {"on": 1}, "$.on", "`bool`"),
        ("mixed", {"count": 1.5}, "$.count", "`int`"),
    ],
)
def test_wrong_parameter_is_named_with_its_path_and_the_handler_does_not_run(
    run: Run, typed: PluginHost, command: str, params: dict[str, Any], path: str, words: str
) -> None:
    async def body() -> None:
        async with typed as host:
            with pytest.raises(CallFailed) as caught:
                await host.call("typed", command, params)
            error = caught.value
            assert (error.name, error.code) == ("command.bad_request", 102)
            assert error.data == {"path": path}
            assert words in str(error)
            assert str(error).startswith(f"typed {command}: ")
            assert await host.call("typed", "ran") == []

    run(body())


def test_annotation_that_cannot_be_used_fails_its_command_alone(run: Run, typed: PluginHost) -> None:
    async def body() -> None:
        async with typed as host:
            for _ in range(2):
                with pytest.raises(CallFailed, match="Nothing") as caught:
                    await host.call("typed", "unusable", {"thing": 1})
                assert caught.value.name == "command.handler_failed"
            assert await host.call("typed", "repeat", {"text": "a"}) == "aa"

    run(body())


@pytest.mark.parametrize(
    ("command", "params", "result"),
    [
        ("repeat", {"text": "5", "times": "3"}, "555"),
        ("flags", {"on": "true"}, [True, [], b""]),
        ("choose", {"level": "2.5"}, ["fast", 2.5]),
        ("choose", {"level": "null"}, ["fast", None]),
    ],
)
def test_text_of_a_person_is_converted_to_the_declared_type(
    run: Run, typed: PluginHost, command: str, params: dict[str, Any], result: Any
) -> None:
    async def body() -> None:
        async with typed as host:
            assert await host.call_text("typed", command, params) == result

    run(body())


def test_text_that_cannot_be_converted_is_told(run: Run, typed: PluginHost) -> None:
    async def body() -> None:
        async with typed as host:
            with pytest.raises(CallFailed) as caught:
                await host.call_text("typed", "repeat", {"text": "a", "times": "many"})
            assert caught.value.data == {"path": "$.times"}

    run(body())


def test_list_shows_types_as_they_are_declared(run: Run, typed: PluginHost) -> None:
    async def body() -> None:
        async with typed as host:
            _, answer = link_of(host, "typed").request("command.list", {})
            listed = {one["name"]: one["params"] for one in (await answer)["commands"]}
            types = {one["name"]: one["type"] for one in listed["flags"]}
            assert types["on"] == "bool"
            assert types["numbers"] == "list[int]"
            assert [one["required"] for one in listed["flags"]] == [True, False, False]
            assert {one["name"]: one["type"] for one in listed["mixed"]} == {
                "count": "int",
                "anything": "any",
            }
            assert "Nothing" in listed["unusable"][0]["type"]

    run(body())
