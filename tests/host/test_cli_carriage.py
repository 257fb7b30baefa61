"""Bytes between a session and descriptors, with a session of which every turn is known."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from plugin_host.cli import carriage
from plugin_host.cli.carriage import Manner
from plugin_host.cli.detachkey import DetachKeys
from plugin_host.cli.outflow import Outflow
from plugin_host.errors import PluginDied, PluginHostError
from plugin_host.exec.viewer import Gap, Output
from plugin_host_sdk.errors import SessionClosed
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

Piece = Output | Gap


class Session:
    """Takes input, shows `pieces`, and has written `totals`; `error` is what it says to input.

    It is its own viewer, whose copy starts at `begin`.
    """

    begin = 0

    def __init__(
        self, pieces: AsyncIterator[Piece] | None = None, error: Exception | None = None, **totals: int
    ) -> None:
        self.pieces = pieces
        self.input = b""
        self.is_closed = asyncio.Event()
        self.error = error
        self._totals = totals

    @property
    def start(self) -> dict[str, int]:
        return dict.fromkeys(self._totals, self.begin)

    def __aiter__(self) -> AsyncIterator[Piece]:
        return shows(until=self.is_closed) if self.pieces is None else self.pieces

    async def write(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.input += data

    async def close_stdin(self) -> None:
        self.is_closed.set()

    async def totals(self) -> dict[str, int]:
        return self._totals


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Pipes in place of stdin, stdout and stderr: the ends that a test holds."""
    stdin, keyboard = os.pipe()
    screen, stdout = os.pipe()
    trouble, stderr = os.pipe()
    monkeypatch.setattr(carriage, "_STDIN", stdin)
    monkeypatch.setattr(carriage, "_DESCRIPTORS", {"stdout": stdout, "stderr": stderr})
    yield {"keyboard": keyboard, "screen": screen, "trouble": trouble}
    for fd in (stdin, keyboard, screen, stdout, trouble, stderr):
        try:
            os.close(fd)
        except OSError:
            pass


async def carried(session: Session, *, with_stdin: bool = True, **manner: Any) -> Callable[[], int]:
    """Carry until the end; a function that says how often the session has reacted."""
    reactions: list[None] = []
    assert await carry(session, Manner(reads=with_stdin, **manner), lambda: reactions.append(None))
    return reactions.__len__


async def carry(session: Session, manner: Manner, reacted: Callable[[], None] = lambda: None) -> bool:
    """Carry; whether it was to the end."""
    viewer: Any = session
    with closing(Outflow()) as outflow:
        return await carriage.carry(session, viewer, outflow, manner, reacted=reacted)


async def shows(*pieces: Piece, until: asyncio.Event | None = None) -> AsyncIterator[Piece]:
    for piece in pieces:
        yield piece
    if until is not None:
        await until.wait()


def test_output_goes_to_its_descriptor(run: Run, ends: dict[str, int]) -> None:
    async def body() -> None:
        pieces = (Output("stdout", 0, b"ab"), Output("stderr", 0, b"x"), Output("stdout", 2, b"c"))
        reactions = await carried(Session(shows(*pieces), stdout=3, stderr=1), with_stdin=False)
        assert os.read(ends["screen"], 9) == b"abc"
        assert os.read(ends["trouble"], 9) == b"x"
        assert reactions() == 3

    run(body())


def test_input_is_carried_to_its_end(run: Run, ends: dict[str, int]) -> None:
    async def body() -> None:
        session = Session()
        os.write(ends["keyboard"], b"text")
        os.close(ends["keyboard"])
        await carried(session)
        assert session.input == b"text"

    run(body())


def test_input_is_closed_at_once_unless_it_is_wanted(run: Run, ends: dict[str, int]) -> None:
    async def body() -> None:
        session = Session()
        os.write(ends["keyboard"], b"text")
        await carried(session, with_stdin=False)
        assert session.input == b""

    run(body())


