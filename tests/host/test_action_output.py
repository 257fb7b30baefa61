"""What an action puts out: kept within bounds, given back once, and waited for only by who reads."""

from __future__ import annotations

import random
from collections import Counter

from plugin_host.action.output import OutputRing
from plugin_host.exec.viewer import Output


class Ledger(Counter[str]):
    """Counts what is given back, by stream."""

    def give_back(self, stream: str, size: int) -> None:
        self[stream] += size


def ring(kept: int = 1_000_000) -> tuple[OutputRing, Ledger]:
    ledger = Ledger()
    return OutputRing(ledger.give_back, kept), ledger


def test_output_that_nobody_reads_is_given_back_at_once_and_the_newest_is_kept() -> None:
    made, ledger = ring(kept=100_000)
    for number in range(1000):
        made.put("stdout", number * 1000, bytes([number % 256]) * 1000)
        assert ledger["stdout"] == (number + 1) * 1000
    kept = []
    position = made.first
    while (piece := made.at(position)) is not None:
        kept.append(piece)
        position += 1
    size = sum(len(piece.data) for piece in kept)
    assert 30_000 <= size <= 100_000
    assert kept[-1].offset + len(kept[-1].data) == 1_000_000
    assert kept[0].offset == 1_000_000 - size


def test_reader_that_holds_is_waited_for_and_no_longer_when_it_lets_go() -> None:
    made, ledger = ring(kept=1000)
    made.hold(1, made.first)
    made.put("stdout", 0, b"a" * 5000)
    made.put("stderr", 0, b"b" * 5000)
    assert not ledger
    made.hold(1, 1)
    assert ledger == {"stdout": 5000}
    made.let_go(1)
    assert ledger == {"stdout": 5000, "stderr": 5000}
    made.let_go(1)
    assert ledger == {"stdout": 5000, "stderr": 5000}


def test_slowest_of_several_readers_counts() -> None:
    made, ledger = ring()
    made.hold(1, 0)
    made.hold(2, 0)
    made.put("stdout", 0, b"12345")
    made.at(0)
    made.hold(1, 1)
    assert not ledger
    made.hold(2, 1)
    assert ledger == {"stdout": 5}


def test_small_pieces_that_nobody_has_seen_become_one() -> None:
    made, _ = ring()
    for number in range(10):
        made.put("stdout", number, b"x")
    assert made.at(0) == Output("stdout", 0, b"x" * 10)
    made.put("stdout", 10, b"y")
    assert made.at(1) == Output("stdout", 10, b"y")


def test_streams_that_alternate_keep_their_order_while_that_is_affordable() -> None:
    made, ledger = ring()
    made.hold(1, 0)
    for number in range(20_000):
        made.put(("stdout", "stderr")[number % 2], number // 2, b"x")
    assert [made.at(number) for number in range(3)] == [
        Output("stdout", 0, b"x"),
        Output("stderr", 0, b"x"),
        Output("stdout", 1, b"x"),
    ]
    assert made.end < 1100
    made.let_go(1)
    assert ledger == {"stdout": 10_000, "stderr": 10_000}


def test_whatever_readers_do_every_byte_is_given_back_once_and_offsets_leave_no_hole_for_who_holds() -> (
    None
):
    chance = random.Random(7)
    for _ in range(100):
        made, ledger = ring(kept=chance.choice([0, 300, 5000]))
        put: Counter[str] = Counter()
        seen: Counter[str] = Counter()
        position = 0
        made.hold(1, 0)
        for _ in range(200):
            if chance.random() < 0.6:
                stream = chance.choice(["stdout", "stderr"])
                data = b"z" * chance.randint(1, 400)
                made.put(stream, put[stream], data)
                put[stream] += len(data)
            else:
                made.hold(1, position)
                piece = made.at(position)
                if piece is not None:
                    assert piece.offset == seen[piece.stream]
                    seen[piece.stream] += len(piece.data)
                    position += 1
            assert all(ledger[stream] <= seen[stream] for stream in put)
        made.let_go(1)
        assert ledger == put
