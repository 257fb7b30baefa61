"""Files of tasks: read in order, checked at the end, and saved whole or not at all."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from plugin_host.errors import ArtifactDamaged
from plugin_host.task.artifact import Artifact
from tests.run import Run
from tests.wait import WaitUntil


@dataclass
class Word:
    size: int
    sha256: str


class Source:
    """Gives pieces, and says that it sent `word`, the truth unless told otherwise."""

    def __init__(self, pieces: Sequence[bytes | Exception], word: Word | None = None) -> None:
        self._pieces = list(pieces)
        whole = b"".join(piece for piece in pieces if isinstance(piece, bytes))
        self._word = word or Word(len(whole), hashlib.sha256(whole).hexdigest())
        self.closed = 0

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def sent(self) -> Word:
        return self._word

    def close(self) -> None:
        self.closed += 1


def artifact(*pieces: bytes | Exception, size: int = 6, word: Word | None = None) -> Artifact:
    return Artifact(Source(pieces, word), path="/a", size=size, mode=0o666)


def test_it_is_read_in_pieces_of_any_size(run: Run) -> None:
    async def body() -> None:
        file = artifact(b"abc", b"def")
        assert await file.read(2) == b"ab"
        assert await file.read(2) == b"c"
        assert await file.read(10) == b"def"
        assert await file.read(10) == b""
        assert await file.read() == b""
        assert await artifact(b"abc", b"def").read() == b"abcdef"
        assert [piece async for piece in artifact(b"abc", b"def")] == [b"abc", b"def"]
        assert await artifact(size=0).read() == b""

    run(body())


@pytest.mark.parametrize(
    ("size", "word", "words"),
    [
        (6, Word(7, ""), "7 bytes were sent and 6 arrived"),
        (6, Word(5, ""), "5 bytes were sent and 6 arrived"),
        (6, Word(6, hashlib.sha256(b"abcdeF").hexdigest()), "another SHA-256"),
        (9, None, "9 bytes when it was opened"),
    ],
)
def test_what_does_not_arrive_as_it_was_sent_is_told_at_the_end(
    run: Run, tmp_path: Path, size: int, word: Word | None, words: str
) -> None:
    async def body() -> None:
        with pytest.raises(ArtifactDamaged, match=words) as caught:
            await artifact(b"abc", b"def", size=size, word=word).read()
        assert caught.value.path == "/a"
        dest = tmp_path / "kept"
        dest.write_text("before")
        with pytest.raises(ArtifactDamaged):
            await artifact(b"abc", b"def", size=size, word=word).save(dest)
        assert dest.read_text() == "before"
        assert os.listdir(tmp_path) == ["kept"]

    run(body())


def test_file_that_grows_while_it_is_read_is_whole(run: Run) -> None:
    run(_read_all(artifact(b"abc", b"def", b"more", word=None), b"abcdefmore"))


def test_sender_that_says_no_digest_is_held_to_the_size(run: Run) -> None:
    run(_read_all(artifact(b"abc", b"def", word=Word(6, "")), b"abcdef"))


async def _read_all(file: Artifact, expected: bytes) -> None:
    assert await file.read() == expected


def test_saved_file_is_there_at_once_and_readable_by_no_one_before(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        dest = tmp_path / "file"
        dest.write_text("before")
        seen: list[tuple[int, int]] = []

        def look(done: int, size: int) -> None:
            seen.append((done, size))
            (draft,) = [entry for entry in tmp_path.iterdir() if entry != dest]
            assert stat.S_IMODE(draft.stat().st_mode) == 0o600
            assert dest.read_text() == "before"

        file = artifact(b"abc", b"def")
        await file.save(dest, on_progress=look)
        assert dest.read_bytes() == b"abcdef"
        assert stat.S_IMODE(dest.stat().st_mode) == 0o644
        assert seen == [(6, 6)]
        assert os.listdir(tmp_path) == ["file"]

    run(body())


def test_error_in_the_middle_leaves_what_was_there(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        dest = tmp_path / "file"
        source = Source([bytes(2 << 20), OSError("unplugged")])
        file = Artifact(source, path="/a", size=3 << 20)
        with pytest.raises(OSError, match="unplugged"):
            await file.save(dest)
        assert os.listdir(tmp_path) == []
        assert source.closed == 1
        with pytest.raises(IsADirectoryError):
            await artifact(b"abcdef").save(tmp_path)
        with pytest.raises(FileNotFoundError):
            await artifact(b"abcdef").save(tmp_path / "no" / "file")
        assert os.listdir(tmp_path) == []

    run(body())


@pytest.mark.parametrize("kind", ["fifo", "link", "dangling", "late"])
def test_what_is_no_regular_file_is_not_replaced(run: Run, tmp_path: Path, kind: str) -> None:
    dest, other = tmp_path / "file", tmp_path / "other"
    other.write_text("before")

    def make(*_: object) -> None:
        if kind in ("fifo", "late"):
            os.mkfifo(dest)
        else:
            dest.symlink_to(other if kind == "link" else tmp_path / "nothing")

    async def body() -> None:
        if kind != "late":
            make()
        with pytest.raises(OSError, match=r"symbolic link|no regular file"):
            await artifact(b"abcdef").save(dest, on_progress=make if kind == "late" else None)
        assert not stat.S_ISREG(dest.lstat().st_mode)
        assert sorted(os.listdir(tmp_path)) == ["file", "other"]
        assert other.read_text() == "before"

    run(body())


@pytest.mark.parametrize("name", ["文" * 80, "😀" * 60, "a" * 250])
def test_name_may_be_as_long_as_names_are(run: Run, tmp_path: Path, name: str) -> None:
    async def body() -> None:
        await artifact(b"abcdef").save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"abcdef"

    run(body())


def test_saving_that_is_cancelled_leaves_nothing(run: Run, tmp_path: Path) -> None:
    class Endless(Source):
        async def read(self) -> bytes:
            await asyncio.sleep(0)
            return bytes(65536)

    async def body() -> None:
        begun = asyncio.Event()
        file = Artifact(Endless([]), path="/a", size=1 << 40)
        saving = asyncio.create_task(file.save(tmp_path / "file", on_progress=lambda *_: begun.set()))
        await begun.wait()
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
        assert os.listdir(tmp_path) == []

    run(body())


def test_artifact_that_is_closed_early_lets_its_source_go_once(run: Run) -> None:
    async def body() -> None:
        source = Source([b"abc", b"def"])
        async with Artifact(source, path="/a", size=6) as file:
            assert await file.read(1) == b"a"
        file.close()
        assert source.closed == 1
        assert await file.read(5) == b"bc"
        with pytest.raises(ValueError, match="closed"):
            await file.read(1)

    run(body())


@pytest.mark.parametrize("is_read", [True, False])
def test_artifact_that_nobody_closes_lets_its_source_go_at_the_end_or_when_it_is_dropped(
    run: Run, wait_until: WaitUntil, is_read: bool
) -> None:
    async def body() -> None:
        source = Source([b"abc", b"def"])
        file = Artifact(source, path="/a", size=6)
        await file.read(-1 if is_read else 2)
        assert source.closed == (1 if is_read else 0)
        del file
        gc.collect()
        await wait_until.aio(lambda: source.closed == 1)

    run(body())
