"""One client of a command listener: what it is answered, and when, whatever it sends."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from pathlib import Path

import pytest

from plugin_host.listener.limit import Limits
from plugin_host.listener.request import Request
from tests.host.talk import ECHO, QUICK, SLOW, Held, Talk, exchanged, room, said, serving
from tests.run import Run
from tests.stage import logged
from tests.wait import WaitUntil

__all__ = ["logged", "room"]


# One object, or many.


def test_one_object_is_answered_and_the_connection_closed_though_the_client_keeps_it_open(
    room: Path, run: Run
) -> None:
    async def body() -> None:
        async with serving(room):
            assert await exchanged(room / "s", ECHO) == [{"Status": 0, "StatusMessage": "", "n": 1}]

    run(body())


def test_object_may_come_byte_by_byte(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room):
            talk = await Talk.to(room / "s")
            for byte in ECHO:
                talk.say(bytes([byte]))
                await asyncio.sleep(0)
            assert (await talk.line())["n"] == 1
            assert await talk.rest() == b""
            await talk.close()

    run(body())


def test_trailing_newline_is_fine_and_a_client_that_waits_for_the_end_gets_it(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room, QUICK):
            assert len(await exchanged(room / "s", ECHO + b"\n")) == 1

    run(body())


def test_client_that_has_shut_down_its_writing_gets_its_reply_at_once(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room):
            assert len(await exchanged(room / "s", ECHO + b"\n", end=True)) == 1

    run(body())


def test_many_requests_on_lines_are_answered_in_order(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room):
            lines = b"".join(b'{"Command":"echo","n":%d}\n' % n for n in range(500))
            replies = await exchanged(room / "s", lines, end=True)
            assert [reply["n"] for reply in replies] == list(range(500))

    run(body())


def test_conversation_goes_on_as_long_as_the_client_likes(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room):
            talk = await Talk.to(room / "s")
            for n in range(3):
                talk.say(b'{"Command":"echo","n":%d}\n' % n)
                assert (await talk.line())["n"] == n
            talk.end()
            assert await talk.rest() == b""
            await talk.close()

    run(body())


def test_empty_line_in_front_keeps_the_connection_from_the_start(room: Path, run: Run) -> None:
    limits = dataclasses.replace(SLOW, linger_s=0.01)

    async def body() -> None:
        async with serving(room, limits):
            talk = await Talk.to(room / "s")
            talk.say(b"\n" + ECHO + b"\n")
            await talk.line()
            with pytest.raises(TimeoutError):  # ten times as long as it would linger
                await asyncio.wait_for(talk.reader.read(1), 0.1)
            talk.say(ECHO + b"\n")
            assert (await talk.line())["n"] == 1
            await talk.close()

    run(body())


def test_connection_for_many_that_is_silent_is_closed_without_a_word(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room, QUICK):
            talk = await Talk.to(room / "s")
            talk.say((ECHO + b"\n") * 2)
            assert len((await talk.rest()).splitlines()) == 2
            await talk.close()

    run(body())


def test_connection_that_begins_with_an_empty_line_may_be_silent_before_its_first_request(
    room: Path, run: Run
) -> None:
    async def body() -> None:
        async with serving(room, dataclasses.replace(QUICK, read_s=0.05, idle_s=10)):
            talk = await Talk.to(room / "s")
            talk.say(b"\n")
            with pytest.raises(TimeoutError):  # five times as long as a request may take
                await asyncio.wait_for(talk.reader.read(1), 0.25)
            talk.say(ECHO + b"\n")
            assert (await talk.line())["n"] == 1
            await talk.close()
            begun = await Talk.to(room / "s")
            begun.say(b"\n{")
            assert (await begun.line())["Status"] == 104
            await begun.close()
        async with serving(room, dataclasses.replace(QUICK, read_s=10, idle_s=0.05)):
            talk = await Talk.to(room / "s")
            talk.say(b"\n")
            assert await talk.rest() == b"", "it is closed without a word"
            await talk.close()

    run(body())


def test_wrong_request_on_a_line_does_not_end_the_conversation(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room):
            data = b'{"Command":1}\n' + ECHO + b"\n"
            assert [one["Status"] for one in await exchanged(room / "s", data, end=True)] == [102, 0]

    run(body())


# What cannot be read.


@pytest.mark.parametrize(
    ("data", "status", "position"),
    [
        (b"{}", 101, None),
        (b"null", 101, None),
        (b'{"Command":"nothing"}', 101, None),
        (b"5", 102, (1, 1, 0)),
        (b"[", 102, (1, 1, 0)),
        (b'{"Command":7}', 102, None),
        (b'{"Command": echo', 102, (1, 13, 12)),
        (ECHO + ECHO, 102, (1, 25, 24)),
        (b'{"a":"\xff', 102, (1, 7, 6)),
    ],
)
def test_refusal_comes_at_once_and_not_at_the_time_limit(
    room: Path, run: Run, data: bytes, status: int, position: tuple[int, int, int] | None
) -> None:
    async def body() -> None:
        async with serving(room):
            (reply,) = await exchanged(room / "s", data)
            assert reply["Status"] == status
            if position:
                assert tuple(reply[name] for name in ("Line", "Column", "Offset")) == position
                assert f"line {position[0]}, column {position[1]}" in reply["StatusMessage"]

    run(body(), timeout=5)


def test_unknown_command_is_told_the_nearest_known_ones(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room):
            reply = await said(room / "s", "ecko")
            assert reply["StatusMessage"] == "no command `ecko` (did you mean `echo`?); there are: echo"

    run(body())


@pytest.mark.parametrize(
    ("data", "answered", "offset"),
    [
        (b'{"Command":', 0, 11),
        (b"{", 0, 1),
        (b'{"Command":"echo","n":"\xc3', 0, 23),
        (ECHO + b"\n" + ECHO[:-1], 1, len(ECHO) - 1),
        (b"\xc3", 0, 0),
        (ECHO + b"\n\xc3", 1, 0),
    ],
)
def test_end_in_the_middle_of_a_request_really_hears_103(
    room: Path, run: Run, data: bytes, answered: int, offset: int
) -> None:
    async def body() -> None:
        async with serving(room):
            *others, cut = await exchanged(room / "s", data, end=True)
            assert [one["Status"] for one in others] == [0] * answered
            assert (cut["Status"], cut["Offset"]) == (103, offset)
            assert "ends in the middle" in cut["StatusMessage"]
            (wrong,) = await exchanged(room / "s", b'{"Command" "echo', end=True)
            assert wrong["Status"] == 102

    run(body())


def test_client_that_sends_without_end_is_refused_and_reads_why(room: Path, run: Run) -> None:
    """All that it has sent when it is refused is taken, so the refusal is not lost with it."""

    async def body() -> None:
        async with serving(room, dataclasses.replace(SLOW, request_bytes=10_000)):
            (reply,) = await exchanged(room / "s", b'{"a":"' + b"x" * 1_000_000, end=True)
            assert reply["Status"] == 102
            assert "larger than the 10000 bytes" in reply["StatusMessage"]

    run(body())


def test_request_of_the_largest_size_is_taken(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room, Limits()):
            head = b'{"Command":"echo","n":"'
            data = head + b"x" * (1024 * 1024 - len(head) - 2) + b'"}'
            (reply,) = await exchanged(room / "s", data)
            assert len(reply["n"]) == 1024 * 1024 - len(head) - 2

    run(body())


# Times.


@pytest.mark.parametrize("data", [b"", b'{"Command":"ec'])
def test_client_that_is_too_slow_to_ask_really_hears_104(room: Path, run: Run, data: bytes) -> None:
    async def body() -> None:
        async with serving(room, QUICK):
            (reply,) = await exchanged(room / "s", data)
            assert reply == {
                "Status": 104,
                "StatusMessage": "no complete request came within 0.3 s",
            }

    run(body())


def test_limit_of_a_millisecond_still_gives_a_reply(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room, dataclasses.replace(QUICK, read_s=0.001)):
            (reply,) = await exchanged(room / "s", b"")
            assert reply["Status"] == 104

    run(body())


def test_second_request_that_is_not_completed_is_told_104(room: Path, run: Run) -> None:
    async def body() -> None:
        async with serving(room, QUICK):
            replies = await exchanged(room / "s", ECHO + b"\n" + b'{"Comm')
            assert [one["Status"] for one in replies] == [0, 104]

    run(body())


def test_handler_that_is_too_slow_is_cancelled_and_the_client_hears_104(room: Path, run: Run) -> None:
    async def body() -> None:
        held = Held()
        async with serving(room, dataclasses.replace(SLOW, handle_s=0.1), held=held):
            reply = await said(room / "s", "held")
            assert reply["Status"] == 104
            assert reply["StatusMessage"] == "held: not done within 0.1 s"
        assert held.cancelled

    run(body())


def test_reading_and_handling_have_times_of_their_own(room: Path, run: Run) -> None:
    """A handler that takes longer than a request may take to come is not cut short by that."""

    async def body() -> None:
        async def slow(request: Request) -> None:
            await asyncio.sleep(0.6)

        async with serving(room, dataclasses.replace(SLOW, read_s=0.5), slow=slow):
            assert (await said(room / "s", "slow"))["Status"] == 0

    run(body())


def test_client_that_does_not_read_is_given_up_and_the_log_says_so(
    room: Path, run: Run, logged: pytest.LogCaptureFixture, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async def large(request: Request) -> dict[str, str]:
            return {"text": "x" * 5_000_000}

        async with serving(room, dataclasses.replace(SLOW, write_s=0.1), large=large):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(room / "s"))
                client.sendall(b'{"Command":"large"}')
                await wait_until.aio(lambda: "did not take its reply" in logged.text)
                assert (await said(room / "s", "echo"))["Status"] == 0

    run(body())


def test_slow_reader_within_its_time_gets_all_of_a_large_reply(room: Path, run: Run) -> None:
    async def body() -> None:
        async def large(request: Request) -> dict[str, str]:
            return {"text": "x" * 5_000_000}

        async with serving(room, large=large):
            assert len((await said(room / "s", "large"))["text"]) == 5_000_000

    run(body())
