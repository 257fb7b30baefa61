"""Actions over the real runtime and its wire, with the test as the host."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import plugin_host_sdk as sdk
from plugin_host_sdk import action
from plugin_host_sdk.events import Closed
from tests.served import serving


def plugin_of(**handlers: Any) -> sdk.Plugin:
    plugin = sdk.Plugin("demo", version="1.0.0")
    action.register_plugin(plugin, action.PluginOpts(**handlers))
    return plugin


def take(ctx: sdk.Context, request: action.UploadFile) -> action.UploadResult:
    return action.UploadResult(path=request.path, size=sum(map(len, ctx.action.data)), sha256="")


def refuse(ctx: sdk.Context, request: Any) -> None:
    raise action.ActionRefused("not today")


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"kind": "reboot"}, "action.not_supported"),
        ({"kind": "upload_file", "request": {"path": "relative"}}, "action.invalid"),
        ({"kind": "upload_file_and_exit", "request": {"path": "/f"}}, "action.refused"),
    ],
)
def test_what_still_comes_for_a_refused_action_is_dropped(asked: dict[str, Any], name: str) -> None:
    plugin = plugin_of(
        upload_file=take, upload_file_and_exit=action.Handler("upload_file_and_exit", take, check=refuse)
    )
    with serving(plugin) as host:
        streams = host.connection.streams
        numbers = [streams.reserve() for _ in range(3)]
        asked = {"action": "a", **dict(zip(("stdout", "stderr", "data"), numbers, strict=True)), **asked}
        error = host.error(host.ask("action.trigger", asked))
        assert error["name"] == name
        streams.open_send(numbers[2], 100)
        header, piece = streams.send_data(numbers[2], b"late")
        host.send(header + bytes(piece) + streams.send_end(numbers[2]) + streams.send_stop(numbers[0]))
        host.result(host.ask("ping", {}))


def test_the_kinds_are_told_with_initialize() -> None:
    with serving(plugin_of(upload_file=take)) as host:
        assert host.result(host.ask("action.kinds")) == {"kinds": ["upload_file"]}


def test_actions_that_wait_hide_neither_pings_nor_commands_nor_each_other() -> None:
    release = threading.Event()

    def wait(ctx: sdk.Context, request: Any) -> None:
        release.wait(10)

    plugin = plugin_of(exit=wait)

    @plugin.command("greet")
    def greet(ctx: sdk.Context) -> str:
        return "hello"

    with serving(plugin) as host:
        streams = host.connection.streams
        for number in range(plugin.workers + 8):
            numbers = {name: streams.reserve() for name in ("stdout", "stderr")}
            for stream in numbers.values():
                streams.open_receive(stream, 1000)
            asked = {"action": f"a{number}", "kind": "exit", "window": 1000, **numbers}
            assert host.result(host.ask("action.trigger", asked)) == {"data_window": None}
        assert host.call("greet") == "hello"
        host.result(host.ask("ping", {}))
        release.set()
        ended = {host.notification("action.finished")["action"] for _ in range(plugin.workers + 8)}
        assert len(ended) == plugin.workers + 8


def test_the_end_is_on_the_wire_before_the_plugin_leaves() -> None:
    def leave(ctx: sdk.Context, request: Any) -> None:
        ctx.action.stdout(b"bye")
        ctx.action.after_reply(ctx.action.end_plugin)

    with serving(plugin_of(exit=leave)) as host:
        streams = host.connection.streams
        numbers = {name: streams.reserve() for name in ("stdout", "stderr")}
        for stream in numbers.values():
            streams.open_receive(stream, 1000)
        host.ask("action.trigger", {"action": "a", "kind": "exit", "window": 1000, **numbers})
        ended = host.notification("action.finished")
        assert ended == {
            "action": "a",
            "result": {"message": ""},
            "error": None,
            "totals": {"stdout": 3, "stderr": 0},
        }
        host.server.ending.wait()
        assert host.server.ending.reason == "an action asked for it"
    assert not any(isinstance(event, Closed) for event in host.events)