def test_end_of_input_is_not_passed_on_unless_it_is_wanted(
    run: Run, wait_until: WaitUntil, ends: dict[str, int]
) -> None:
    async def body() -> None:
        session = Session()
        os.write(ends["keyboard"], b"text")
        os.close(ends["keyboard"])
        carrying = asyncio.create_task(carried(session, ends=False))
        await wait_until.aio(lambda: session.input == b"text")
        assert not session.is_closed.is_set()
        session.is_closed.set()
        await carrying

    run(body())


def test_user_leaves_by_keys_that_the_session_does_not_get(run: Run, ends: dict[str, int]) -> None:
    async def body() -> None:
        session = Session()
        os.write(ends["keyboard"], b"a\x10b\x10\x11c")
        assert not await carry(session, Manner(reads=True, leaving=DetachKeys(b"\x10\x11")))
        assert session.input == b"a\x10b"
        assert not session.is_closed.is_set()

    run(body())


def test_who_only_looks_types_nothing(run: Run, ends: dict[str, int]) -> None:
    async def body() -> None:
        session = Session()
        os.write(ends["keyboard"], b"abx")
        assert not await carry(session, Manner(reads=True, writes=False, leaving=DetachKeys(b"x")))
        assert session.input == b""

    run(body())


def test_gaps_are_counted_for_who_may_miss_some(run: Run, ends: dict[str, int]) -> None:
    async def body() -> None:
        pieces = (Gap("stdout", 10, 5), Output("stdout", 15, b"ab"), Gap("stdout", 17, 3))
        session, missed = Session(shows(*pieces), stdout=20), list[int]()
        session.begin = 10
        await carried(session, with_stdin=False, missed=missed.append)
        assert missed == [5, 3]
        assert os.read(ends["screen"], 9) == b"ab"

    run(body())


def test_session_ends_while_there_may_be_more_input(run: Run, ends: dict[str, int]) -> None:
    async def body() -> None:
        session = Session(shows())
        await carried(session)
        assert not session.is_closed.is_set()

    run(body())


@pytest.mark.parametrize("error", [SessionClosed("over"), PluginDied("gone", plugin="box")])
def test_input_that_is_not_taken_is_nobodys_loss(run: Run, ends: dict[str, int], error: Exception) -> None:
    async def body() -> None:
        os.write(ends["keyboard"], b"text")
        await carried(Session(shows(), error))

    run(body())


@pytest.mark.parametrize(
    "pieces",
    [
        [Output("stdout", 0, b"ab")],
        [Output("stdout", 0, b"a"), Gap("stdout", 1, 2)],
        [Gap("stdout", 0, 1), Output("stdout", 1, b"bc")],
    ],
)
def test_output_that_is_lost_is_an_error(run: Run, ends: dict[str, int], pieces: list[Piece]) -> None:
    with pytest.raises(PluginHostError, match="output was lost: of 3 bytes of stdout came"):
        run(carried(Session(shows(*pieces), stdout=3), with_stdin=False))


def test_death_of_the_plugin_is_told(run: Run, ends: dict[str, int]) -> None:
    async def dies() -> AsyncIterator[Piece]:
        yield Output("stdout", 0, b"last words")
        raise PluginDied("gone", plugin="box")

    with pytest.raises(PluginDied):
        run(carried(Session(dies())))
    assert os.read(ends["screen"], 99) == b"last words"


@pytest.mark.parametrize("goes_on", [False, True])
def test_reader_that_goes_away_is_told(run: Run, ends: dict[str, int], goes_on: bool) -> None:
    async def speaks() -> AsyncIterator[Piece]:
        while True:
            yield Output("stdout", 0, bytes(65536))
            if not goes_on:
                await asyncio.Event().wait()

    os.close(ends["screen"])
    with pytest.raises(BrokenPipeError):
        run(carried(Session(speaks())))
