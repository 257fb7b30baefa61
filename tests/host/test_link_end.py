"""How a link ends: by end of file, by a broken protocol, or closed by its owner."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from plugin_host_sdk.errors import RemoteProtocolError
from plugin_host_sdk.events import PeerFailed
from tests.linked import Owner, linked
from tests.run import Run
from tests.wait import WaitUntil


async def settled(owner: Owner, wait_until: WaitUntil) -> Exception | None:
    """How the link ended."""
    await wait_until.aio(lambda: owner.ends)
    (end,) = owner.ends
    return end


def test_end_of_file_ends_the_link_once_and_without_blame(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            plugin.socket.close()
            assert await settled(owner, wait_until) is None
            assert link.is_over
            link.close()
            assert owner.ends == [None]

    run(body())


def test_open_calls_fail_each_with_an_error_of_its_own(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            calls = [link.request("work", {})[1] for _ in range(5)]
            plugin.socket.close()
            await settled(owner, wait_until)
            assert not any(call.done() for call in calls)  # the owner says why
            link.fail_calls(lambda: LookupError("why"))
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert [str(error) for error in errors] == ["why"] * 5
            assert len({id(error) for error in errors}) == 5
            assert link.in_flight == 0

    run(body())


def test_call_between_the_end_and_its_explanation_waits_for_it(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            plugin.socket.close()
            await settled(owner, wait_until)
            msgid, late = link.request("work", {})
            other, given_up = link.request("work", {})
            link.abandon(other)
            link.fail_calls(lambda: LookupError("why"))
            with pytest.raises(LookupError):
                await late
            assert not given_up.done()
            assert link.abandon(msgid) is None

    run(body())


def test_call_after_the_end_was_explained_fails_at_once(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            plugin.socket.close()
            await settled(owner, wait_until)
            link.fail_calls(lambda: LookupError("why"))
            link.fail_calls(lambda: LookupError("what came after"))
            _, late = link.request("work", {})
            with pytest.raises(LookupError, match=r"^why$"):
                await late
            assert link.in_flight == 0

    run(body())


def test_answers_before_the_end_of_file_still_count(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            calls = [link.request("work", {})[1] for _ in range(100)]
            asked = [await plugin.request() for _ in calls]
            await plugin.send(b"".join(plugin.connection.send_response(one.msgid, 1) for one in asked))
            plugin.socket.close()
            link.drain()
            assert await asyncio.gather(*calls) == [1] * 100
            assert owner.ends == [None]

    run(body())


@pytest.mark.parametrize(
    "data", [b"\xc1", b"\x94\x01\x0b\xc0\xc0", b"\x93\x02\xa4ping\x90", b"\x01"], ids=repr
)
def test_broken_protocol_is_told_to_the_plugin_and_to_the_owner(
    run: Run, wait_until: WaitUntil, data: bytes
) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            await plugin.send(data)
            end = await settled(owner, wait_until)
            assert isinstance(end, RemoteProtocolError)
            assert (await plugin.expect(PeerFailed)).error["name"] == "rpc.protocol"
            assert link.is_over

    run(body())


def test_messages_before_the_broken_one_are_heard(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            _, call = link.request("work", {})
            asked = await plugin.request()
            await plugin.send(plugin.connection.send_response(asked.msgid, 1) + b"\xc1")
            assert await call == 1
            assert isinstance(await settled(owner, wait_until), RemoteProtocolError)

    run(body())


def test_closed_link_reads_and_writes_no_more(run: Run) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            link.close()
            await plugin.send(plugin.connection.send_notification("log", {"message": "x"}))
            await asyncio.sleep(0.02)
            link.drain()
            assert (owner.notices, owner.ends) == ([], [])
            assert link.is_over

    run(body())


def test_owner_that_raises_does_not_stop_the_link(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with linked() as (link, plugin, owner):
            told: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

            def fail(method: str, params: Any) -> None:
                raise LookupError("a bug of the owner")

            owner.notified = fail  # type: ignore[method-assign]
            notice = plugin.connection.send_notification("log", {"message": "x"})
            await plugin.send(notice + notice)
            await wait_until.aio(lambda: told)
            _, call = link.request("work", {})
            await plugin.answer((await plugin.request()).msgid, 1)
            assert await asyncio.wait_for(call, 5) == 1

    run(body())
