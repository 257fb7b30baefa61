"""Cancel and progress: about one open request, and harmless when they come too late."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from plugin_host_sdk.connection import HOST, PLUGIN
from plugin_host_sdk.events import (
    CancelReceived,
    Closed,
    Failed,
    ProgressReceived,
    ResponseReceived,
)
from plugin_host_sdk.protocol import PEER_OF
from tests.pair import ConnectionPair, only

CALLS = {HOST: "command.call", PLUGIN: "host.echo"}
each_caller = pytest.mark.parametrize("caller", [HOST, PLUGIN])


@pytest.fixture(params=[False, True], ids=["whole", "byte_at_a_time"])
def pair(request: pytest.FixtureRequest) -> ConnectionPair:
    """Two connections in READY."""
    return ConnectionPair(byte_at_a_time=request.param).initialize()


def ask(pair: ConnectionPair, caller: str = HOST) -> int:
    """The id of a request that both ends know."""
    msgid, data = pair.end(caller).send_request(CALLS[caller], {})
    pair.deliver(caller, data)
    return msgid


def pack(message: list[Any]) -> bytes:
    packed: bytes = msgpack.packb(message)
    return packed


@each_caller
def test_cancel_reaches_the_callee_which_still_answers(pair: ConnectionPair, caller: str) -> None:
    msgid, callee = ask(pair, caller), PEER_OF[caller]
    cancel = pair.end(caller).send_cancel(msgid)
    assert pair.deliver(caller, cancel) == [CancelReceived(msgid)]
    assert pair.end(callee).incoming == {msgid: CALLS[caller]}
    answer = pair.end(callee).send_error(msgid, {"name": "rpc.cancelled"})
    assert pair.deliver(callee, answer) == []
    assert pair.end(caller).late_answers == 1


def test_late_answer_is_dropped_and_counted(pair: ConnectionPair) -> None:
    for count in range(1, 4):
        msgid = ask(pair)
        answer = pair.plugin.send_response(msgid, "too late")
        cancel = pair.host.send_cancel(msgid)
        assert pair.to_host(answer) == []
        assert pair.host.late_answers == count
        assert pair.to_plugin(cancel) == []
    assert pair.host.pending == {}


def test_request_that_was_given_up_is_abandoned_until_it_is_answered(pair: ConnectionPair) -> None:
    first, second = ask(pair), ask(pair)
    assert (set(pair.host.pending), pair.host.abandoned) == ({first, second}, set())
    pair.host.send_cancel(first)
    assert (set(pair.host.pending), pair.host.abandoned) == ({second}, {first})
    pair.to_host(pair.plugin.send_response(first, None))
    assert (set(pair.host.pending), pair.host.abandoned) == ({second}, set())
    pair.to_host(pair.plugin.send_response(second, None))
    assert (set(pair.host.pending), pair.host.abandoned) == (set(), set())


def test_late_answer_comes_once(pair: ConnectionPair) -> None:
    msgid = ask(pair)
    pair.host.send_cancel(msgid)
    answer = pair.plugin.send_response(msgid, None)
    assert pair.to_host(answer) == []
    assert "which is not open" in str(only(pair.to_host(answer), Failed).error)


def test_cancel_of_a_request_that_is_not_open_sends_nothing(pair: ConnectionPair) -> None:
    assert pair.host.send_cancel(77) == b""
    msgid = ask(pair)
    pair.to_host(pair.plugin.send_response(msgid, None))
    assert pair.host.send_cancel(msgid) == b""
    msgid = ask(pair)
    assert pair.host.send_cancel(msgid) != b""
    assert pair.host.send_cancel(msgid) == b""


@pytest.mark.parametrize("msgid", [77, -1, 2**64 - 1, None, "0", 0.5])
def test_cancel_for_a_request_that_is_not_open_is_nothing(pair: ConnectionPair, msgid: Any) -> None:
    ask(pair)
    assert pair.to_plugin(pack([2, "cancel", [{"msgid": msgid}]])) == []


def test_cancel_of_one_request_leaves_the_others(pair: ConnectionPair) -> None:
    first, second, third = ask(pair), ask(pair), ask(pair)
    assert pair.to_plugin(pair.host.send_cancel(second)) == [CancelReceived(second)]
    answers = b"".join(pair.plugin.send_response(msgid, msgid) for msgid in (first, second, third))
    assert pair.to_host(answers) == [ResponseReceived(first, first), ResponseReceived(third, third)]


def test_cancel_may_say_more_than_is_known(pair: ConnectionPair) -> None:
    msgid = ask(pair)
    data = pack([2, "cancel", [{"msgid": msgid, "why": "bored"}]])
    assert pair.to_plugin(data) == [CancelReceived(msgid)]


def test_cancel_after_the_end_is_not_sent(pair: ConnectionPair) -> None:
    closed, failed = ask(pair), ask(pair)
    assert pair.host.receive_data(b"") == [Closed()]
    assert pair.host.send_cancel(closed) == b""
    broken = ConnectionPair().initialize()
    failed = ask(broken)
    broken.to_host(b"\xc1")
    assert broken.host.send_cancel(failed) == b""


@each_caller
def test_progress_reaches_the_caller(pair: ConnectionPair, caller: str) -> None:
    msgid, callee = ask(pair, caller), PEER_OF[caller]
    data = pair.end(callee).send_progress(msgid, 3, 10, "three of ten")
    assert pair.deliver(callee, data) == [ProgressReceived(msgid, 3, 10, "three of ten")]


@pytest.mark.parametrize(("done", "total"), [(0, None), (0.5, 1.0), (10**12, 1), (-1, -1), (2**63, None)])
def test_progress_is_any_number_of_a_total_that_may_be_unknown(
    pair: ConnectionPair, done: float, total: float | None
) -> None:
    msgid = ask(pair)
    data = pair.plugin.send_progress(msgid, done, total, "")
    assert pair.to_host(data) == [ProgressReceived(msgid, done, total, "")]


@pytest.mark.parametrize("more", [{}, {"total": None}, {"message": None}, {"unheard_of": [1]}])
def test_progress_may_leave_out_all_but_what_is_done(pair: ConnectionPair, more: dict[str, Any]) -> None:
    msgid = ask(pair)
    data = pack([2, "progress", [{"msgid": msgid, "done": 1, **more}]])
    assert pair.to_host(data) == [ProgressReceived(msgid, 1, None, "")]


def test_progress_after_the_answer_is_not_sent(pair: ConnectionPair) -> None:
    msgid = ask(pair)
    pair.plugin.send_response(msgid, None)
    assert pair.plugin.send_progress(msgid, 1, 2, "") == b""
    assert pair.plugin.send_progress(77, 1, 2, "") == b""


def test_progress_that_crosses_a_cancel_is_dropped(pair: ConnectionPair) -> None:
    msgid = ask(pair)
    data = pair.plugin.send_progress(msgid, 1, 2, "")
    pair.host.send_cancel(msgid)
    assert pair.to_host(data) == []
    assert pair.host.late_answers == 0


def test_progress_in_the_bulk_lane_may_come_behind_its_answer(pair: ConnectionPair) -> None:
    msgid = ask(pair)
    progress = pair.plugin.send_progress(msgid, 1, 2, "")
    answer = pair.plugin.send_response(msgid, None)
    assert pair.to_host(answer + progress) == [ResponseReceived(msgid, None)]
