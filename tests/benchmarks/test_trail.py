"""The soak's eye for what must not be: it is of no use unless it sees each kind of wrong output."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak.ledger import Ledger
from benchmarks.soak.pattern import Pattern
from benchmarks.soak.trail import Trail, Wrong
from plugin_host import Gap, Output

pytestmark = pytest.mark.edges

PATTERN = Pattern("s000001o", is_text=False)
SIZE = 100_000


def trail(start: int | None = 0, *, may_skip: bool = False, may_start_late: bool = True) -> Trail:
    return Trail({"stdout": PATTERN}, {"stdout": start}, may_skip=may_skip, may_start_late=may_start_late)


def output(offset: int, size: int, shift: int = 0) -> Output:
    return Output("stdout", offset, PATTERN.slice(offset + shift, size))


def follow(trail: Trail, *items: Output | Gap) -> Trail:
    for item in items:
        trail.follow(item)
    return trail


def test_output_that_is_all_there_passes() -> None:
    seen = follow(trail(), *(output(offset, 777) for offset in range(0, 777 * 100, 777)))
    seen.finish({"stdout": 77_700}, {"stdout": 80_000})
    assert seen.seen_bytes == 77_700


@pytest.mark.parametrize("shift", [1, -1, 4096, -4096, 65_536])
def test_bytes_from_another_place_are_seen(shift: int) -> None:
    with pytest.raises(Wrong, match="instead of"):
        follow(trail(), output(0, SIZE), output(SIZE, 5000, shift))


def test_single_lost_repeated_or_changed_byte_is_seen() -> None:
    whole = PATTERN.slice(0, SIZE)
    for bad in (
        whole[:5000] + whole[5001:],
        whole[:5000] + whole[4999:],
        whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:],
    ):
        with pytest.raises(Wrong, match="instead of"):
            follow(trail(), Output("stdout", 0, bad))


def test_output_of_another_session_is_seen() -> None:
    with pytest.raises(Wrong, match="instead of"):
        follow(trail(), Output("stdout", 0, Pattern("s000002o", is_text=False).slice(0, SIZE)))


def test_hole_and_repetition_of_offsets_are_seen() -> None:
    with pytest.raises(Wrong, match="a hole"):
        follow(trail(), output(0, 10), output(11, 10))
    with pytest.raises(Wrong, match="1 bytes again"):
        follow(trail(), output(0, 10), output(9, 10))
    with pytest.raises(Wrong, match="at 5 instead of 0"):
        follow(trail(), output(5, 10))


def test_gap_counts_to_the_byte() -> None:
    follow(trail(may_skip=True), output(0, 10), Gap("stdout", 10, 90), output(100, 10))
    with pytest.raises(Wrong, match="a hole"):
        follow(trail(may_skip=True), output(0, 10), Gap("stdout", 10, 89), output(100, 10))


def test_gap_of_a_lossless_viewer_may_only_be_the_first_thing() -> None:
    follow(trail(7), Gap("stdout", 7, 90), output(97, 10))
    with pytest.raises(Wrong, match="lost 90 bytes"):
        follow(trail(), output(0, 10), Gap("stdout", 10, 90))
    with pytest.raises(Wrong, match="before the first viewer"):
        follow(trail(may_start_late=False), Gap("stdout", 0, 90))


def test_output_that_ends_early_or_late_or_never_comes_is_seen() -> None:
    for size in (99, 121):
        with pytest.raises(Wrong, match=f"ended at {size}"):
            follow(trail(), output(0, size)).finish({"stdout": 100}, {"stdout": 120})
    with pytest.raises(Wrong, match="nothing of stdout"):
        trail(0).finish({"stdout": 1}, {"stdout": 1})


def test_text_pattern_holds_nothing_that_terminals_change() -> None:
    assert min(Pattern("s000001o", is_text=True).slice(0, SIZE)) > 32
    assert set(PATTERN.slice(0, SIZE)) == set(range(256))


def test_ledger_is_the_same_for_both_who_map_it(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger", create=True) as ours, Ledger(tmp_path / "ledger") as theirs:
        theirs["written_stdout"] = 2**40
        assert ours["written_stdout"] == 2**40
        assert ours["written_stderr"] == 0
