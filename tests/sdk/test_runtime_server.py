"""What a served plugin answers to each kind of request; a host's connection in the test asks."""

from __future__ import annotations

import gc
import sys
import threading
from typing import Any

import pytest

from plugin_host_sdk import CommandError, Plugin
from plugin_host_sdk.events import InitializeRefused, RequestReceived
from plugin_host_sdk.handshake import Limits
from plugin_host_sdk.version import VERSION
from tests.served import serving
from tests.wait import WaitUntil


def demo(**options: Any) -> Plugin:
    plugin = Plugin("demo", version="1.0.0", **options)

    @plugin.command("echo")
    def echo(ctx: Any, value: Any = None) -> Any:
        """Give back what came."""
        return value

    return plugin


# Hand the wire over.


def test_answer_to_initialize_says_who_it_is() -> None:
    with serving(demo(), ready=False) as host:
        assert host.initialize("demo") == {
            "protocol": 1,
            "plugin": {"id": "demo", "version": "1.0.0"},
            "sdk": {"name": "plugin-host-sdk", "version": VERSION},
            "limits": Limits().to_map(),
            "capabilities": {"command": {"commands": ["echo"]}},
            "features": ["command.call_many", "stacks", "vitals", "exec.handover"],
        }


@pytest.mark.parametrize(
    ("params", "name", "words"),
    [
        ({"protocols": [7, 9]}, "initialize.no_common_protocol", "the host speaks 7, 9, this plugin 1"),
        ({"protocols": []}, "initialize.no_common_protocol", "the host speaks none"),
        ({"protocols": "1"}, "initialize.no_common_protocol", "the host speaks none"),
        ({"plugin": "other"}, "initialize.wrong_plugin", "expects plugin 'other'"),
    ],
)
def test_host_that_does_not_fit_is_refused_and_the_plugin_ends(
    params: dict[str, Any], name: str, words: str
) -> None:
    with serving(demo(), ready=False) as host:
        host.start_initialize("demo", **params)
        refused = host.expect(InitializeRefused)
        assert refused.error["name"] == name
        assert words in refused.error["message"]
        host.server.ending.wait()
        assert words in host.server.ending.reason


def test_highest_common_protocol_is_chosen() -> None:
    with serving(demo(), ready=False) as host:
        assert host.initialize("demo", protocols=[1, 2, "x", None])["protocol"] == 1


def test_settings_that_are_none_are_empty() -> None:
    with serving(demo(), ready=False) as host:
        host.initialize("demo", settings="nonsense")
        assert host.server.settings == {}


# Answer.


@pytest.mark.parametrize("nonce", [{}, {"nonce": 1}, {"nonce": "x" * 100_000}])
def test_ping_comes_back_as_it_went(nonce: dict[str, Any]) -> None:
    with serving(demo()) as host:
        assert host.result(host.ask("ping", nonce)) == nonce


def test_reconfigure_asks_to_be_restarted() -> None:
    with serving(demo()) as host:
        assert host.result(host.ask("reconfigure", {"settings": {}})) == {"restart": True}


@pytest.mark.parametrize("method", ["nobody.knows", "command.unknown", "exec.create", "x" * 1000])
def test_unknown_method_is_refused(method: str) -> None:
    with serving(demo()) as host:
        assert host.error(host.ask(method))["name"] == "rpc.method_not_found"


def test_command_list_describes_every_command() -> None:
    with serving(demo()) as host:
        (echo,) = host.result(host.ask("command.list"))["commands"]
        assert (echo["name"], echo["help"]) == ("echo", "Give back what came.")
        assert echo["params"] == [{"name": "value", "type": "any", "required": False, "default": None}]


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({}, "command.bad_request"),
        ({"name": None}, "command.bad_request"),
        ({"name": ["echo"]}, "command.bad_request"),
        ({"name": "ekko"}, "command.not_found"),
        ({"name": "echo", "params": [1]}, "command.bad_request"),
        ({"name": "echo", "params": {"volume": 1}}, "command.bad_request"),
        ({"name": "echo", "params": {1: 2}}, "command.bad_request"),
        ({"name": "echo", "params": {b"value": 2}}, "command.bad_request"),
    ],
)
def test_bad_command_call_is_refused_by_name(params: dict[str, Any], name: str) -> None:
    with serving(demo()) as host:
        assert host.error(host.ask("command.call", params))["name"] == name
        assert host.call("echo", {"value": 1}) == 1


def test_parameters_that_are_not_a_map_are_refused_by_the_connection() -> None:
    with serving(demo()) as host:
        msgid, data = host.connection.send_request("command.call", [1, 2])
        host.send(data)
        assert host.error(msgid)["name"] == "rpc.invalid_params"


@pytest.mark.parametrize(
    ("meta", "name"),
    [
        ({"timeout_ms": "soon"}, "rpc.invalid_params"),
        ({"timeout_ms": [[1]]}, "rpc.invalid_params"),
        ({"timeout_ms": 0}, "rpc.deadline_exceeded"),
        ({"timeout_ms": -5}, "rpc.deadline_exceeded"),
        ({"timeout_ms": float("nan")}, "rpc.deadline_exceeded"),
        ({"chain": "demo"}, "rpc.invalid_params"),
        ({"chain": [1]}, "rpc.invalid_params"),
        ({"chain": ["a"] * 17}, "rpc.chain_too_deep"),
    ],
)
def test_bad_call_metadata_is_refused_by_name(meta: dict[str, Any], name: str) -> None:
    with serving(demo()) as host:
        assert host.error(host.ask_command("echo", **meta))["name"] == name


