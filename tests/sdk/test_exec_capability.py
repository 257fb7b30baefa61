"""Exec as the runtime sees it: what it says of itself, what it answers, and what it loads, and when."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from plugin_host_sdk import Plugin
from plugin_host_sdk.errors import CallError, CallFailed, HandlerNotFound
from plugin_host_sdk.exec import ExecCapability, Handler, PluginOpts, register_plugin
from plugin_host_sdk.exec.solitude import Solitude
from plugin_host_sdk.testing import RecordingSink
from plugin_host_sdk.types.session import Provider
from tests.sdk.ends import handling
from tests.served import Served, serving


def files(ctx: Any, opts: Any) -> Any:
    return io.BytesIO(b"output"), None


async def files_async(ctx: Any, opts: Any) -> Any:
    return io.BytesIO(b"output"), None


def wait(ctx: Any, opts: Any, tty: Any, resize: Any) -> None:
    ctx.cancelled.wait(20)


def plugin_of(*handlers: Handler) -> Plugin:
    plugin = Plugin("demo", version="1.0.0")
    register_plugin(plugin, PluginOpts(list(handlers), replay_bytes=100))
    return plugin


def cursor(answer: Any) -> list[Any]:
    """Where the next part of a list begins."""
    last = answer["sessions"][-1]
    return [last["created_at"], last["id"]]


# What is loaded.


def modules_of(code: str) -> set[str]:
    """The modules that a bare interpreter has loaded after running it."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{code}\nimport sys; print(*sys.modules)"],
        env={"PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.split())


DECLARED = """
import plugin_host_sdk as sdk
plugin = sdk.Plugin("demo", version="1.0.0")
sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts([sdk.exec.Handler("local", default_command=["sh"])]))

@plugin.exec("other")
def other(ctx, opts, tty, resize): ...
"""


@pytest.mark.parametrize("code", ["import plugin_host_sdk.exec", DECLARED], ids=["imported", "declared"])
def test_what_an_author_declares_loads_nothing_heavy(code: str) -> None:
    loaded = modules_of(code)
    heavy = {"msgspec", "asyncio", "selectors", "subprocess", "ptyprocess", "signal", "typing", "heapq"}
    assert loaded & heavy - modules_of("") == set()
    ours = {name for name in loaded if name.startswith("plugin_host_sdk.exec.")}
    assert ours == {"plugin_host_sdk.exec.capability", "plugin_host_sdk.exec.handler"}


def test_manager_is_loaded_with_the_first_request() -> None:
    capability = ExecCapability("demo")
    capability.add([Handler("local", command_handler=files)])
    capability.open(Solitude(RecordingSink(), lambda level, message: None))
    desks = [capability._desk]
    assert ask(capability, "list")["sessions"] == []
    desks.append(capability._desk)
    capability.close(1.0)
    assert [desk is None for desk in desks] == [True, False]


# What it says.


def test_description_lists_the_handlers_in_a_stable_order() -> None:
    capability = ExecCapability("demo")
    capability.add([Handler("b"), Handler("a"), Handler("c", plugin="aaa")])
    assert [handler["key"] for handler in capability.describe()["handlers"]] == [
        "aaa/c",
        "demo/a",
        "demo/b",
    ]


def test_every_request_has_a_route() -> None:
    methods = [name for name in vars(Provider) if not name.startswith("_")]
    assert set(ExecCapability("demo").routes) == {f"exec.{method}" for method in methods}


def test_plugin_that_is_not_served_answers_so() -> None:
    with pytest.raises(CallFailed, match="the plugin is not served"):
        ask(ExecCapability("demo"), "list")


# Requests, without a wire.


def ask(capability: ExecCapability, method: str, **params: Any) -> Any:
    """The answer to a request, as the runtime asks for it."""
    endpoint, arguments = capability.routes[f"exec.{method}"](params)
    assert not endpoint.is_async
    ctx = Solitude(RecordingSink(), lambda level, message: None).context(endpoint.name)
    return endpoint.run(ctx, arguments)


@pytest.fixture
def capability() -> Iterator[ExecCapability]:
    capability = ExecCapability("demo")
    capability.add([Handler("files", command_handler=files)])
    capability.open(Solitude(RecordingSink(), lambda level, message: None))
    yield capability
    capability.close(5.0)


CREATE: dict[str, Any] = {"id": "s"}
ATTACH: dict[str, Any] = {"session": "s", "viewer": 1, "stdout": 2}


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("create", {}, "required field `id`"),
        ("create", {"id": ""}, r"`str` of length >= 1 - at `\$.id`"),
        ("create", {"id": "a b"}, r"`str` matching regex .* - at `\$.id`"),
        ("create", {"id": "a\n"}, r"`str` matching regex .* - at `\$.id`"),
        ("create", {"id": "x" * 129}, r"`str` of length <= 128 - at `\$.id`"),
        ("create", CREATE | {"rows": 0}, r"`int` >= 1 - at `\$.rows`"),
        ("create", CREATE | {"cols": 65536}, r"`int` <= 65535 - at `\$.cols`"),
        ("create", CREATE | {"command": "ls"}, r"Expected `array`, got `str` - at `\$.command`"),
        ("create", CREATE | {"command": ["ls", 1]}, r"got `int` - at `\$.command\[1\]`"),
        ("create", CREATE | {"env": {"A": 1}}, r"got `int` - at `\$.env\[...\]`"),
        ("create", CREATE | {"tty": 1}, r"Expected `bool`, got `int` - at `\$.tty`"),
        ("create", CREATE | {"replay_bytes": -1}, r"`int` >= 0 - at `\$.replay_bytes`"),
        ("create", CREATE | {"stdin": "2"}, r"at `\$.stdin`"),
        ("create", CREATE | {"stdin": 0}, r"at `\$.stdin`"),
        ("attach", {"session": "s"}, "required field `viewer`"),
        ("attach", ATTACH | {"window": 0}, r"`int` >= 1 - at `\$.window`"),
        ("attach", ATTACH | {"stdout": 0}, r"`int` >= 1 - at `\$.stdout`"),
        ("attach", ATTACH | {"offset": -2}, r"`int` >= -1 - at `\$.offset`"),
        ("attach", ATTACH | {"offset": {"stdout": -2}}, r"`int` >= -1 - at `\$.offset\[...\]`"),
        ("attach", ATTACH | {"offset": "end"}, r"at `\$.offset`"),
        ("get", {}, "required field `session`"),
        ("get", {"session": 5}, r"Expected `str`, got `int` - at `\$.session`"),
        ("detach", {"session": "s"}, "required field `viewer`"),
        ("resize", {"session": "s", "rows": 1}, "required field `cols`"),
        ("resize", {"session": "s", "rows": "1", "cols": 1}, r"at `\$.rows`"),
        ("signal", {"session": "s", "signal": 2}, r"Expected `str`, got `int` - at `\$.signal`"),
        ("close_stdin", {"session": "s"}, "required field `total`"),
        ("close", {"session": "s", "missing_ok": "yes"}, r"at `\$.missing_ok`"),
    ],
)
def test_parameters_that_cannot_be_are_refused_with_their_place(
    capability: ExecCapability, method: str, params: dict[str, Any], words: str
) -> None:
    with pytest.raises(CallFailed, match=words) as caught:
        ask(capability, method, **params)
    assert caught.value.name == "rpc.invalid_params"
    assert caught.value.message.startswith(f"exec.{method}: ")
    assert ask(capability, "list")["sessions"] == []


