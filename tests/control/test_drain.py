"""An output on its way into a descriptor: whole or visibly cut, at the pace of its reader."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from plugin_host.control.drain import Drain
from plugin_host.control.hangup import HangupWatch
from tests.run import Run
from tests.wait import WaitUntil

PIECE = bytes(range(256)) * 256


@contextmanager
def drain(*, shared: bool = False) -> Iterator[tuple[Drain, socket.socket, list[int]]]:
    """A drain, the client's end, and the sizes that were taken."""
    watch = HangupWatch()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    if not shared:
        theirs.send(b"\0")
    made, taken = Drain(ours, watch, shared=shared), list[int]()
    made.taken = taken.append
    try:
        yield made, theirs, taken
    finally:
        made.abort()
        theirs.close()
        watch.close()


def read(sock: socket.socket) -> bytes:
    """To the end of file, which a reset is not."""
    data = b""
    while more := sock.recv(1 << 20):
        data += more
    return data


def test_a_clean_end_is_an_end_of_file(run: Run) -> None:
    async def body() -> None:
        with drain() as (one, theirs, taken):
            one.put(b"all of it")
            one.finish()
            assert one.is_closed
            assert (theirs.recv(100), theirs.recv(100), theirs.recv(100)) == (b"all of it", b"", b"")
            assert taken == [9]

    run(body())


def test_what_a_client_writes_into_an_output_does_not_spoil_its_end(run: Run) -> None:
    async def body() -> None:
        with drain() as (one, theirs, _):
            theirs.sendall(b"x" * 100_000)
            one.put(b"all of it")
            one.finish()
            assert read(theirs) == b"all of it"
            with pytest.raises(BrokenPipeError):
                theirs.send(b"more")

    run(body())


def test_a_cut_is_a_reset_behind_the_last_byte(run: Run) -> None:
    async def body() -> None:
        with drain() as (one, theirs, _):
            one.put(b"some of it")
            one.cut()
            one.put(b"not this")
            assert theirs.recv(100) == b"some of it"
            with pytest.raises(ConnectionResetError):
                theirs.recv(100)

    run(body())


def test_a_shared_descriptor_ends_either_way(run: Run) -> None:
    async def body() -> None:
        for end in ("finish", "cut"):
            with drain(shared=True) as (one, theirs, _):
                one.put(b"output")
                getattr(one, end)()
                assert read(theirs) == b"output"

    run(body())


def test_a_slow_reader_gets_every_byte_and_its_credit_waits_with_it(run: Run) -> None:
    async def body() -> None:
        with drain() as (one, theirs, taken):
            theirs.setblocking(False)
            for _ in range(16):
                one.put(PIECE)
            one.finish()
            assert sum(taken) < 16 * len(PIECE)
            data = b""
            while not one.closed.done():
                data += theirs.recv(100_000)
                await asyncio.sleep(0)
            data += read(theirs)
            assert data == PIECE * 16
            assert sum(taken) == len(data)

    run(body())


@pytest.mark.parametrize("waits", [False, True], ids=["idle", "with bytes that wait"])
def test_a_client_that_closes_is_noticed_at_once(run: Run, wait_until: WaitUntil, waits: bool) -> None:
    async def body() -> None:
        with drain() as (one, theirs, _):
            for _ in range(16 if waits else 0):
                one.put(PIECE)
            theirs.close()
            await wait_until.aio(lambda: one.is_closed)
            one.put(b"nobody reads this")

    run(body())


def test_a_drain_that_is_aborted_leaves_nothing_in_the_loop(run: Run) -> None:
    """Its number is soon that of another descriptor, which is nobody's to be written to."""

    async def body() -> None:
        with drain() as (one, _, _):
            number = one._sock.fileno()
            for _ in range(16):
                one.put(PIECE)
            assert one._is_waiting
            one.abort()
            assert not asyncio.get_running_loop().remove_writer(number)

    run(body())


def test_a_client_that_reads_no_more_is_noticed_when_written_to(run: Run) -> None:
    async def body() -> None:
        with drain() as (one, theirs, _):
            theirs.shutdown(socket.SHUT_RD)
            one.put(b"x")
            assert one.is_closed

    run(body())


def test_a_client_that_only_says_it_will_not_write_goes_on_reading(run: Run) -> None:
    async def body() -> None:
        with drain() as (one, theirs, _):
            theirs.shutdown(socket.SHUT_WR)
            await asyncio.sleep(0.01)
            one.put(b"still here")
            one.finish()
            assert read(theirs) == b"still here"

    run(body())


def test_an_idle_descriptor_costs_no_wakeups(run: Run) -> None:
    """The byte that lies unread in each output must not be told of by the poller."""

    async def body() -> None:
        with drain() as (one, _, _):
            assert select.select([one._watch._poller], [], [], 0)[0] == []

    run(body())
