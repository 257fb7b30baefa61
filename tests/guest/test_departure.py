"""Guests that go away in the middle of everything, hosts that do, and what is left then: nothing."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from plugin_host.errors import CallFailed, CallTimeout, InternalError, TaskLost
from plugin_host.guest import GuestServer, GuestTimes
from tests.guest.place import Place, serving
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

JSON = {"Content_Type": "application/json"}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def everything(place: Place, wait_until: WaitUntil) -> list[asyncio.Task[object]]:
    """A guest in the middle of a poll, a log, an artifact, a list, and a shell; and who waits for it."""
    task = place.task
    await place.ask("GET", "execute")
    opened = asyncio.create_task(task.get_artifact("/artifact"))
    action = await place.poll()
    artifact = await place.line()
    artifact.begin("POST", f"reply?id={action['id']}", Content_Length="100")
    artifact.writer.write(b"some")
    waiting: list[asyncio.Task[object]] = [asyncio.ensure_future((await opened).read())]

    waiting.append(asyncio.ensure_future(task.list_folder("/folder")))
    action = await place.poll()
    folder = await place.line()
    folder.begin("POST", f"reply?id={action['id']}", Content_Length="100", **JSON)
    folder.writer.write(b"{")

    opening = asyncio.ensure_future(task.open_shell(tty=False))
    action = await place.poll()
    shell = await place.line()
    shell.begin("GET", f"reply?id={action['id']}", **UPGRADE)
    assert (await shell.answer()).status == 101
    session = await opening
    waiting.append(asyncio.ensure_future(session.wait()))
    waiting.append(asyncio.ensure_future(anext(await session.attach())))
    waiting.append(asyncio.ensure_future(session.write(bytes(100_000))))

    log = await place.line()
    log.begin("POST", "log", Transfer_Encoding="chunked")
    log.chunk(b"some")
    polls = [await place.line() for _ in range(2)]
    for poll in polls:
        poll.send("GET", "poll")
    waiting.append(asyncio.ensure_future(task.result()))
    await wait_until.aio(lambda: task.info.log_bytes == 4)
    return waiting


def left(before: set[asyncio.Task[object]]) -> list[str]:
    """The tasks of the loop that were not there before."""
    return [repr(task) for task in asyncio.all_tasks() - before]


@pytest.mark.parametrize("how", ["close", "abort"])
def test_guest_that_goes_away_takes_nothing_with_it_but_its_shells(
    run: Run, how: str, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with serving(times=GuestTimes(reply=0.8, take=0.3, close=0.1)) as place:
            before: set[asyncio.Task[object]] = asyncio.all_tasks()
            waiting = await everything(place, wait_until)
            for line in place.lines:
                if how == "abort":
                    line.abort()
                else:
                    line.writer.close()
            *others, result = waiting
            ends = await asyncio.gather(*others, return_exceptions=True)
            assert [type(end) for end in ends] == [CallTimeout] * 2 + [InternalError] * 3
            result.cancel()
            await wait_until.aio(lambda: not left(before))
            # Another guest, or the same after a restart, goes on.
            assert place.task.state == "running"
            assert (await place.ask("POST", "log", b" more")).status == 200
            asked = asyncio.create_task(place.task.list_folder("/x"))
            action = await place.poll()
            await place.ask("POST", f"reply?id={action['id']}", b'{"files":[]}', **JSON)
            assert await asked == []
            assert (await place.ask("PUT", "success")).status == 200
            assert b"".join([data async for data in place.task.log()]) == b"some more"
        await wait_until.aio(lambda: not left(before))

    with caplog.at_level(logging.WARNING):
        run(body())
    assert caplog.records == []


def test_server_that_closes_leaves_nobody_waiting_and_nothing_behind(
    run: Run, wait_until: WaitUntil, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        before: set[asyncio.Task[object]] = asyncio.all_tasks()
        async with serving(times=GuestTimes(close=0.1)) as place:
            waiting = await everything(place, wait_until)
            polls = place.lines[-2:]
            await place.server.close("its machine crashed")
            assert [(await poll.answer()).json["type"] for poll in polls] == ["none", "none"]
            ends = await asyncio.gather(*waiting, return_exceptions=True)
            kinds = [CallFailed, CallFailed, InternalError, InternalError, InternalError, TaskLost]
            assert [type(end) for end in ends] == kinds
            assert all("its machine crashed" in str(end) for end in ends)
            with pytest.raises(TaskLost, match="its machine crashed"):
                await place.task.list_folder("/x")
            with pytest.raises(ConnectionRefusedError):
                await place.line()
            for line in place.lines:  # every connection has ended
                try:
                    await line.reader.read()
                except ConnectionError:
                    pass
        await wait_until.aio(lambda: not left(before))
        gc.collect()

    with caplog.at_level(logging.WARNING):
        run(body())
    assert caplog.records == []


def test_server_that_closes_with_nothing_to_do_takes_no_time(run: Run) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        async with serving(times=GuestTimes(close=5.0)) as place:
            polls = [await place.line() for _ in range(3)]
            for poll in polls:
                poll.send("GET", "poll")
            await place.ask("PUT", "success")
            began = loop.time()
            await place.server.close()
            assert loop.time() - began < 4.0
        assert (await place.task.result()).success

    run(body())


def test_requests_that_are_no_http_cost_their_connection(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            for nonsense in (
                b"\x00\x01\x02\r\n\r\n",
                b"GET /\r\n\r\n",
                b"GET / HTTP/1.1\r\n" + b"x" * 100_000,
            ):
                line = await place.line()
                line.writer.write(nonsense)
                try:
                    assert b" 400 " in await line.reader.read()
                except ConnectionError:
                    pass
            assert (await place.ask("GET", "ping")).status == 200

    run(body())


def test_server_can_be_closed_before_it_was_started(run: Run) -> None:
    async def body() -> None:
        await GuestServer().close()

    run(body())