def test_unknown_parameters_are_ignored(capability: ExecCapability) -> None:
    created = ask(capability, "create", id="s", tty=False, shape="round")
    assert created["session"]["id"] == "s"
    assert ask(capability, "get", session="s", color="red")["id"] == "s"


@pytest.mark.parametrize("wanted", ["none", 5, None, ["files"]])
def test_unknown_handler_is_refused_before_anything_happens(wanted: Any) -> None:
    capability = ExecCapability("demo")
    capability.add([Handler("b"), Handler("a")])
    with pytest.raises(HandlerNotFound) as caught:
        ask(capability, "create", id="s", handler=wanted)
    assert caught.value.data == {"handlers": ["demo/a", "demo/b"]}


def test_answers_are_plain_maps(capability: ExecCapability) -> None:
    (handler,) = ask(capability, "handlers")["handlers"]
    assert (handler["key"], handler["pipes"], handler["target_builder"]) == ("demo/files", True, None)
    created = ask(capability, "create", id="s", tty=False, labels={"a": "b"}, stdin=2)
    assert created["stdin_window"] == 1024 * 1024
    assert created["session"]["labels"] == {"a": "b"}
    assert ask(capability, "detach", session="s", viewer=1) == {}
    assert ask(capability, "close", session="gone", missing_ok=True) == {}
    assert ask(capability, "close", session="gone", stdin=4) == {}
    assert ask(capability, "close", session="s", missing_ok=True, stdin=4) == {}
    assert ask(capability, "get", session="s")["id"] == "s", "it has another input"
    with pytest.raises(CallError) as caught:
        ask(capability, "close", session="gone")
    assert caught.value.name == "exec.session_not_found"


