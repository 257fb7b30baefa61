"""The write side of a link when the plugin reads slowly, or not at all."""

from __future__ import annotations

import asyncio
import socket

import pytest

from plugin_host import patience, writer
from plugin_host.errors import CallFailed
from plugin_host_sdk.errors import RemoteProtocolError
from plugin_host_sdk.events import CancelReceived, ErrorReceived, RequestReceived, ResponseReceived
from tests.linked import Owner, PluginEnd, linked
from tests.run import Run
from tests.wait import WaitUntil

KIB = 1024
MIB = 1024 * KIB
SMALL = 8 * KIB
"""A socket's buffer that is soon full."""


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not read is given up after half a second."""
    monkeypatch.setattr(writer, "LOOK_S", 0.05)


def test_all_that_was_queued_arrives_once_the_plugin_reads(run: Run) -> None:
    async def body() -> None:
        async with linked(room=SMALL) as (link, plugin, _):
            calls = [link.request("work", {"n": n, "pad": "x" * (n % 5) * 50 * KIB})[1] for n in range(50)]
            seen = set()
            for _ in calls:
                asked = await plugin.expect(RequestReceived)
                seen.add(asked.params["n"])
                await plugin.answer(asked.msgid, asked.params["n"])
            assert seen == set(range(50))
            assert await asyncio.gather(*calls) == list(range(50))
            assert "waiting=False" in repr(link)

    run(body())


def test_small_message_overtakes_large_ones(run: Run) -> None:
    async def body() -> None:
        async with linked(room=SMALL) as (link, plugin, _):
            for number in range(5):
                link.request("large", {"n": number, "pad": b"x" * MIB})
            link.request("small", {})
            order = [(await plugin.expect(RequestReceived)).method for _ in range(6)]
            # The first was in writing already.
            assert order.index("small") == 1

    run(body())


def test_cancel_does_not_overtake_its_large_call(run: Run) -> None:
    async def body() -> None:
        async with linked(room=SMALL) as (link, plugin, _):
            first, _ = link.request("large", {"pad": b"x" * MIB})
            second, _ = link.request("large", {"pad": b"x" * MIB})
            link.abandon(second)
            asked = [await plugin.expect(RequestReceived) for _ in range(2)]
            assert [one.msgid for one in asked] == [first, second]
            assert (await plugin.expect(CancelReceived)).msgid == second

    run(body())


def test_small_calls_of_one_turn_leave_together_and_in_order(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, _):
            first = [link.request("work", {"n": n})[1] for n in range(40)]
            for _ in first:
                await plugin.request()

            async def again(call: asyncio.Future[object], number: int) -> object:
                await call
                return await link.request("again", {"n": number})[1]

            second = [asyncio.ensure_future(again(call, n)) for n, call in enumerate(first)]
            await plugin.send(b"".join(plugin.connection.send_response(n, n) for n in range(40)))
            order = []
            for _ in second:
                asked = await plugin.request("again")
                order.append(asked.params["n"])
                await plugin.answer(asked.msgid, asked.params["n"])
            assert order == list(range(40))
            assert await asyncio.gather(*second) == list(range(40))

    run(body())


def test_open_calls_are_not_held_against_a_plugin_that_does_not_read(run: Run) -> None:
    async def body() -> None:
        async with linked(room=SMALL) as (link, _, owner):
            for _ in range(10):
                link.request("large", {"pad": b"x" * MIB})
            await asyncio.sleep(0.02)
            assert owner.ends == []
            assert "waiting=True" in repr(link)

    run(body())


def test_calls_that_were_given_up_are(run: Run, soon: None, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked(room=SMALL) as (link, _, owner):
            for _ in range(10):
                msgid, _ = link.request("large", {"pad": b"x" * MIB})
                link.abandon(msgid)
            await wait_until.aio(lambda: owner.ends)
            (end,) = owner.ends
            assert isinstance(end, RemoteProtocolError)
            assert "does not read" in str(end)

    run(body())


def test_answered_calls_do_not_count_any_more(run: Run) -> None:
    """A plugin that reads in the end starts anew, however much had to wait before."""

    async def body() -> None:
        async with linked(room=SMALL) as (link, plugin, owner):
            for _ in range(5):
                calls = [link.request("large", {"pad": b"x" * MIB})[1] for _ in range(5)]
                for _ in calls:
                    await plugin.answer((await plugin.expect(RequestReceived)).msgid)
                await asyncio.gather(*calls)
            assert owner.ends == []
            assert link._writer.call_bytes == 0
            assert link._queued == {}

    run(body())


def test_calls_beyond_what_may_wait_are_refused_as_busy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MOST_BYTES", 8 * MIB)

    async def body() -> None:
        async with linked(room=SMALL) as (link, _, owner):
            for _ in range(9):
                msgid, _ = link.request("large", {"pad": b"x" * MIB})
                link.abandon(msgid)
            with pytest.raises(CallFailed, match="bytes wait for this plugin") as refused:
                link.request("large", {"pad": b"x" * MIB})
            assert (refused.value.name, refused.value.retryable) == ("rpc.busy", True)
            link.request("of the host's own", {}, name="")
            assert owner.ends == []

    run(body())


def test_plugin_that_does_not_read_its_answers_is_given_up(
    run: Run, soon: None, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with linked(room=SMALL) as (link, plugin, owner):
            for _ in range(600):
                await plugin.ask(owner)
            for event in owner.requests:
                link.answer(event.msgid, "x" * 10 * KIB)
            assert link.is_full
            assert owner.ends == [], "it may be about to read"
            await wait_until.aio(lambda: owner.ends)
            (end,) = owner.ends
            assert "does not read: it has taken nothing for 10 s" in str(end)
            link.answer(owner.requests[-1].msgid, "nothing is written any more")

    run(body())


def test_refused_error_is_written_before_the_end(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            link.refuse(await plugin.ask(owner), CallFailed("no"))
            link.close()
            await plugin.hear()
            assert len(plugin.events) == 1

    run(body())


def test_plugin_that_closed_its_reading_end_alone_is_noticed_at_a_write(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            plugin.socket.shutdown(socket.SHUT_RD)
            link.request("work", {})
            await wait_until.aio(lambda: owner.ends)
            assert "closed the end that it reads from" in str(owner.ends[0])

    run(body())


def test_plugin_that_closed_both_is_gone_without_blame(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            plugin.socket.close()
            for _ in range(5):
                link.request("work", {})
            await wait_until.aio(lambda: owner.ends)
            assert owner.ends == [None]

    run(body())


async def _asked(plugin: PluginEnd, owner: Owner, count: int) -> list[int]:
    """The ids of so many requests of the plugin."""
    return [await plugin.ask(owner) for _ in range(count)]


@pytest.mark.parametrize(("count", "size"), [(2, 5_000_000), (4, 15_000_000), (64, 200_000)])
def test_plugin_that_reads_gets_all_answers_however_many_come_at_once(
    run: Run, count: int, size: int
) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            asked = await _asked(plugin, owner, count)
            for msgid in asked:
                link.answer(msgid, b"x" * size)
            answers = [await plugin.expect(ResponseReceived) for _ in asked]
            assert sorted(one.msgid for one in answers) == asked
            assert {len(one.result) for one in answers} == {size}
            assert owner.ends == []
            assert not link.is_full

    run(body())


def test_plugin_that_reads_a_little_now_and_then_is_not_given_up(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            for msgid in await _asked(plugin, owner, 2):
                link.answer(msgid, b"x" * 15_000_000)
            for _ in range(5):
                for _ in range(9):
                    link._writer._keep_looking()
                await plugin.hear()
            assert link.is_full
            assert owner.ends == []
            for _ in range(12):
                link._writer._keep_looking()
            assert len(owner.ends) == 1

    run(body())


def test_answers_beyond_what_may_wait_become_errors(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MOST_BYTES", 8 * MIB)

    async def body() -> None:
        async with linked(room=SMALL) as (link, plugin, owner):
            asked = await _asked(plugin, owner, 20)
            for msgid in asked:
                link.answer(msgid, b"x" * MIB)
            assert link._writer.excess < 10 * MIB
            refused = [await plugin.expect(ErrorReceived) for _ in range(11)]
            assert {one.error["name"] for one in refused} == {"rpc.too_large"}
            assert "the answer is not kept" in refused[0].error["message"]
            answered = [await plugin.expect(ResponseReceived) for _ in range(9)]
            ids = [one.msgid for one in refused] + [one.msgid for one in answered]
            assert sorted(ids) == asked
            assert owner.ends == []

    run(body())


def test_plugin_that_asks_on_while_too_much_waits_is_given_up_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is refused takes room as well."""
    monkeypatch.setattr(patience, "MOST_BYTES", 5 * MIB)

    async def body() -> None:
        async with linked(room=SMALL) as (link, plugin, owner):
            for msgid in await _asked(plugin, owner, 120):
                link.refuse(msgid, CallFailed("x" * 100 * KIB))
            (end,) = owner.ends
            assert "asks on and reads too slowly" in str(end)

    run(body())
