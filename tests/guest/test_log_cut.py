"""A log that has not arrived when its result has waited long enough is cut, and its readers are told."""

from __future__ import annotations

import pytest

from plugin_host.errors import CallFailed
from plugin_host.guest import GuestTimes
from plugin_host.task.logreader import LogReader
from tests.guest.place import serving
from tests.run import Run
from tests.wait import WaitUntil

SOON = GuestTimes(log=0.05, close=0.1)


async def read(reader: LogReader) -> int:
    """How many bytes a reader gets, of a log that ends short."""
    before = reader.offset
    with pytest.raises(CallFailed, match=r"is cut: 0.05 s behind the result") as cut:
        await drained(reader)
    assert cut.value.name == "task.log_cut"
    return reader.offset - before


async def drained(reader: LogReader) -> list[bytes]:
    return [data async for data in reader]


def test_log_that_never_ends_holds_up_no_result(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with serving(times=GuestTimes(log=0.05, close=0.1)) as place:
            log = await place.line()
            log.begin("POST", "log", Transfer_Encoding="chunked")
            log.chunk(b"some")
            await wait_until.aio(lambda: place.task.info.log_bytes == 4)
            assert (await place.ask("PUT", "failed")).status == 200
            assert (await place.task.result()).success is False
            log.chunk(b"more")
            assert (await log.answer()).status == 409
            assert await read(place.task.log()) == 4

    run(body())


def test_reader_that_is_slower_than_the_result_waits_is_told_that_the_rest_is_missing(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with serving(times=SOON) as place:
            slow = place.task.log()
            log = await place.line()
            log.send("POST", "log", bytes(4_000_000))
            await wait_until.aio(lambda: place.task.info.log_bytes > 1_000_000)
            assert (await place.ask("PUT", "success")).status == 200
            assert (await place.task.result()).success
            assert 1_000_000 < await read(slow) < 4_000_000

    run(body())


def test_log_that_arrives_in_time_is_not_cut(run: Run) -> None:
    async def body() -> None:
        async with serving(times=SOON) as place:
            assert (await place.ask("POST", "log", b"whole")).status == 200
            assert (await place.ask("PUT", "success")).status == 200
            assert await drained(place.task.log()) == [b"whole"]

    run(body())