@pytest.mark.parametrize(
    ("handler", "tty", "is_async"),
    [
        (Handler("x", command_handler=files_async), False, True),
        (Handler("x", session_handler=files_async), True, True),
        (Handler("x", command_handler=files), False, False),
        (Handler("x", default_command=["sh"]), True, False),
        (Handler("x", tty_handler=wait, session_handler=files_async), True, False),
        (Handler("x", tty_handler=wait, session_handler=files_async), False, True),
    ],
)
def test_coroutine_functions_are_asked_on_the_loop(handler: Handler, tty: bool, is_async: bool) -> None:
    capability = ExecCapability("demo")
    capability.add([handler])
    endpoint, _ = capability.routes["exec.create"]({"id": "s", "tty": tty})
    assert endpoint.is_async is is_async


# Over a wire.


def exit_of(host: Served) -> dict[str, Any]:
    exited = host.notification("exec.exited")
    assert exited["session"] == "s"
    exit = exited["exit"]
    assert isinstance(exit, dict)
    return exit


@pytest.mark.parametrize("function", [files, files_async])
def test_session_is_opened_and_ends_over_a_wire(function: Callable[..., Any]) -> None:
    with serving(plugin_of(Handler("files", command_handler=function))) as host:
        created = host.result(host.ask("exec.create", {"id": "s", "tty": False, "stdin": 2}))
        assert created["session"]["handler"] == "demo/files"
        exited = host.notification("exec.exited")
        assert (exited["exit"]["code"], exited["totals"]) == (0, {"stdout": 6, "stderr": 0})
        assert host.result(host.ask("exec.get", {"session": "s"}))["state"] == "ended"
        assert host.result(host.ask("exec.close", {"session": "s"})) == {}


def test_initialize_tells_of_the_handlers() -> None:
    with serving(plugin_of(Handler("files", command_handler=files)), ready=False) as host:
        said = host.initialize("demo")["capabilities"]["exec"]
        assert [handler["key"] for handler in said["handlers"]] == ["demo/files"]


def test_everything_that_can_be_asked_of_a_session_is_answered() -> None:
    with serving(plugin_of(Handler("wait", tty_handler=wait))) as host:
        streams = host.connection.streams
        stdin, stdout = streams.reserve(), streams.reserve()
        streams.open_receive(stdout, 1024)
        created = host.result(host.ask("exec.create", {"id": "s", "stdin": stdin}))
        streams.open_send(stdin, created["stdin_window"])
        viewer = {"session": "s", "viewer": 1, "stdout": stdout, "offset": {"stdout": -1}}
        attached = host.result(host.ask("exec.attach", viewer))
        assert attached["stdout"] == {"base": 0, "start": 0, "end": 0, "evicted": 0}
        assert attached["stderr"] is None
        for method, params in [
            ("resize", {"rows": 50, "cols": 132}),
            ("close_stdin", {"total": 0}),
            ("detach", {"viewer": 1}),
        ]:
            assert host.result(host.ask(f"exec.{method}", params | {"session": "s"})) == {}
        assert host.error(host.ask("exec.signal", {"session": "s", "signal": "SIGINT"}))["code"] == 4
        (info,) = host.result(host.ask("exec.list"))["sessions"]
        assert (info["id"], info["rows"], info["cols"], info["viewers"]) == ("s", 50, 132, 0)
        assert host.result(host.ask("exec.close", {"session": "s"})) == {}
        assert "the host closed the session" in exit_of(host)["reason"]


def test_list_comes_in_parts_that_fit_into_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_host_sdk.exec.desk._PART_BYTES", 3000)
    with serving(plugin_of(Handler("files", command_handler=files))) as host:
        names = [f"s{number}" for number in range(5)]
        for name in names:
            params = {"id": name, "tty": False, "labels": {"large": "x" * 1000}}
            host.result(host.ask("exec.create", params))
        parts, after = [], None
        while True:
            answer = host.result(host.ask("exec.list", {"after": after}))
            parts.append([info["id"] for info in answer["sessions"]])
            after = cursor(answer)
            if not answer.get("more"):
                break
        assert parts == [["s0", "s1"], ["s2", "s3"], ["s4"]]


