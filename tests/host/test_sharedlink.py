"""Threads that ask one link: each reads for all until its own answer is there, and hands the lead on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from plugin_host import sharedlink
from plugin_host.askedlink import LinkGone
from plugin_host.sharedlink import SharedLink
from plugin_host.standby import LoopStandby
from plugin_host_sdk.errors import CallError, CallFailed, CallTimeout, LocalProtocolError, PluginHostError
from plugin_host_sdk.events import CancelReceived, ResponseReceived
from tests.shared import Caller, PluginEnd, shared
from tests.wait import WaitUntil


@pytest.fixture(params=["epoll", "portable"])
def _system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Linux has, and what every system has."""
    if request.param == "portable":
        monkeypatch.setattr(sharedlink, "standby", LoopStandby)
        monkeypatch.delattr("os.eventfd")


def leads(link: SharedLink, caller: Caller) -> bool:
    return link._leader is not None and link._leader.thread == caller.ident


def waits(link: SharedLink, caller: Caller) -> bool:
    return any(waiter.thread == caller.ident for waiter in list(link._sleepers))


def two_callers(
    link: SharedLink, plugin: PluginEnd, wait_until: WaitUntil, **options: Any
) -> tuple[Caller, int, Caller, int]:
    """One that leads and one that waits, each with its request's id; `options` are the second's."""
    first = Caller(link)
    one = plugin.request().msgid
    wait_until(lambda: leads(link, first))
    second = Caller(link, **options)
    other = plugin.request().msgid
    wait_until(lambda: waits(link, second))
    return first, one, second, other


@pytest.mark.usefixtures("_system")
def test_caller_is_given_its_answer_and_the_loop_leads_at_rest(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, owner, _):
        for number in range(3):
            caller = Caller(link, {"n": number})
            asked = plugin.request()
            assert asked.params == {"n": number}
            plugin.answer(asked.msgid, [number])
            assert caller.end() == [number]
            assert link._leader is None
            plugin.notify(f"after {number}")
            wait_until(lambda: len(owner.notices) == number + 1)  # noqa: B023


def test_loop_is_not_woken_by_what_a_thread_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    with shared() as (link, plugin, _, thread), plugin.serving():
        assert thread._loop is not None
        rounds = 0
        run_once: Callable[[], None] = thread._loop._run_once  # type: ignore[attr-defined]

        def count() -> None:
            nonlocal rounds
            rounds += 1
            run_once()

        monkeypatch.setattr(thread._loop, "_run_once", count)
        for number in range(500):
            assert link.ask("work", {"n": number}) == {"n": number}
        assert rounds <= 5


@pytest.mark.usefixtures("_system")
def test_answers_that_come_in_another_order_reach_their_threads(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, _):
        callers = [Caller(link, {"n": number}) for number in range(5)]
        asked = [plugin.request() for _ in callers]
        for one in reversed(asked):
            plugin.answer(one.msgid, one.params)
        assert [caller.end() for caller in callers] == [{"n": number} for number in range(5)]


def test_leader_that_goes_hands_the_lead_to_the_thread_that_waits_longest(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, _):
        first, one, second, other = two_callers(link, plugin, wait_until)
        third = Caller(link)
        last = plugin.request().msgid
        wait_until(lambda: waits(link, third))
        plugin.answer(one, 1)
        assert first.end() == 1
        wait_until(lambda: leads(link, second))
        plugin.answer(last, 3)
        assert third.end() == 3
        assert leads(link, second)
        plugin.answer(other, 2)
        assert second.end() == 2
        assert link._leader is None


def test_answers_in_one_read_reach_leader_and_follower(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, _):
        first, one, second, other = two_callers(link, plugin, wait_until)
        answers = [plugin.connection.send_response(msgid, msgid) for msgid in (other, one)]
        plugin.send(b"".join(answers))
        assert (first.end(), second.end()) == (one, other)


def test_error_is_raised_in_the_thread_that_asked(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, _):
        first, one, second, other = two_callers(link, plugin, wait_until)
        plugin.send(plugin.connection.send_error(other, CallFailed("no", name="command.failed").to_map()))
        error = second.end()
        assert isinstance(error, CallFailed)
        assert error.name == "command.failed"
        plugin.answer(one, 1)
        assert first.end() == 1


