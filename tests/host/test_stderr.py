"""Lines of a plugin's stderr: whole, bounded, and never at the expense of the loop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from plugin_host.stderr import CUT_MARKER, LINE_BYTES, TAIL_BYTES, TAIL_LINES, LineMeter, StderrReader
from tests.effort import examples
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges


class Pipe:
    """A reader, the lines it handed over, and the writing end."""

    def __init__(
        self, on_line: Callable[[str], None] | None = None, meter: LineMeter | None = None
    ) -> None:
        self.lines: list[str] = []
        fd, self.end = os.pipe()
        self.reader = StderrReader(fd, asyncio.get_running_loop(), on_line or self.lines.append, meter)

    def given_to(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program that has the writing end as stderr, and as stdout."""
        return subprocess.Popen(command, stdout=self.end, stderr=self.end)

    def write(self, data: bytes) -> None:
        os.write(self.end, data)

    def hang_up(self) -> None:
        if self.end >= 0:
            os.close(self.end)
            self.end = -1


@contextmanager
def pipe(on_line: Callable[[str], None] | None = None, meter: LineMeter | None = None) -> Iterator[Pipe]:
    made = Pipe(on_line, meter)
    try:
        yield made
    finally:
        made.reader.close()
        made.hang_up()


def read_at_once(run: Run, data: bytes) -> Pipe:
    """What becomes of ``data`` (at most a pipe-full) and the end of file after it."""

    async def body() -> Pipe:
        with pipe() as made:
            made.write(data)
            made.hang_up()
            made.reader.drain()
            return made

    return run(body())


def test_lines_arrive_as_they_are_written(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        with pipe() as made:
            made.write(b"one\ntw")
            await wait_until.aio(lambda: made.lines == ["one"])
            made.write(b"o\nthree\n")
            await wait_until.aio(lambda: made.lines == ["one", "two", "three"])
            assert made.reader.tail == ("one", "two", "three")

    run(body())


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"no newline", ["no newline"]),
        (b"\n\n", ["", ""]),
        (b"windows\r\n", ["windows"]),
        (b"50 %\r100 %\n", ["50 %\r100 %"]),
        (b"bad \xff\xfe byte\n", ["bad \ufffd\ufffd byte"]),
        ("räksmörgås\n".encode(), ["räksmörgås"]),
    ],
)
def test_text_becomes_lines(run: Run, data: bytes, lines: list[str]) -> None:
    assert read_at_once(run, data).lines == lines


def test_character_in_two_pieces_stays_whole(run: Run) -> None:
    async def body() -> None:
        with pipe() as made:
            for byte in "ö\n".encode():
                made.write(bytes([byte]))
                await asyncio.sleep(0)
            made.reader.drain()
            assert made.lines == ["ö"]

    run(body())


def test_longest_line_is_kept_whole(run: Run) -> None:
    data = b"x" * LINE_BYTES
    assert read_at_once(run, data + b"\nnext\n").lines == [data.decode(), "next"]


def test_longer_line_is_cut_with_a_marker_and_its_rest_goes_by(run: Run) -> None:
    data = b"x" * (LINE_BYTES + 1) + b"rest" * 9999
    assert read_at_once(run, data + b"\nnext\n").lines == ["x" * LINE_BYTES + CUT_MARKER, "next"]


def test_cut_inside_a_character_leaves_no_damage(run: Run) -> None:
    data = b"x" * (LINE_BYTES - 1) + "öö\n".encode()
    assert read_at_once(run, data).lines == ["x" * (LINE_BYTES - 1) + CUT_MARKER]


def test_rest_of_a_cut_line_stays_hidden_after_a_drain(run: Run) -> None:
    async def body() -> None:
        with pipe() as made:
            made.write(b"x" * (LINE_BYTES + 1))
            made.reader.drain()
            made.write(b"rest\nnext\n")
            made.reader.drain()
            assert made.lines == ["x" * LINE_BYTES + CUT_MARKER, "next"]

    run(body())