def test_session_that_is_larger_than_a_part_is_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_host_sdk.exec.desk._PART_BYTES", 1)
    with serving(plugin_of(Handler("files", command_handler=files))) as host:
        for name in ("a", "b"):
            host.result(host.ask("exec.create", {"id": name, "tty": False}))
        answer = host.result(host.ask("exec.list"))
        assert ([info["id"] for info in answer["sessions"]], answer["more"]) == (["a"], True)


def test_list_goes_on_when_its_last_session_was_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_host_sdk.exec.desk._PART_BYTES", 1)
    with serving(plugin_of(Handler("files", command_handler=files))) as host:
        for name in "abc":
            host.result(host.ask("exec.create", {"id": name, "tty": False}))
            host.notification("exec.exited")
        first = host.result(host.ask("exec.list", {}))
        host.result(host.ask("exec.close", {"session": "a"}))
        answer = host.result(host.ask("exec.list", {"after": cursor(first)}))
        assert [info["id"] for info in answer["sessions"]] == ["b"]


def test_errors_travel_with_their_names() -> None:
    with serving(plugin_of(Handler("files", command_handler=files))) as host:
        host.result(host.ask("exec.create", {"id": "ended", "tty": False}))
        host.notification("exec.exited")
        for method, params, name, code in [
            ("get", {"session": "none"}, "exec.session_not_found", 1),
            ("create", {"id": "s", "handler": "none"}, "exec.handler_not_found", 2),
            ("resize", {"session": "ended", "rows": 2, "cols": 2}, "exec.session_closed", 3),
            ("signal", {"session": "ended", "signal": "SIGTERM"}, "exec.session_closed", 3),
            ("create", {"id": "s"}, "exec.terminal_error", 4),
            ("create", {"id": "ended", "tty": False}, "exec.session_exists", 5),
            ("create", {"id": "s", "rows": 0}, "rpc.invalid_params", 2),
        ]:
            error = host.error(host.ask(f"exec.{method}", params))
            assert (error["name"], error["code"]) == (name, code)


def test_sessions_end_with_the_serving() -> None:
    cancelled = threading.Event()

    def act(ctx: Any, opts: Any, tty: Any, resize: Any) -> None:
        ctx.cancelled.wait(20)
        cancelled.set()

    with serving(plugin_of(Handler("wait", tty_handler=act))) as host:
        host.result(host.ask("exec.create", {"id": "s"}))
    assert cancelled.is_set()


def test_plugin_outlives_the_hang_up_of_a_terminal() -> None:
    """And what it starts does not ignore it, because a function does."""
    with handling(signal.SIGHUP, signal.SIG_DFL):
        capability = ExecCapability("demo")
        capability.open(Solitude(RecordingSink(), lambda level, message: None))
        os.kill(os.getpid(), signal.SIGHUP)
        assert callable(signal.getsignal(signal.SIGHUP))


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None])
def test_hang_ups_are_left_to_who_has_said_how_to_handle_them(handler: Any) -> None:
    with handling(signal.SIGHUP, handler):
        ExecCapability("demo").open(Solitude(RecordingSink(), lambda level, message: None))
        assert signal.getsignal(signal.SIGHUP) == handler


def test_capability_on_another_thread_leaves_signals_alone() -> None:
    capability = ExecCapability("demo")
    with handling(signal.SIGHUP, signal.SIG_DFL):
        opener = threading.Thread(
            target=capability.open, args=[Solitude(RecordingSink(), lambda level, message: None)]
        )
        opener.start()
        opener.join(5)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def test_every_public_name_is_there_and_in_annotations_of_handlers_too() -> None:
    program = """
from __future__ import annotations
import io, sys, typing
import plugin_host_sdk as sdk
assert "msgspec" not in sys.modules and "plugin_host_sdk.exec.resize" not in sys.modules
def quiz(ctx: sdk.Context, opts: sdk.exec.SessionOptions, tty: io.FileIO, resize: sdk.exec.Resizes) -> int:
    size: sdk.exec.Size | None = resize.get(0)
    return 0 if size is None else size.rows
print([hint.__name__ for hint in typing.get_type_hints(quiz).values()])
print([name for name in sdk.exec.__all__ if getattr(sdk.exec, name).__name__ != name])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    names = "['Context', 'SessionOptions', 'FileIO', 'Resizes', 'int']"
    assert (done.stdout, done.stderr) == (f"{names}\n[]\n", "")
