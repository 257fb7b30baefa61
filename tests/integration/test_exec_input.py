"""Input: every byte as it was given, in order, at the program's pace, and with an end of its own."""

from __future__ import annotations

import asyncio
import hashlib
import random
from pathlib import Path

import psutil
import pytest

from plugin_host import SessionClosed
from tests.run import Run
from tests.session import PATIENCE_S, Reader, read, runner, sh

pytestmark = pytest.mark.edges

MIB = 1024 * 1024
EVERY_BYTE = bytes(range(256))
RAW = "stty raw -echo; echo ready; "


# Bytes.


@pytest.mark.parametrize("tty", [False, True])
def test_every_value_of_a_byte_passes_both_ways(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh(f"{RAW if tty else 'echo ready; '} exec cat")
            session = await host.exec("desk", script, tty=tty)
            reader = Reader(await session.attach())
            await reader.until(b"ready\n")
            sent = EVERY_BYTE * 8 + EVERY_BYTE[::-1]
            await session.write(sent)
            assert await reader.count(len(sent)) == sent
            for value in EVERY_BYTE:
                await session.write(bytes([value]))
            assert await reader.count(256) == EVERY_BYTE
            await session.close()

    run(body())


def test_characters_of_several_bytes_survive_however_they_are_split(run: Run, tmp_path: Path) -> None:
    text = "aé漢🙂" * 3000

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh(f"{RAW} exec cat"))
            reader = Reader(await session.attach())
            await reader.until(b"ready\n")
            for byte in text[:40].encode():
                await session.write(bytes([byte]))
            assert (await reader.count(len(text[:40].encode()))).decode() == text[:40]
            sending = asyncio.ensure_future(session.write(text.encode()))
            assert (await reader.count(len(text.encode()))).decode() == text
            await sending
            await session.close()

    run(body())


def test_anything_that_holds_bytes_can_be_written(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["cat"], tty=False)
            for kind in (bytes, bytearray, memoryview):
                await session.write(kind(b""))
                await session.write(kind(EVERY_BYTE))
            await session.close_stdin()
            assert (await read(session)).stdout == EVERY_BYTE * 3

    run(body())


def test_text_is_no_input(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["cat"], tty=False)
            with pytest.raises(TypeError):
                await session.write("text")  # type: ignore[arg-type]
            await session.write(b"bytes")
            await session.close_stdin()
            assert (await read(session)).stdout == b"bytes"

    run(body())


def test_writes_of_several_tasks_do_not_mix(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["cat"], tty=False)
            reading = asyncio.ensure_future(read(session))
            pieces = [bytes([number]) * 300_000 for number in range(10)]
            await asyncio.gather(*map(session.write, pieces))
            await session.close_stdin()
            assert (await reading).stdout == b"".join(pieces)

    run(body())


# Pace.


@pytest.mark.deadline(60)
def test_sixty_four_mebibytes_pass_through_unharmed(run: Run, tmp_path: Path) -> None:
    block = random.Random(1).randbytes(MIB)

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["cat"], tty=False)
            viewer = await session.attach()

            async def write() -> None:
                for number in range(64):
                    await session.write(block[number:] + block[:number])
                await session.close_stdin()

            writing = asyncio.ensure_future(write())
            arrived = hashlib.sha256()
            size = 0
            async for item in viewer:
                arrived.update(item.data)  # type: ignore[union-attr]  # a gap has none, and would show
                size += len(item.data)  # type: ignore[union-attr]
            await writing
            expected = hashlib.sha256()
            for number in range(64):
                expected.update(block[number:] + block[:number])
            assert size == 64 * MIB
            assert arrived.digest() == expected.digest()
            assert (await session.wait()).code == 0

    run(body())


