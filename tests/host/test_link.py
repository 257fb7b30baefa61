"""The asyncio driver against a plugin's end in the test: futures, deadlines, cancels, and the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from plugin_host.errors import CallCancelled, CallError, CallFailed, CallTimeout
from plugin_host_sdk.errors import RemoteProtocolError
from plugin_host_sdk.events import (
    CancelReceived,
    Closed,
    ErrorReceived,
    RequestReceived,
    ResponseReceived,
)
from tests.linked import Owner, linked
from tests.pair import ANSWER
from tests.run import Run
from tests.wait import WaitUntil

MIB = 1024 * 1024


async def settled(owner: Owner, wait_until: WaitUntil) -> Exception | None:
    """How the link ended."""
    await wait_until.aio(lambda: owner.ends)
    (end,) = owner.ends
    return end


def test_answers_find_their_calls_in_any_order(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            calls = [link.request("work", {"n": n})[1] for n in range(3)]
            asked = [await plugin.request() for _ in range(3)]
            for one in reversed(asked):
                await plugin.answer(one.msgid, one.params["n"] * 10)
            assert await asyncio.gather(*calls) == [0, 10, 20]
            assert link.in_flight == 0

    run(body())


def test_caller_that_is_alone_goes_on_where_its_answer_is_read(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            told: list[Any] = []
            read = link._read

            def noted() -> None:
                read()
                told.append("read")

            monkeypatch.setattr(link, "_read", noted)
            link._stop_listening()
            link._listen()

            async def ask(number: int) -> None:
                told.append(await link.call("work", {}, None, None, None, "work")[1] + number)

            for count in (1, 2):
                told.clear()
                tasks = [asyncio.create_task(ask(n)) for n in range(count)]
                asked = [await plugin.request() for _ in tasks]
                answers = [plugin.connection.send_response(one.msgid, 7) for one in asked]
                await plugin.send(b"".join(answers))
                await asyncio.gather(*tasks)
                assert told == ([7, "read"] if count == 1 else ["read", 7, 8])
            assert (link.in_flight, link._queued) == (0, {})

    run(body())


def test_whether_something_was_heard_is_told_until_it_is_cleared(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            assert link.has_heard
            link.has_heard = False
            await plugin.send(plugin.connection.send_notification("log", {"level": "info"})[:5])
            await wait_until.aio(lambda: link.has_heard)  # half a message is a sign of life, too

    run(body())


def test_oldest_call_is_the_first_that_is_not_answered(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            seen = [link.oldest_call]
            first, one = link.request("work", {})
            second, other = link.request("work", {})
            seen.append(link.oldest_call)
            await plugin.answer((await plugin.request()).msgid)
            await one
            seen.append(link.oldest_call)
            link.abandon(second)
            other.cancel()
            assert [*seen, link.oldest_call] == [None, first, second, None]

    run(body())


def test_call_carries_its_metadata(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            link.request("work", {"a": 1}, {"timeout_ms": 5, "chain": ["x"]})
            asked = await plugin.request()
            assert (asked.params, asked.meta) == ({"a": 1}, {"timeout_ms": 5, "chain": ["x"]})

    run(body())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"name": "my.own", "code": 7, "message": "no", "data": [1], "retryable": True}, CallFailed),
        ({"name": "rpc.cancelled", "message": "no"}, CallCancelled),
        ({"name": "rpc.deadline_exceeded", "message": "no"}, CallTimeout),
        ("a text", CallFailed),
    ],
)
def test_error_is_raised_as_its_kind(run: Run, error: Any, kind: type[CallError]) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            _, call = link.request("work", {})
            asked = await plugin.request()
            await plugin.send(plugin.connection.send_error(asked.msgid, error))
            with pytest.raises(kind) as caught:
                await call
            assert type(caught.value) is kind

    run(body())


def test_deadline_ends_the_call_and_tells_the_plugin(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            loop = asyncio.get_running_loop()
            msgid, call = link.request("work", {}, None, loop.time() + 0.02)
            with pytest.raises(CallTimeout):
                await call
            assert (await plugin.expect(CancelReceived)).msgid == msgid
            await plugin.answer(msgid, "late")
            await wait_until.aio(lambda: link.connection.late_answers == 1)

    run(body())


def test_abandoned_call_is_told_to_the_plugin_and_its_answer_dropped(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            msgid, call = link.request("work", {})
            assert link.abandon(msgid) is call
            assert link.abandon(msgid) is None
            await plugin.request()
            assert (await plugin.expect(CancelReceived)).msgid == msgid
            await plugin.answer(msgid, "late")
            await wait_until.aio(lambda: link.connection.late_answers == 1)
            assert not call.done()

    run(body())


def test_progress_reaches_the_one_who_asked(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            seen: list[tuple[float, float | None, str]] = []
            msgid, call = link.request("work", {}, on_progress=lambda *one: seen.append(one))
            _, quiet = link.request("quiet", {})
            first, second = await plugin.request(), await plugin.request("quiet")
            for number in (msgid, second.msgid):
                await plugin.send(plugin.connection.send_progress(number, 1, 2, "half"))
            await plugin.answer(first.msgid, "done")
            await plugin.answer(second.msgid, "done")
            assert [await call, await quiet] == ["done", "done"]
            assert seen == [(1, 2, "half")]

    run(body())


def test_what_cannot_be_sent_fails_that_call_alone(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            for params, name in (({"a": object()}, "not_encodable"), ({"a": b"x" * 17 * MIB}, "too_large")):
                with pytest.raises(CallFailed) as caught:
                    link.request("work", params)
                assert caught.value.name == f"rpc.{name}"
            assert link.in_flight == 0
            _, call = link.request("work", {})
            await plugin.answer((await plugin.request()).msgid, 1)
            assert await call == 1

    run(body())


def test_calls_beyond_the_limit_are_refused_until_some_are_answered(
    run: Run, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr("plugin_host.asker.PENDING_REQUESTS", 5)

    async def body() -> None:
        async with linked() as (link, plugin, _):
            ids = [link.request("work", {})[0] for _ in range(5)]
            link.abandon(ids[0])  # given up, and not answered
            with pytest.raises(CallFailed, match="not answered") as caught:
                link.request("work", {})
            assert (caught.value.name, caught.value.retryable) == ("rpc.busy", True)
            for _ in range(5):
                await plugin.answer((await plugin.request()).msgid)
            await wait_until.aio(lambda: not link.connection.pending and not link.connection.abandoned)
            link.request("work", {})

    run(body())


# The plugin asks.


def test_ping_of_the_plugin_is_answered_by_the_link(run: Run) -> None:
    async def body() -> None:
        async with linked() as (_, plugin, owner):
            _, data = plugin.connection.send_request("ping", {"nonce": 3})
            await plugin.send(data)
            assert (await plugin.expect(ResponseReceived)).result == {"nonce": 3}
            assert owner.requests == []

    run(body())


def test_requests_cancels_and_notices_are_the_owners(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            msgid, data = plugin.connection.send_request("host.echo", {"a": 1}, {"chain": ["demo"]})
            await plugin.send(data)
            await wait_until.aio(lambda: owner.requests)
            assert owner.requests == [RequestReceived(msgid, "host.echo", {"a": 1}, {"chain": ["demo"]})]
            await plugin.send(plugin.connection.send_notification("log", {"message": "x"}))
            await plugin.send(plugin.connection.send_failure({"message": "y"}))
            await plugin.send(plugin.connection.send_cancel(msgid))
            await wait_until.aio(lambda: owner.cancels)
            assert owner.cancels == [msgid]
            assert owner.notices == [("log", {"message": "x"}), ("failure", {"message": "y"})]
            link.answer(msgid, "too late, and still owed")
            link.answer(msgid, "once is enough")

    run(body())


@pytest.mark.parametrize(
    ("result", "name"),
    [({1}, "rpc.not_encodable"), (b"x" * 17 * MIB, "rpc.too_large"), ({(1,): 2}, "rpc.not_encodable")],
    ids=["set", "huge", "key"],
)
def test_answer_that_cannot_travel_becomes_an_error(run: Run, result: Any, name: str) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            msgid = await plugin.ask(owner)
            link.answer(msgid, result)
            error = (await plugin.expect(ErrorReceived)).error
            assert error["name"] == name
            assert error["message"].startswith("the result of host.echo: ")

    run(body())


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (CallFailed("no", name="a\udcff"), "no"),
        (CallFailed(5), "5"),  # type: ignore[arg-type]
        (CallFailed("no", code=2**70), "no"),
    ],
    ids=["name", "message", "code"],
)
def test_error_of_which_nothing_can_travel_is_told_all_the_same(
    run: Run, error: CallFailed, message: str
) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            link.refuse(await plugin.ask(owner), error)
            told = (await plugin.expect(ErrorReceived)).error
            assert (told["name"], told["message"]) == ("rpc.internal", message)

    run(body())


def test_error_that_cannot_travel_is_sent_in_plain_words(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            msgid = await plugin.ask(owner)
            link.refuse(msgid, CallFailed("no", name="my.own", code=5, data={"thing": object()}))
            link.refuse(msgid, CallFailed("once is enough"))
            error = (await plugin.expect(ErrorReceived)).error
            assert (error["name"], error["code"], error["message"]) == ("my.own", 5, "no")

    run(body())


# Initialize.


def test_output_before_the_answer_is_the_owners_and_no_harm(run: Run) -> None:
    async def body() -> None:
        async with linked(ready=False) as (link, plugin, owner):
            link.initialize({"protocols": [1]})
            await plugin.send(b"Welcome to my plugin\n")
            asked = await plugin.request("initialize")
            await plugin.answer(asked.msgid, ANSWER)
            await asyncio.wait_for(asyncio.shield(link.initialized), 5)
            assert b"".join(owner.stray) == b"Welcome to my plugin\n"

    run(body())


def test_refusal_of_initialize_is_its_error(run: Run) -> None:
    async def body() -> None:
        async with linked(ready=False) as (link, plugin, owner):
            link.initialize({"protocols": [1]})
            asked = await plugin.request("initialize")
            error = CallFailed("no", name="initialize.no_common_protocol").to_map()
            await plugin.send(plugin.connection.send_error(asked.msgid, error))
            with pytest.raises(CallFailed, match="no"):
                await asyncio.wait_for(asyncio.shield(link.initialized), 5)
            assert owner.stray == []

    run(body())


# Raw peers.


def test_raw_peer_is_never_told_what_it_would_not_understand(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked(raw=True) as (link, plugin, owner):
            msgid, _ = link.request("work", [1, 2])
            link.abandon(msgid)
            asked = await plugin.request()
            assert (asked.params, asked.meta) == ([1, 2], None)
            await plugin.send(b"\xc1")
            assert isinstance(await settled(owner, wait_until), RemoteProtocolError)
            with pytest.raises(BlockingIOError):
                plugin.socket.recv(1)

    run(body())


def test_raw_peer_hears_errors_as_text(run: Run) -> None:
    async def body() -> None:
        async with linked(raw=True) as (link, plugin, owner):
            msgid = await plugin.ask(owner)
            link.refuse(msgid, CallFailed("may not", name="host.permission_denied"))
            assert (await plugin.expect(ErrorReceived)).error == "may not"

    run(body())


@pytest.mark.parametrize("is_error", [False, True])
def test_answer_to_a_call_given_up_by_what_came_with_it_is_dropped_alone(run: Run, is_error: bool) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            first, _ = link.request("work", {})
            second, answer = link.request("work", {})
            for _ in range(2):
                await plugin.request()
            owner.notified = lambda method, params: link.abandon(first)  # type: ignore[method-assign,assignment]
            send = plugin.connection
            told = send.send_notification("log", {"message": "x"})
            failure = CallFailed("no").to_map()
            given_up = send.send_error(first, failure) if is_error else send.send_response(first, 1)
            await plugin.send(told + given_up + send.send_response(second, 2))
            assert await asyncio.wait_for(answer, 5) == 2
            assert link.in_flight == 0

    run(body())


def test_repr_tells_the_state(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, _, _):
            link.request("work", {})
            assert "host ready" in repr(link)
            assert "in flight=1" in repr(link)

    run(body())
    assert Closed() == Closed()


@pytest.mark.parametrize("msgid", [None, "7", [7], {}, 7.0, 8])
def test_split_of_what_is_no_open_request_is_ignored(run: Run, msgid: Any) -> None:
    async def body() -> None:
        async with linked() as (link, _, _):
            told: list[Any] = []
            link.splits[7] = told.append
            link.take_split({"msgid": msgid})
            assert told == []
            link.take_split({"msgid": 7})
            link.take_split({"msgid": 7})
            assert told == [{"msgid": 7}]

    run(body())
