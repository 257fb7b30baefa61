"""Files of a guest: streamed, cut off and taken up again, held against what was sent."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from pathlib import Path

import pytest

from plugin_host.errors import ArtifactDamaged, CallTimeout
from plugin_host.guest import GuestTimes
from tests.guest.place import Place, partly, serving
from tests.run import Run

pytestmark = pytest.mark.edges


async def replied(place: Place, action: str, body: bytes = b"", **headers: str) -> int:
    return (await place.ask("POST", f"reply?id={action}", body, **headers)).status


def test_artifact_of_any_size_goes_through_little_memory(run: Run, tmp_path: Path) -> None:
    block, count = bytes(range(256)) * 256, 256  # 16 MiB

    async def body() -> None:
        async with serving() as place:
            asked = asyncio.create_task(place.task.get_artifact("/big"))
            action = await place.poll()
            line = await place.line()
            size = str(len(block) * count)
            line.begin("POST", f"reply?id={action['id']}", Content_Length=size)
            sent = 0

            async def send() -> None:
                nonlocal sent
                for _ in range(count):
                    line.writer.write(block)
                    await line.writer.drain()
                    sent += len(block)

            sending = asyncio.create_task(send())
            artifact = await asked
            assert artifact.size == len(block) * count
            await asyncio.sleep(0.05)
            assert sent < 8 * 1024 * 1024  # nobody reads yet
            seen: list[int] = []
            await artifact.save(tmp_path / "big", on_progress=lambda done, _: seen.append(done))
            await sending
            assert (await line.answer()).status == 200
            assert seen[-1] == len(block) * count

    run(body())
    assert (
        hashlib.sha256((tmp_path / "big").read_bytes()).digest() == hashlib.sha256(block * count).digest()
    )


def test_artifact_without_a_length_has_an_end(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            asked = asyncio.create_task(place.task.get_artifact("/x"))
            action = await place.poll()
            line = await place.line()
            line.begin("POST", f"reply?id={action['id']}", Transfer_Encoding="chunked")
            line.chunk(b"one")
            artifact = await asked
            assert (artifact.size, await artifact.read(100)) == (0, b"one")
            line.chunk(b"two")
            line.chunk(b"")
            assert await artifact.read() == b"two"
            assert (await line.answer()).status == 200

    run(body())


@pytest.mark.parametrize(("sent", "is_right"), [(b"content", True), (b"confetti", False)])
def test_digest_is_held_against_what_came(run: Run, sent: bytes, is_right: bool) -> None:
    digest = base64.b64encode(hashlib.sha256(b"content").digest()).decode()

    async def body() -> None:
        async with serving() as place:
            asked = asyncio.create_task(place.task.get_artifact("/x"))
            action = await place.poll()
            wrong = await place.ask("POST", f"reply?id={action['id']}", sent, Content_Digest="sha-256=:?:")
            assert (wrong.status, wrong.code) == (400, "InvalidPayload")
            assert await replied(place, action["id"], sent, Content_Digest=f"sha-256=:{digest}:") == 200
            async with await asked as artifact:
                if is_right:
                    assert await artifact.read() == sent
                else:
                    with pytest.raises(ArtifactDamaged, match="SHA-256"):
                        await artifact.read()

    run(body())


def test_artifact_that_is_cut_off_goes_on_where_it_was(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            asked = asyncio.create_task(place.task.get_artifact("/x"))
            action = await place.poll()
            line = await partly(place, action["id"], b"hello ", 11)
            artifact = await asked
            assert await artifact.read(100) == b"hello "
            line.abort()
            reading = asyncio.create_task(artifact.read())
            await asyncio.sleep(0.02)
            assert not reading.done()
            assert await replied(place, action["id"], b"hello world") == 200
            assert await reading == b"world"

    run(body())


@pytest.mark.parametrize(
    ("again", "words"), [(b"jello world", "has changed"), (b"hel", "has become shorter")]
)
def test_artifact_that_changes_between_two_tries_is_damaged(run: Run, again: bytes, words: str) -> None:
    async def body() -> None:
        async with serving() as place:
            asked = asyncio.create_task(place.task.get_artifact("/x"))
            action = await place.poll()
            line = await partly(place, action["id"], b"hello ", 11)
            artifact = await asked
            assert await artifact.read(100) == b"hello "
            line.abort()
            await asyncio.sleep(0.02)
            assert await replied(place, action["id"], again) == 200
            with pytest.raises(ArtifactDamaged, match=words):
                await artifact.read()

    run(body())


def test_artifact_that_never_goes_on_is_an_error_of_its_reader(run: Run) -> None:
    async def body() -> None:
        async with serving(times=GuestTimes(reply=0.5, take=0.3)) as place:
            asked = asyncio.create_task(place.task.get_artifact("/x"))
            action = await place.poll()
            line = await partly(place, action["id"], b"hello ", 11)
            artifact = await asked
            line.abort()
            with pytest.raises(CallTimeout):
                await artifact.read()

    run(body())


def test_artifact_that_nobody_reads_any_more_is_told_to_the_guest(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            asked = asyncio.create_task(place.task.get_artifact("/x"))
            action = await place.poll()
            line = await partly(place, action["id"], b"hello ", 11)
            artifact = await asked
            artifact.close()
            artifact.close()
            line.writer.write(b"world")
            answer = await line.answer()
            assert (answer.status, answer.code) == (400, "UnknownActionId")

    run(body())