@pytest.mark.parametrize("tty", [False, True])
def test_program_that_does_not_read_stops_its_writer_and_nobody_else(
    run: Run, tmp_path: Path, tty: bool
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            gate = tmp_path / "gate"
            script = sh(f"mkfifo {gate}; {RAW if tty else 'echo ready;'} read x <{gate}; exec cat")
            session = await host.exec("desk", script, tty=tty)
            reader = Reader(await session.attach())
            await reader.until(b"ready\n")
            pid = host.plugins["desk"].pid
            before = psutil.Process(pid).memory_info().rss
            sent = EVERY_BYTE * (16 * MIB // 256)
            writing = asyncio.ensure_future(session.write(sent))
            for number in range(50):
                assert await host.call("desk", "echo", {"value": number}) == number
                other = await host.exec("desk", ["cat"], tty=False)
                await other.write(b"hi")
                await other.close_stdin()
                assert (await read(other)).stdout == b"hi"
            assert not writing.done()
            assert psutil.Process(pid).memory_info().rss - before < 8 * MIB
            gate.write_bytes(b"go\n")
            size = len(sent) if not tty else MIB
            assert await reader.count(size) == sent[:size]
            if tty:
                writing.cancel()
                await asyncio.wait([writing])
            else:
                await writing
            await session.close()

    run(body())


def test_write_that_is_given_up_has_written_what_it_has_and_others_go_on(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            gate = tmp_path / "gate"
            session = await host.exec("desk", sh(f"mkfifo {gate}; echo; read x <{gate}; cat"), tty=False)
            reader = Reader(await session.attach())
            await reader.until(b"\n")
            writing = asyncio.ensure_future(session.write(b"a" * 4 * MIB))
            await host.call("desk", "echo")
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
            following = asyncio.ensure_future(session.write(b"b"))
            gate.write_bytes(b"go\n")
            await following
            await session.close_stdin()
            written = (await reader.rest()).stdout[1:]
            assert written.endswith(b"ab")
            assert set(written[:-1]) == {ord("a")}

    run(body())


# The end.


def test_closed_input_is_end_of_file(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            for given in (b"", b"no newline", b"lines\n" * 100_000):
                session = await host.exec("desk", sh("wc -c; exit 3"), tty=False)
                await session.write(given)
                await session.close_stdin()
                assert int((await read(session)).stdout) == len(given)
                assert (await session.wait()).code == 3

    run(body())


def test_on_a_terminal_the_end_of_file_character_is_typed(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            for given in (b"", b"a line\n", b"no newline", b"a line\nand a half"):
                for mode in ("stty -echo", "stty -echo eof ^X"):
                    session = await host.exec("desk", sh(f"{mode}; echo ready; cat; echo end; exit 3"))
                    reader = Reader(await session.attach())
                    await reader.until(b"ready\r\n")
                    await session.write(given)
                    await session.close_stdin()
                    await reader.rest()
                    shown = given.replace(b"\n", b"\r\n")
                    assert reader.stdout == b"ready\r\n" + shown + b"end\r\n"
                    assert (await session.wait()).code == 3

    run(body())


def test_program_of_a_terminal_may_go_on_after_the_end_of_file(run: Run, tmp_path: Path) -> None:
    """It is a character, and what it means is the program's."""

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh(f"{RAW} head -c 1 | od -An -tx1; echo more; exit 3"))
            reader = Reader(await session.attach())
            await reader.until(b"ready\n")
            await session.close_stdin()
            await reader.until(b" 04")
            await reader.until(b"more")
            assert (await session.wait()).code == 3

    run(body())


def test_nothing_is_written_after_the_end(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            for tty in (False, True):
                session = await host.exec("desk", sh("cat; sleep 60"), tty=tty)
                await session.close_stdin()
                with pytest.raises(SessionClosed, match="input was closed"):
                    await session.write(b"more")
                await session.close_stdin()  # it is closed, which is what was wanted
                await session.close()

    run(body())


def test_end_waits_for_the_writes_before_it(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("wc -c"), tty=False)
            writing = asyncio.ensure_future(session.write(bytes(8 * MIB)))
            await asyncio.sleep(0)
            await session.close_stdin()
            assert writing.done()
            assert int((await read(session)).stdout) == 8 * MIB

    run(body())


@pytest.mark.parametrize("size", [1, 8 * MIB])
def test_program_that_takes_no_more_input_ends_the_writing(run: Run, tmp_path: Path, size: int) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("exec <&-; echo closed; sleep 60"), tty=False)
            reader = Reader(await session.attach())
            await reader.until(b"closed\n")

            async def write_on() -> None:
                while True:
                    await session.write(bytes(size))
                    await host.call("desk", "echo")

            with pytest.raises(SessionClosed, match="takes no more input"):
                await write_on()
            await session.close()

    run(body())


def test_program_that_ends_ends_the_writing(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            for tty in (False, True):
                session = await host.exec(
                    "desk", sh(f"{RAW if tty else ''} head -c 100000 | wc -c"), tty=tty
                )
                async with await session.attach() as viewer:
                    reading = asyncio.ensure_future(Reader(viewer).rest())
                    with pytest.raises(SessionClosed):
                        await session.write(bytes(64 * MIB))
                    await reading
                with pytest.raises(SessionClosed, match="has ended"):
                    await session.write(b"more")
                await session.close_stdin()  # what has ended takes no more input as it is

    run(body())


def test_busy_shell_on_a_terminal_ends_at_the_end_of_its_input(run: Run, tmp_path: Path) -> None:
    """Whatever it is at when the end is typed, and whoever reads it first."""

    async def body() -> None:
        async with runner(tmp_path) as host:
            for typed in (b"", b"sleep 0.3; echo done\n", b"cat\n", b"bash --norc\n"):
                session = await host.exec("desk", ["bash", "--norc"], tty=True)
                async with await session.attach() as viewer:
                    await session.write(typed)
                    await session.close_stdin()
                    reader = Reader(viewer)
                    await asyncio.wait_for(reader.rest(), PATIENCE_S)
                assert (await session.wait()).code == 0
                assert (b"done\r\n" in reader.stdout) == (b"done" in typed)

    run(body())
