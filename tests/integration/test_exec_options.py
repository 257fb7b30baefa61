"""What a caller asks for: which handler, with which command, folder, variables and numbers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from plugin_host import CallFailed, HandlerNotFound, PluginHost, Session, TerminalError
from tests.run import Run
from tests.session import read, runner, sh
from tests.stage import stage, write_plugin

pytestmark = pytest.mark.edges

# Finding a handler.


async def _key_of(host: PluginHost, resource: str | None) -> str:
    session: Session = await host.exec("many", ["true"], resource=resource, tty=False)
    await session.close()
    return session.info.handler


def test_handler_is_found_by_key_resource_or_being_the_only_one(run: Run, tmp_path: Path) -> None:
    code = """
        sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
            sdk.exec.Handler("local", default_command=["sh"]),
            sdk.exec.Handler("pod", plugin="kubernetes"),
            sdk.exec.Handler("pod", plugin="podman"),
            sdk.exec.Handler("a/b"),
        ]))
    """
    write_plugin(tmp_path, "many", code)
    keys = ["kubernetes/pod", "many/a/b", "many/local", "podman/pod"]

    async def body() -> None:
        async with stage("many", dirs=[tmp_path]) as host:
            for wanted, key in (("local", "many/local"), ("a/b", "many/a/b"), ("podman/pod", "podman/pod")):
                assert await _key_of(host, wanted) == key
            for unknown in (None, "pod", "nothing", "", "many/pod", "local/"):
                with pytest.raises(HandlerNotFound) as caught:
                    await host.exec("many", ["true"], resource=unknown, tty=False)
                assert caught.value.data["handlers"] == keys
                for key in keys:
                    assert key in str(caught.value)
            assert [handler.key for handler in await host.exec_handlers("many")] == keys
            assert [one["key"] for one in host.plugins["many"].capabilities["exec"]["handlers"]] == keys

    run(body())


def test_handlers_are_described(run: Run, tmp_path: Path) -> None:
    code = """
        builder = sdk.exec.ActionTargetBuilder("Pods", "app=web", ["$.name"], {"kind": "Pod"})
        sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[
            sdk.exec.Handler("only", default_command=["sh", "-l"], target_builder=builder,
                             tty_handler=lambda ctx, opts, tty, resize: None, handles_resize=True),
        ]))
    """
    write_plugin(tmp_path, "one", code)

    async def body() -> None:
        async with stage("one", dirs=[tmp_path]) as host:
            (handler,) = await host.exec_handlers("one")
            assert (handler.key, handler.plugin, handler.resource) == ("one/only", "one", "only")
            assert handler.default_command == ("sh", "-l")
            assert handler.target_builder == {
                "label": "Pods",
                "label_selector": "app=web",
                "paths": ["$.name"],
                "selectors": {"kind": "Pod"},
            }
            assert (handler.tty, handler.pipes, handler.handles_resize) == (True, False, True)

    run(body())


def test_handler_that_does_not_serve_what_was_asked_says_how(run: Run, tmp_path: Path) -> None:
    code = """
        @plugin.exec("terminal")
        def terminal(ctx, opts, tty, resize):
            pass

        @plugin.exec("files", tty=False)
        def files(ctx, opts):
            return open("/proc/self/stat", "rb"), None

        @plugin.exec("undeclared")
        def undeclared(ctx, opts):
            return files(ctx, opts)

        sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts([sdk.exec.Handler("piped", tty=False)]))
    """

    async def body() -> None:
        async with runner(tmp_path, code) as host:
            assert {one.resource: (one.tty, one.pipes) for one in await host.exec_handlers("desk")} == {
                "files": (False, True),
                "local": (True, True),
                "piped": (False, True),
                "terminal": (True, False),
                "undeclared": (True, True),
            }
            with pytest.raises(HandlerNotFound, match="terminals only: ask with tty=True") as caught:
                await host.exec("desk", resource="terminal", tty=False)
            keys = [f"desk/{name}" for name in ("files", "local", "piped", "terminal", "undeclared")]
            assert caught.value.data["handlers"] == keys
            for resource, command in (("files", None), ("piped", ["true"])):
                with pytest.raises(HandlerNotFound, match="pipes only: ask with tty=False") as caught:
                    await host.exec("desk", command, resource=resource, tty=True)
                assert caught.value.data["handlers"] == keys
                session = await host.exec("desk", command, resource=resource, tty=False)
                assert (await session.wait()).code == 0
                await session.close()
            with pytest.raises(TerminalError, match="tty=False"):
                await host.exec("desk", resource="undeclared", tty=True)
            assert await host.sessions() == []

    run(body())


# What runs.


def test_handler_without_a_command_asks_for_one(run: Run, tmp_path: Path) -> None:
    code = "sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[sdk.exec.Handler('bare')]))\n"

    async def body() -> None:
        async with runner(tmp_path, code) as host:
            with pytest.raises(TerminalError, match="no default command"):
                await host.exec("desk", resource="bare")
            session = await host.exec("desk", ["echo", "hi"], resource="bare", tty=False)
            assert (await read(session)).stdout == b"hi\n"

    run(body())


def test_what_no_program_can_be_given_is_refused(run: Run, tmp_path: Path) -> None:
    cases: list[dict[str, Any]] = [
        {"command": ["a\0b"]},
        {"command": [""]},
        {"command": ["true", "a\0b"]},
        {"env": {"A=B": "1"}},
        {"env": {"": "1"}},
        {"env": {"A": "secret\0"}},
        {"cwd": "a\0b"},
    ]

    async def body() -> None:
        async with runner(tmp_path) as host:
            for options in cases:
                for tty in (False, True):
                    with pytest.raises(TerminalError) as caught:
                        await host.exec("desk", **{"command": ["true"], "tty": tty, **options})
                    assert "secret" not in str(caught.value)
            assert await host.sessions() == []
            session = await host.exec("desk", ["true"], tty=False)
            assert (await session.wait()).code == 0

    run(body())


def test_options_of_the_wrong_kind_are_refused_before_anything_happens(run: Run, tmp_path: Path) -> None:
    cases: list[dict[str, Any]] = [
        {"command": [1]},
        {"env": {"A": 1}},
        {"env": {1: "A"}},
        {"labels": {"A": None}},
        {"replay_bytes": -1},
        {"replay_bytes": 2**40},
        {"replay_bytes": "many"},
        {"tty": "yes"},
        {"detached": 1},
        {"params": {"a": object()}},
        {"params": {"a": 2**70}},
        {"resource_data": {"a": "x" * (20 << 20)}},
    ]

    async def body() -> None:
        async with runner(tmp_path) as host:
            for options in cases:
                with pytest.raises(CallFailed):
                    await host.exec("desk", **{"command": ["true"], **options})
            assert await host.sessions() == []
            assert await host.call("desk", "echo", {"value": 1}) == 1

    run(body())


def test_text_alone_is_no_command(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            with pytest.raises(TypeError, match="list of words"):
                await host.exec("desk", "ls -l")

    run(body())


def test_programs_have_the_plugins_environment_and_a_terminal_type(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("echo $TERM"))
            term = (await read(session)).stdout.strip()
            assert term not in (b"", b"dumb")
            session = await host.exec("desk", sh("echo $TERM"), env={"TERM": "vt100"})
            assert (await read(session)).stdout.strip() == b"vt100"
            session = await host.exec("desk", sh("echo $HOME; env | grep -c COOKIE"), tty=False)
            assert (await read(session)).stdout.split() == [os.environ["HOME"].encode(), b"0"]

    run(body())