@pytest.mark.usefixtures("_system")
def test_what_is_for_the_owner_is_told_on_the_loop_in_order_while_a_thread_leads(
    wait_until: WaitUntil,
) -> None:
    with shared() as (link, plugin, owner, thread):
        caller = Caller(link)
        asked = plugin.request()
        wait_until(lambda: leads(link, caller))
        messages = [f"message {number}" for number in range(100)]
        plugin.notify(*messages)
        wait_until(lambda: len(owner.notices) == 100)
        assert [params["message"] for _, params in owner.notices] == messages
        assert owner.threads == {thread._thread}
        plugin.answer(asked.msgid, 1)
        assert caller.end() == 1


def test_ping_is_answered_while_a_thread_leads_and_the_loop_is_busy(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, thread):
        caller = Caller(link)
        asked = plugin.request()
        wait_until(lambda: leads(link, caller))
        assert thread._loop is not None
        is_free = threading.Event()
        thread._loop.call_soon_threadsafe(is_free.wait)
        msgid, data = plugin.connection.send_request("ping", {"nonce": 7})
        plugin.send(data)
        answer = plugin.expect(ResponseReceived, lambda event: event.msgid == msgid)
        assert answer.result == {"nonce": 7}
        is_free.set()
        plugin.answer(asked.msgid, 1)
        assert caller.end() == 1


def test_request_of_the_loop_is_answered_while_a_thread_leads(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, thread):
        caller = Caller(link)
        asked = plugin.request()
        wait_until(lambda: leads(link, caller))

        async def request() -> Any:
            return await link.request("vitals", {})[1]

        answer = thread.submit(request())
        plugin.answer(plugin.request("vitals").msgid, 2)
        assert answer.result() == 2
        assert leads(link, caller)
        plugin.answer(asked.msgid, 1)
        assert caller.end() == 1


def test_request_of_the_loop_that_is_given_up_as_its_answer_comes_is_forgotten(
    wait_until: WaitUntil,
) -> None:
    with shared() as (link, plugin, _, thread):
        caller = Caller(link)
        asked = plugin.request()
        wait_until(lambda: leads(link, caller))
        is_free = threading.Event()

        async def request() -> None:
            msgid, _ = link.request("vitals", {})
            is_free.wait(5)  # its answer is read by the thread, and waits for the loop
            link.abandon(msgid)

        given_up = thread.submit(request())
        plugin.answer(plugin.request("vitals").msgid, 2)
        wait_until(lambda: link._passed)
        is_free.set()
        given_up.result()
        plugin.answer(asked.msgid, 1)
        assert caller.end() == 1
        assert link.in_flight == 0


# Going without an answer.