@pytest.mark.parametrize("timeout", [1e12, 1e300, float("inf"), 2**63])
def test_deadline_that_never_comes_is_none(timeout: float) -> None:
    plugin = demo()

    @plugin.command("remaining")
    def remaining(ctx: Any) -> Any:
        return ctx.remaining()

    with serving(plugin) as host:
        assert host.call("remaining", timeout_ms=timeout) is None


def test_many_requests_are_each_answered_once() -> None:
    with serving(demo()) as host:
        asked = [host.ask_command("echo", {"value": n}) for n in range(500)]
        assert [host.result(msgid)["result"] for msgid in asked] == list(range(500))
        assert host.hears_nothing()
        assert host.server.running == {}


def test_nothing_of_a_request_is_kept_while_the_next_one_is_awaited(wait_until: WaitUntil) -> None:
    def kept() -> list[Any]:
        requests = [one for one in gc.get_objects() if type(one) is RequestReceived]
        return [one for one in requests if one.params.get("params") == {"value": "kept"}]

    with serving(demo()) as host:
        call = {"name": "echo", "params": {"value": "kept"}}
        asked = [host.connection.send_request("command.call", call) for _ in range(2)]
        host.send(b"".join(data for _, data in asked))  # no short way for two
        for msgid, _ in asked:
            host.result(msgid)
        wait_until(lambda: not kept())


def test_error_of_a_handler_that_cannot_travel_is_sent_in_plain_words() -> None:
    plugin = demo()

    @plugin.command("odd")
    def odd(ctx: Any) -> None:
        raise CommandError(7, "with a thing", thing=object(), number=2**70)

    @plugin.command("huge")
    def huge(ctx: Any) -> None:
        raise LookupError("x" * (20 << 20))

    @plugin.command("half")
    def half(ctx: Any) -> None:
        raise LookupError("\ud800")

    @plugin.command("half_status")
    def half_status(ctx: Any) -> None:
        raise CommandError(7, "\ud800")

    @plugin.command("mute")
    def mute(ctx: Any) -> None:
        class Mute(Exception):
            def __str__(self) -> str:
                raise ValueError("no words")

        raise Mute

    with serving(plugin) as host:
        error = host.error(host.ask_command("odd"))
        assert error["name"] == "command.not_encodable"
        assert "thing" in error["message"]
        error = host.error(host.ask_command("huge"))
        assert error["name"] == "command.handler_failed"
        assert len(error["message"]) < 10_000
        assert host.error(host.ask_command("mute"))["name"] == "command.handler_failed"
        assert host.error(host.ask_command("half"))["name"] == "command.handler_failed"
        assert host.error(host.ask_command("half_status"))["name"] == "command.not_encodable"
        assert host.call("echo", {"value": 1}) == 1


def test_result_over_the_hosts_limit_fails_that_call_alone() -> None:
    with serving(demo(), limits=Limits(message_bytes=10_000)) as host:
        assert host.call("echo", {"value": "x" * 5000}) == "x" * 5000
        plugin = host.server.plugin
        plugin.commands.register_handler("long", lambda ctx: "x" * 20_000)
        assert host.error(host.ask_command("long"))["name"] == "rpc.too_large"
        assert host.call("echo", {"value": 1}) == 1


def test_request_beyond_the_limit_of_pending_ones_is_answered_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_host_sdk.connection.PENDING_REQUESTS", 10)
    monkeypatch.setattr("plugin_host_sdk.alone.PENDING_REQUESTS", 10)
    plugin = demo(workers=1)
    gate = threading.Event()
    plugin.commands.register_handler("wait", lambda ctx: gate.wait(10))
    with serving(plugin) as host:
        asked = [host.ask_command("wait") for _ in range(10)]
        refused = host.error(host.ask_command("echo"))
        assert (refused["name"], refused["retryable"]) == ("rpc.busy", True)
        gate.set()
        assert [host.result(msgid)["status"] for msgid in asked] == [0] * 10


@pytest.mark.parametrize(
    ("method", "module", "meta"),
    [
        ("vitals", "vitals", {}),
        ("stacks", "stack", {}),
        ("command.list", "span", {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}),
    ],
)
def test_request_for_which_nothing_can_be_loaded_is_refused_alone(
    method: str, module: str, meta: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(demo()) as host:
        monkeypatch.setitem(sys.modules, f"plugin_host_sdk.runtime.{module}", None)
        refused = host.error(host.ask(method, {}, **meta))
        assert (refused["name"], refused["retryable"]) == ("rpc.busy", True)
        assert host.call("echo", {"value": 1}) == 1


def test_progress_is_told_and_not_after_the_answer() -> None:
    plugin = demo()
    kept: list[Any] = []

    @plugin.command("work")
    def work(ctx: Any) -> None:
        kept.append(ctx)
        ctx.progress(1, 3, "one")
        ctx.progress(0.5)

    with serving(plugin) as host:
        msgid = host.ask_command("work")
        first, second = host.progress(), host.progress()
        assert (first.msgid, first.done, first.total, first.message) == (msgid, 1, 3, "one")
        assert (second.done, second.total, second.message) == (0.5, None, "")
        host.result(msgid)
        kept[0].progress(2, 3, "late")
        assert host.hears_nothing()