def test_tail_keeps_the_last_lines(run: Run) -> None:
    made = read_at_once(run, b"".join(b"%d\n" % n for n in range(1000)))
    assert made.reader.tail == tuple(str(n) for n in range(1000 - TAIL_LINES, 1000))
    assert len(made.lines) == 1000


def test_tail_is_bounded_in_bytes_too(run: Run) -> None:
    made = read_at_once(run, (b"x" * 1000 + b"\n") * 60)
    assert len(made.reader.tail) == 60
    made = read_at_once(run, (b"x" * 8000 + b"\n") * 8)
    assert sum(map(len, made.reader.tail)) <= TAIL_BYTES
    assert len(made.reader.tail) == 8


def test_end_of_file_hands_over_the_rest_and_closes(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        with pipe() as made:
            made.write(b"last words")
            made.hang_up()
            await wait_until.aio(lambda: made.reader.closed)
            assert made.lines == ["last words"]
            made.reader.drain()
            made.reader.close()

    run(body())


def test_drain_does_not_wait_for_end_of_file(run: Run) -> None:
    async def body() -> None:
        with pipe() as made:
            made.reader.drain()
            made.write(b"so far")
            made.reader.drain()
            assert made.lines == ["so far"]
            assert not made.reader.closed

    run(body())


def test_lines_after_a_drain_still_arrive(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        with pipe() as made:
            made.reader.drain()
            made.write(b"late\n")
            await wait_until.aio(lambda: made.lines == ["late"])

    run(body())


def test_drain_of_an_endless_writer_ends(run: Run) -> None:
    async def body() -> None:
        with pipe() as made:
            writer = made.given_to("yes", "x" * 50)
            try:
                made.reader.drain()
            finally:
                writer.kill()
                writer.wait()

    run(body())


def test_receiver_that_raises_is_reported_and_the_next_line_still_comes(run: Run) -> None:
    async def body() -> None:
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context["exception"])
        )
        error = LookupError("cannot take it")
        taken: list[str] = []

        def on_line(line: str) -> None:
            taken.append(line)
            if line == "one":
                raise error

        with pipe(on_line) as made:
            made.write(b"one\ntwo\n")
            made.reader.drain()
        assert taken == ["one", "two"]
        assert reported == [error]

    run(body())