@pytest.mark.parametrize("who", ["leader", "follower"])
def test_call_whose_time_is_over_is_cancelled_and_the_other_goes_on(
    wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    with shared() as (link, plugin, _, _):
        now = time.monotonic()
        if who == "leader":
            late = Caller(link, deadline=now + 0.2)
            late_id = plugin.request().msgid
            wait_until(lambda: leads(link, late))
            other = Caller(link)
            other_id = plugin.request().msgid
        else:
            other, other_id, late, late_id = two_callers(link, plugin, wait_until, deadline=now + 0.2)
        assert isinstance(late.end(), CallTimeout)
        assert plugin.expect(CancelReceived).msgid == late_id
        plugin.answer(late_id, "late")
        plugin.answer(other_id, "right")
        assert other.end() == "right"
        assert link.connection.late_answers == 1
        assert link.in_flight == 0


def test_deadline_that_has_passed_is_not_waited_for() -> None:
    with shared() as (link, _, _, _), pytest.raises(CallTimeout):
        link.ask("work", {}, deadline=time.monotonic() - 1)


def test_call_that_cannot_be_sent_raises_and_leaves_nothing() -> None:
    with shared() as (link, plugin, _, _):
        with pytest.raises(CallFailed):
            link.ask("work", {"x": object()})
        caller = Caller(link)
        plugin.answer(plugin.request().msgid, 1)
        assert caller.end() == 1
        assert (link.in_flight, link._leader) == (0, None)


def test_call_on_the_loops_own_thread_is_refused() -> None:
    with shared() as (link, _, _, thread):

        async def ask() -> None:
            link.ask("work", {})

        with pytest.raises(PluginHostError, match="loop"):
            thread.run(ask())


# Progress.


def test_progress_is_told_on_the_calling_thread_while_another_leads(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, _):
        told: list[tuple[Any, ...]] = []
        go_on = threading.Event()

        def on_progress(*report: Any) -> None:
            told.append((threading.current_thread(), *report))
            go_on.wait(5)

        slow = Caller(link, on_progress=on_progress)
        one = plugin.request().msgid
        wait_until(lambda: leads(link, slow))
        plugin.send(plugin.connection.send_progress(one, 1, 2, "half"))
        wait_until(lambda: told)
        assert told == [(slow, 1, 2, "half")]
        quick = Caller(link)  # while the other is with its caller
        plugin.answer(plugin.request().msgid, "quick")
        assert quick.end() == "quick"
        plugin.send(plugin.connection.send_progress(one, 2, 2, "all"))
        go_on.set()
        wait_until(lambda: len(told) == 2)
        plugin.answer(one, "slow")
        assert slow.end() == "slow"


def test_on_progress_that_raises_is_told_of_and_the_call_goes_on(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, thread):
        told: list[dict[str, Any]] = []
        assert thread._loop is not None
        thread._loop.set_exception_handler(lambda _, context: told.append(context))
        caller = Caller(link, on_progress=lambda *_: 1 / 0)
        msgid = plugin.request().msgid
        plugin.send(plugin.connection.send_progress(msgid, 1, None, ""))
        wait_until(lambda: told)
        plugin.answer(msgid, 1)
        assert caller.end() == 1
        assert isinstance(told[0]["exception"], ZeroDivisionError)


def test_progress_that_nobody_wants_disturbs_nobody(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, _):
        caller = Caller(link)
        msgid = plugin.request().msgid
        plugin.send(plugin.connection.send_progress(msgid, 1, None, ""))
        plugin.answer(msgid, 1)
        assert caller.end() == 1


# Much of it.


@pytest.mark.usefixtures("_system")
def test_flood_is_left_to_the_loop_and_the_answer_behind_it_arrives(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, owner, _):
        caller = Caller(link)
        msgid = plugin.request().msgid
        wait_until(lambda: leads(link, caller))
        for _ in range(20):
            plugin.notify(*["flood"] * 1000)
        plugin.answer(msgid, 1)
        assert caller.end() == 1
        wait_until(lambda: len(owner.notices) == 20_000)
        again = Caller(link)  # once it is over threads lead again
        wait_until(lambda: leads(link, again))
        plugin.answer(plugin.request().msgid, 2)
        assert again.end() == 2


def test_large_requests_of_many_threads_arrive_whole_through_a_full_channel(wait_until: WaitUntil) -> None:
    with shared(room=4096) as (link, plugin, _, _):
        payloads = [bytes([number]) * 300_000 for number in range(6)]
        callers = [Caller(link, {"data": payload}) for payload in payloads]
        wait_until(lambda: link._writer.is_waiting)
        with plugin.serving():
            assert [caller.end()["data"] for caller in callers] == payloads
        wait_until(lambda: not link._writer.is_waiting)
        assert link._writer.call_bytes == 0


def test_many_threads_get_their_own_answers() -> None:
    with shared() as (link, plugin, _, thread), plugin.serving():
        wrong: list[Any] = []

        def work(number: int) -> None:
            for turn in range(200):
                params = {"who": number, "turn": turn}
                if link.ask("work", params) != params:
                    wrong.append(params)

        async def loop_work() -> None:
            for turn in range(100):
                if await link.request("vitals", {"turn": turn})[1] != {"turn": turn}:
                    wrong.append(turn)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for one in threads:
            one.start()
        beside = [thread.submit(loop_work()) for _ in range(3)]
        for one in threads:
            one.join()
        for future in beside:
            future.result()
        assert wrong == []
        assert (link.in_flight, link._leader, link._sleepers) == (0, None, {})


# The end.


@pytest.mark.usefixtures("_system")
def test_end_of_file_is_told_to_the_owner_who_ends_the_callers(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, owner, thread):
        first, _, second, _ = two_callers(link, plugin, wait_until)
        plugin.socket.close()
        wait_until(lambda: owner.ends)
        assert owner.ends == [None]
        assert owner.threads == {thread._thread}
        between = Caller(link)
        wait_until(lambda: waits(link, between))
        on_loop(thread, lambda: link.fail_calls(lambda: LookupError("why")))
        errors = [caller.end() for caller in (first, second, between)]
        assert [str(error) for error in errors] == ["why"] * 3
        assert len(set(map(id, errors))) == 3
        with pytest.raises(LinkGone):
            link.ask("work", {})


def test_link_closed_while_a_thread_leads_ends_its_wait(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, thread):
        first, _, second, _ = two_callers(link, plugin, wait_until)
        on_loop(thread, link.close)
        wait_until(lambda: link._bell.fd < 0)
        on_loop(thread, lambda: link.fail_calls(lambda: LookupError("why")))
        assert str(first.end()) == str(second.end()) == "why"


def test_answers_are_drained_for_a_thread_that_leads(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, owner, thread):
        first, one, second, other = two_callers(link, plugin, wait_until)

        def drain() -> None:
            with link.mutex:  # nobody else reads meanwhile
                plugin.answer(other, 2)
                plugin.answer(one, 1)
                plugin.socket.close()
                link.drain()

        on_loop(thread, drain)
        assert (first.end(), second.end()) == (1, 2)
        wait_until(lambda: owner.ends == [None])


def test_broken_protocol_read_by_a_thread_ends_the_link(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, owner, thread):
        caller = Caller(link)
        plugin.request()
        plugin.send(b"\xc1")
        wait_until(lambda: owner.ends)
        assert link.is_over
        on_loop(thread, lambda: link.fail_calls(lambda: LookupError("why")))
        assert str(caller.end()) == "why"


def test_channel_that_fails_under_a_thread_ends_the_link(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, owner, thread):
        caller = Caller(link)
        plugin.request()

        def fail(_: Any) -> int:
            raise OSError("the channel is broken")

        link._recv_into = fail
        plugin.notify("anything")
        wait_until(lambda: owner.ends)
        assert isinstance(owner.ends[0], OSError)
        on_loop(thread, lambda: link.fail_calls(lambda: LookupError("why")))
        assert str(caller.end()) == "why"


def test_exception_in_the_middle_of_a_message_ends_the_link_and_not_the_others_wait(
    wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shared() as (link, plugin, owner, thread):
        first, one, second, _ = two_callers(link, plugin, wait_until)

        def interrupted(*_: Any) -> Any:
            raise SystemExit("by a signal handler")

        monkeypatch.setattr("plugin_host.askedlink.take_answer", interrupted)
        plugin.answer(one, 1)
        assert isinstance(first.end(), SystemExit)
        wait_until(lambda: owner.ends)
        assert isinstance(owner.ends[0], LocalProtocolError)
        assert "SystemExit" in str(owner.ends[0])
        on_loop(thread, lambda: link.fail_calls(lambda: LookupError("why")))
        assert str(second.end()) == "why"


def test_link_that_is_being_stopped_takes_no_calls(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, thread):
        on_loop(thread, lambda: link.request("shutdown", {}))
        plugin.request("shutdown")
        with pytest.raises(LinkGone):
            link.ask("work", {})


def on_loop(thread: Any, function: Callable[[], Any]) -> None:
    """Call it on the loop, and wait for that."""

    async def call() -> None:
        function()
        await asyncio.sleep(0)

    thread.run(call())


def test_call_error_is_the_base_of_what_callers_meet() -> None:
    assert not issubclass(LinkGone, CallError)  # it is for the host, which asks anew
