"""Many calls of one command in one request, as the plugin runs them."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from plugin_host_sdk import CommandError, Plugin, bundle
from plugin_host_sdk.endpoint import FIRST_PROOF
from plugin_host_sdk.errors import CallCancelled
from plugin_host_sdk.events import NotificationReceived
from plugin_host_sdk.protocol import MESSAGE_BYTES
from tests.served import Served, serving


class Clock:
    """What a bundle takes for the time: nothing takes any but what says so."""

    now = 100.0


CLOCK = Clock()


@pytest.fixture(autouse=True)
def _clock_of_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "perf_counter", lambda: CLOCK.now)


def demo() -> Plugin:
    plugin = Plugin("demo", version="1.0.0")

    @plugin.command("echo")
    def echo(ctx: Any, value: Any = None) -> Any:
        return value

    @plugin.command("own")
    def own(ctx: Any, status: Any) -> Any:
        if status:
            raise CommandError(status, "odd", more=1)
        return status

    @plugin.command("nap")
    def nap(ctx: Any, seconds: Any) -> Any:
        CLOCK.now += seconds
        return seconds

    @plugin.command("count")
    def count(ctx: Any, number: int) -> int:
        return number

    @plugin.command("later")
    async def later(ctx: Any) -> None:
        pass

    return plugin


def prove(host: Served, command: str, params: dict[str, Any]) -> None:
    """Have it called until it counts as quick."""
    endpoint = host.server.plugin.capabilities["command"]._handlers[command].endpoint  # type: ignore[attr-defined]
    while not endpoint.quick:
        for _ in range(FIRST_PROOF):
            host.result(host.ask_command(command, params))


def many(host: Served, command: Any, *params: Any) -> Any:
    return host.result(host.ask("command.call_many", {"name": command, "many": list(params)}))


def bundled(host: Served, command: str, proof: dict[str, Any], *params: Any) -> Any:
    """The answer to many of a command that has proved quick.

    One that was held up by the machine in its last proof may have lost that again: then it is run singly,
    which is no fault, and proves it anew.
    """
    while True:
        prove(host, command, proof)
        answer = many(host, command, *params)
        if answer["results"]:
            return answer


def all_of(
    host: Served, command: str, proof: dict[str, Any], *params: Any
) -> tuple[list[Any], dict[int, Any]]:
    """Results and failures of all, of which each request is answered for the first few at least."""
    results: list[Any] = []
    failures: dict[int, Any] = {}
    while len(results) < len(params):
        answer = bundled(host, command, proof, *params[len(results) :])
        failures |= {len(results) + index: how for index, how in answer["failures"]}
        results += answer["results"]
    return results, failures


def test_calls_are_run_in_order_and_answered_together() -> None:
    with serving(demo()) as host:
        params = [{"value": 1}, None, {}, {"value": [{"a": 2}]}, {"value": "é"}]
        assert bundled(host, "echo", {"value": 0}, *params) == {
            "results": [1, None, None, [{"a": 2}], "é"],
            "failures": [],
        }
        assert many(host, "echo") == {"results": [], "failures": []}


def test_command_that_has_not_proved_quick_is_left_to_single_calls() -> None:
    with serving(demo()) as host:
        assert many(host, "echo", {"value": 1}) == {"results": [], "failures": []}
        assert many(host, "later", {}) == {"results": [], "failures": []}


def test_plugin_that_cannot_load_what_it_takes_has_begun_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(demo()) as host:
        prove(host, "echo", {"value": 1})
        monkeypatch.setitem(sys.modules, "plugin_host_sdk.bundle", None)
        asked = host.ask("command.call_many", {"name": "echo", "many": [{"value": 1}, {"value": 2}]})
        assert host.error(asked)["name"] == "rpc.busy"


def test_each_failure_has_its_place() -> None:
    with serving(demo()) as host:
        params = [{"status": 0}, {"status": 4}, {"nope": 1}, [1], {"status": 0}]
        results, failures = all_of(host, "own", {"status": 0}, *params)
        assert results == [0, None, None, None, 0]
        assert list(failures) == [1, 2, 3]
        own, unknown, no_map = failures.values()
        assert own == {"status": 4, "status_message": "odd", "result": {"more": 1}}
        assert unknown["name"] == no_map["name"] == "command.bad_request"
        assert "unknown parameter 'nope'" in unknown["message"]
        assert "a map, not list" in no_map["message"]


@pytest.mark.parametrize("value", [{1}, 2**64, -(2**63) - 1, "\ud800", {(1, 2): 3}, object(), [object()]])
def test_result_that_cannot_travel_fails_alone(value: Any) -> None:
    plugin = demo()

    @plugin.command("odd")
    def odd(ctx: Any, number: Any) -> Any:
        return value if number == 1 else number

    with serving(plugin) as host:
        results, failures = all_of(host, "odd", {"number": 0}, {"number": 0}, {"number": 1}, {"number": 2})
        assert results == [0, None, 2]
        assert [(index, error["name"]) for index, error in failures.items()] == [
            (1, "command.not_encodable")
        ]


@pytest.mark.parametrize("error", [CommandError(3, "no", more={1}), CallCancelled("no", data={1})])
def test_failure_that_cannot_travel_is_told_as_if_it_were_alone(error: Exception) -> None:
    plugin = demo()

    @plugin.command("odd")
    def odd(ctx: Any, number: Any) -> Any:
        if number:
            raise error
        return number

    with serving(plugin) as host:
        results, failures = all_of(host, "odd", {"number": 0}, {"number": 0}, {"number": 1}, {"number": 0})
        assert results == [0, None, 0]
        alone = host.error(host.ask_command("odd", {"number": 1}))
        assert list(failures) == [1]
        assert (failures[1]["name"], failures[1]["code"]) == (alone["name"], alone["code"])


def test_failure_whose_text_is_no_unicode_fails_alone() -> None:
    plugin = demo()

    @plugin.command("odd")
    def odd(ctx: Any, number: Any) -> Any:
        if number:
            raise LookupError("\udc80")
        return number

    with serving(plugin) as host:
        results, failures = all_of(host, "odd", {"number": 0}, {"number": 0}, {"number": 1}, {"number": 0})
        assert results == [0, None, 0]
        assert failures[1]["name"] == "command.handler_failed"
        assert "LookupError: \\udc80" in failures[1]["message"]


def test_large_failures_are_not_gathered() -> None:
    plugin = demo()

    @plugin.command("odd")
    def odd(ctx: Any, text: str) -> Any:
        if text:
            raise CommandError(3, "no", text=text)

    with serving(plugin) as host:
        answer = bundled(host, "odd", {"text": ""}, *[{"text": "x" * 200_000}] * 5)
        assert len(answer["failures"]) == 2


def test_value_that_a_later_call_changes_is_answered_as_it_was() -> None:
    plugin = demo()
    numbers: list[int] = []
    buffer = bytearray(1)

    @plugin.command("next")
    def next_(ctx: Any) -> Any:
        numbers.append(len(numbers))
        buffer[0] = len(numbers) % 256
        return {"numbers": numbers, "buffer": buffer}

    with serving(plugin) as host:
        results = bundled(host, "next", {}, {}, {}, {})["results"]
        begun = len(numbers) - 3
        for place, result in enumerate(results, begun):
            assert result == {"numbers": list(range(place + 1)), "buffer": bytes([(place + 1) % 256])}
        assert len(results) == 3


def test_after_a_slow_one_no_more_are_begun() -> None:
    with serving(demo()) as host:
        answer = bundled(host, "nap", {"seconds": 0}, *({"seconds": s} for s in (0.001, 0.0021, 0, 0)))
        assert answer == {"results": [0.001, 0.0021], "failures": []}


def test_those_that_are_long_together_are_ended_after_the_one_that_passes_the_time() -> None:
    with serving(demo()) as host:
        answer = bundled(host, "nap", {"seconds": 0}, *[{"seconds": 0.0015}] * 9)
        assert answer == {"results": [0.0015] * 3, "failures": []}


def test_many_that_take_no_time_are_all_run() -> None:
    with serving(demo()) as host:
        answer = bundled(host, "nap", {"seconds": 0}, *[{"seconds": 0}] * 900)
        assert answer == {"results": [0] * 900, "failures": []}


def test_bundle_whose_caller_gives_up_in_a_call_begins_no_more() -> None:
    plugin = demo()

    @plugin.command("stop")
    def stop(ctx: Any, really: bool) -> bool:
        if really:
            ctx.cancelled.set("the caller gave up")
        return really

    with serving(plugin) as host:
        answer = bundled(host, "stop", {"really": False}, *({"really": it} for it in (False, True, False)))
        assert answer == {"results": [False, True], "failures": []}


def test_large_results_are_not_gathered() -> None:
    with serving(demo()) as host:
        answer = bundled(host, "echo", {"value": 0}, *[{"value": "x" * 200_000}] * 5)
        assert len(answer["results"]) == 2


def test_one_that_is_too_large_beside_others_fails_alone() -> None:
    most = MESSAGE_BYTES - 100_000
    plugin = demo()

    @plugin.command("fill")
    def fill(ctx: Any, size: int) -> str:
        return "x" * size

    with serving(plugin) as host:
        answer = bundled(host, "fill", {"size": 0}, *({"size": size} for size in (200_000, most, 1)))
        assert answer["results"] == ["x" * 200_000, None]
        [(index, how)] = answer["failures"]
        assert (index, how["name"]) == (1, "rpc.too_large")
        assert how["message"].endswith(", with the results of calls that shared its request")
        assert host.result(host.ask_command("fill", {"size": most}))["result"] == "x" * most


def test_failure_that_is_too_large_beside_others_fails_alone() -> None:
    plugin = demo()

    @plugin.command("odd")
    def odd(ctx: Any, text: str) -> str:
        if text == "fail":
            raise CommandError(3, "no", text="y" * (MESSAGE_BYTES - 100_000))
        return text

    with serving(plugin) as host:
        answer = bundled(host, "odd", {"text": ""}, {"text": "x" * 200_000}, {"text": "fail"})
        assert answer["results"] == ["x" * 200_000, None]
        assert [(index, how["name"]) for index, how in answer["failures"]] == [(1, "rpc.too_large")]


def test_each_call_has_a_context_of_its_own() -> None:
    plugin = demo()

    @plugin.command("mark")
    def mark(ctx: Any, name: str) -> Any:
        if not hasattr(ctx, "mark"):
            ctx.mark = name
        return [ctx.mark, ctx.name, ctx.deadline is None, bool(ctx.cancelled), dict(ctx.settings)]

    with serving(plugin) as host:
        names = ["a", "b", "c"]
        results, failures = all_of(host, "mark", {"name": "proof"}, *({"name": name} for name in names))
        assert results == [[name, "mark", True, False, {}] for name in names]
        assert failures == {}


class Held:
    """A command `hold`: it returns at once, or when it is told to, or when its caller has given up."""

    def __init__(self) -> None:
        self.plugin = demo()
        self.go_on = threading.Event()
        self.plugin.command("hold")(self.hold)

    def hold(self, ctx: Any, until: str) -> str:
        if until == "told":
            assert self.go_on.wait(10)
        elif until == "cancelled":
            assert ctx.cancelled.wait(10)
        elif until == "told and fails":
            assert self.go_on.wait(10)
            raise CommandError(4, "told")
        elif until == "host":
            return str(ctx.host.call("time"))
        return until

    def split(self, host: Served, *untils: str) -> tuple[int, dict[str, Any]]:
        """The id of a request for these that was split, and how it was."""
        prove(host, "hold", {"until": ""})
        many = [{"until": until} for until in untils]
        msgid = host.ask("command.call_many", {"name": "hold", "many": many, "split": True})
        params = host.notification("command.split")
        assert params.pop("msgid") == msgid
        return msgid, params


def test_call_that_lasts_keeps_the_request_and_what_came_with_it_does_not_wait() -> None:
    held = Held()
    with serving(held.plugin) as host:
        msgid, params = held.split(host, "", "", "told", "")
        assert params == {"results": ["", ""], "failures": []}
        assert host.call("hold", {"until": "alone"}) == "alone"
        held.go_on.set()
        assert host.result(msgid) == {"status": 0, "status_message": "", "result": "told"}
        assert many(host, "hold", {"until": ""}) == {"results": [], "failures": []}  # it is quick no more


def test_call_that_lasts_is_cancelled_by_the_id_of_the_request() -> None:
    held = Held()
    with serving(held.plugin) as host:
        msgid, params = held.split(host, "cancelled", "")
        assert params == {"results": [], "failures": []}
        host.cancel(msgid)
        assert host.result(msgid)["result"] == "cancelled"


def test_call_that_lasts_and_fails_is_answered_as_if_it_were_alone() -> None:
    held = Held()
    with serving(held.plugin) as host:
        msgid, _ = held.split(host, "", "told and fails")
        held.go_on.set()
        assert host.result(msgid) == {"status": 4, "status_message": "told", "result": {}}


def test_call_that_asks_the_host_keeps_the_request() -> None:
    held = Held()
    with serving(held.plugin) as host:
        msgid, params = held.split(host, "", "host", "")
        assert params == {"results": [""], "failures": []}
        asked = host.request("host.time")
        host.send(host.connection.send_response(asked.msgid, "late"))
        assert host.result(msgid)["result"] == "late"


def test_request_is_not_split_for_a_host_that_does_not_say_it_knows_that() -> None:
    held = Held()
    with serving(held.plugin) as host:
        prove(host, "hold", {"until": ""})
        asked = [{"until": until} for until in ("", "told", "")]
        msgid = host.ask("command.call_many", {"name": "hold", "many": asked})
        assert host.call("echo", {"value": 1}) == 1  # another thread leads
        held.go_on.set()
        assert host.result(msgid)["results"][:2] == ["", "told"]
        assert not any(isinstance(event, NotificationReceived) for event in host.events)


def test_parameters_are_checked_against_declared_types() -> None:
    with serving(demo()) as host:
        params = [{"number": 1}, {"number": "one"}, {"number": 3}]
        results, failures = all_of(host, "count", {"number": 1}, *params)
        assert results == [1, None, 3]
        assert failures[1]["name"] == "command.bad_request"


def test_request_that_makes_no_sense_is_refused() -> None:
    with serving(demo()) as host:
        for params, name in (
            ({"name": "nope", "many": []}, "command.not_found"),
            ({"name": "echo"}, "command.bad_request"),
            ({"name": "echo", "many": {}}, "command.bad_request"),
            ({"many": []}, "command.bad_request"),
        ):
            assert host.error(host.ask("command.call_many", params))["name"] == name