def test_receiver_may_close_the_reader(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        made = Pipe(lambda _: made.reader.close())
        made.write(b"one\n" * 1000)
        await wait_until.aio(lambda: made.reader.closed)
        made.hang_up()
        await asyncio.sleep(0)

    run(body())


def test_many_lines_do_not_hold_up_the_loop(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        most = 0
        since_tick = 0

        def on_line(_: str) -> None:
            nonlocal most, since_tick
            since_tick += 1
            most = max(most, since_tick)

        def tick() -> None:
            nonlocal since_tick
            since_tick = 0
            if not made.reader.closed:
                asyncio.get_running_loop().call_soon(tick)

        with pipe(on_line) as made:
            tick()
            made.write(b"\n" * 60_000)
            made.hang_up()
            await wait_until.aio(lambda: made.reader.closed)
        assert 0 < most <= 256

    run(body())


@pytest.mark.deadline(60)
@pytest.mark.parametrize(
    ("code", "most_lines"),
    [
        ("for _ in range(100): os.write(2, bytes(1 << 20))", 1),  # one line of 100 MB
        ("for _ in range(100): os.write(2, b'x' * 9999 + b'\\n')", 100),
        ("for _ in range(2): os.write(2, b'\\n' * (1 << 16))", 2 << 16),
    ],
)
def test_flood_is_read_in_bounded_memory(
    run: Run, wait_until: WaitUntil, code: str, most_lines: int
) -> None:
    count = 0

    def on_line(line: str) -> None:
        nonlocal count
        count += 1

    async def body() -> None:
        with pipe(on_line) as made:
            writer = made.given_to(sys.executable, "-S", "-c", f"import os\n{code}")
            made.hang_up()
            await wait_until.aio(lambda: made.reader.closed, timeout=50)
            assert writer.wait() == 0

    tracemalloc.start()
    try:
        run(body())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == most_lines
    assert peak < 2 * 1024 * 1024


# With a meter: what it has no room for is counted, and the tail is what it would have been.


class Meter:
    """Has room for `left` lines."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.dropped = 0

    def admit(self) -> bool:
        if self.left > 0:
            self.left -= 1
            return True
        self.dropped += 1
        return False

    def room(self) -> int:
        return self.left

    def drop(self, count: int) -> None:
        self.dropped += count


def test_lines_are_handed_over_while_there_is_room(run: Run) -> None:
    async def body() -> None:
        meter = Meter(3)
        with pipe(meter=meter) as made:
            made.write(b"one\ntwo\nthree\n")
            made.reader.drain()
            made.write(b"four\nfive\nhalf")
            made.reader.drain()
            assert made.lines == ["one", "two", "three"]
            assert made.reader.tail == ("one", "two", "three", "four", "five", "half")
            assert meter.dropped == 3

    run(body())


def test_tail_can_be_asked_for_in_the_middle_of_a_flood(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        meter = Meter(0)
        with pipe(meter=meter) as made:
            made.write(b"".join(b"%d\n" % n for n in range(5000)) + b"be")
            await wait_until.aio(lambda: meter.dropped == 5000)
            assert made.reader.tail == tuple(str(n) for n in range(5000 - TAIL_LINES, 5000))
            made.write(b"gun\nnext\n")
            await wait_until.aio(lambda: meter.dropped == 5002)
            assert made.reader.tail[-3:] == ("4999", "begun", "next")
            meter.left = 10
            made.write(b"heard\n")
            await wait_until.aio(lambda: made.lines == ["heard"])
            assert made.reader.tail[-3:] == ("begun", "next", "heard")

    run(body())


texts = st.lists(
    st.sampled_from([b"\n", b"a\n" * 300, b"line\r\n", b"word", b"\xc3", b"\xb6" * 9, b"x" * 9000])
    | st.builds(bytes.__mul__, st.just(b"short line\n"), st.integers(1, 200)),
    max_size=30,
)


@hypothesis_settings(max_examples=examples(40))
@given(writes=texts, room=st.integers(0, 400), drained=st.sets(st.integers(0, 30), max_size=3))
def test_tail_of_what_is_dropped_is_that_of_what_is_heard(
    writes: list[bytes], room: int, drained: set[int]
) -> None:
    async def body() -> None:
        meter, everything = Meter(room), Meter(1 << 30)
        with pipe(meter=meter) as made, pipe(meter=everything) as other, pipe() as plain:
            for number, data in enumerate(writes):
                for one in (made, other, plain):
                    one.write(data)
                    one.reader._on_readable()  # as the loop does; a drain ends lines
                    if number in drained:
                        one.reader.drain()
            for one in (made, other, plain):
                one.hang_up()
                one.reader.drain()
            assert other.lines == plain.lines
            assert len(made.lines) <= room
            assert made.reader.tail == plain.reader.tail
            assert meter.dropped + len(made.lines) == len(plain.lines)

    asyncio.run(body())


@pytest.mark.deadline(60)
def test_flood_that_is_dropped_takes_a_part_of_the_loop(run: Run, wait_until: WaitUntil) -> None:
    """50 MB of short lines, by a child that would otherwise keep the loop busy."""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        meter = Meter(0)
        code = "import os\nfor _ in range(800): os.write(2, b'a short line\\n' * 5000)"
        with pipe(meter=meter) as made:
            writer = made.given_to(sys.executable, "-S", "-c", code)
            made.hang_up()
            busy, begun = time.thread_time(), loop.time()
            await wait_until.aio(lambda: made.reader.closed, timeout=50)
            share = (time.thread_time() - busy) / (loop.time() - begun)
            assert writer.wait() == 0
            assert meter.dropped == 800 * 5000
            assert made.reader.tail == ("a short line",) * TAIL_LINES
            assert share < 0.5

    run(body())
