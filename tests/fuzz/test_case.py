"""The fuzzer's cases hold for what it starts from and for random plans, and see what they are to find."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plugin_host_sdk.connection import HOST, Connection
from plugin_host_sdk.errors import LocalProtocolError
from plugin_host_sdk.protocol import OPENING, READY
from plugin_host_sdk.stream import StreamTable
from plugin_host_sdk.wire import Decoder, Encoder
from tests.effort import examples
from tests.fuzz import seed
from tests.fuzz.case import CASES, check
from tests.fuzz.cursor import Cursor
from tests.fuzz.intention import INTENTIONS
from tests.fuzz.start import ROLES, STARTS

SEEDS = list(seed.seeds())


def test_seeds_reach_every_case_state_and_role() -> None:
    assert {data[0] for data in SEEDS} == set(range(len(CASES)))
    assert {data[2:4] for data in SEEDS if data[0] == 0} == {
        bytes([start, role]) for start in range(len(STARTS)) for role in range(len(ROLES))
    }
    assert len(set(SEEDS)) == len(SEEDS)


def test_seeds_hold() -> None:
    for data in SEEDS:
        check(data)


@settings(max_examples=examples(60))
@given(
    which=st.sampled_from(SEEDS), changes=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)))
)
@example(which=b"", changes=[])
def test_changed_seeds_hold(which: bytes, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(which)
    for at, piece in changes:
        data[at : at + len(piece)] = piece
    check(bytes(data))


def test_dictionary_has_a_line_for_each_word() -> None:
    lines = seed.dictionary().splitlines()
    assert len(lines) == len(set(lines)) > 90
    assert all(line.startswith('"\\x') and line.endswith('"') for line in lines)


def test_plan_ends_with_its_bytes() -> None:
    plan = Cursor(b"\x05\x01")
    assert [plan.number(4), plan.is_over, plan.number(600), plan.is_over] == [1, False, 1, True]
    assert (plan.number(), plan.take(9), plan.choice("ab"), plan.rest()) == (0, b"", "a", b"")


def test_every_kind_of_value_is_made() -> None:
    draw = random.Random(4)
    made = {type(Cursor(draw.randbytes(400)).value()).__name__ for _ in range(400)}
    assert {"NoneType", "bool", "int", "float", "str", "bytes", "ExtType", "list", "dict"} <= made
    assert {"object", "set", "bytearray", "memoryview", "tuple"} <= made


@pytest.mark.parametrize("number", range(len(INTENTIONS)))
def test_no_intention_is_always_refused(number: int) -> None:
    draw = random.Random(4)

    def done(role: str, state: str) -> bytes:
        connection, theirs = STARTS[state](role), 1 if role == HOST else 2
        if state == READY:
            connection.receive_data(msgpack.packb([2, "stream.data", [theirs, 0, b"x" * 900]]))
        try:
            return INTENTIONS[number](connection, Cursor(draw.randbytes(60)))
        except LocalProtocolError:
            return b""

    assert any(done(role, state) for _ in range(100) for role in ROLES for state in (OPENING, READY))


# Faults that the cases must find: one for each promise.


def _loses_a_byte(self: Decoder, data: Any) -> list[Any]:
    return _feed(self, data[1:] if len(data) > 3 else data)


def _raises(self: Connection, *arguments: Any) -> None:
    raise KeyError("msgid")


def _speaks_on(self: Connection, data: Any) -> list[Any]:
    return _receive(self, data) or [object()]


def _forgets_credit(self: StreamTable, stream: int, size: int) -> bytes:
    inbound = self.receiving.get(stream)
    return b"" if inbound is None else self._notify("stream.credit", [stream, -1])


def _checks_nothing(self: Encoder, *arguments: Any) -> None:
    pass


_feed, _receive = Decoder.feed, Connection.receive_data


@pytest.mark.parametrize(
    ("kind", "method", "fault"),
    [
        (Decoder, "feed", _loses_a_byte),
        (Connection, "_receive_notification", _raises),
        (Connection, "receive_data", _speaks_on),
        (StreamTable, "consume", _forgets_credit),
        (Encoder, "check", _checks_nothing),
    ],
)
def test_planted_fault_is_found(kind: type, method: str, fault: Callable[..., Any]) -> None:
    draw = random.Random(4)
    with patch.object(kind, method, fault), pytest.raises((AssertionError, KeyError)):  # noqa: PT012
        for _ in range(3000):
            data = bytearray(draw.choice(SEEDS))
            for _ in range(draw.randrange(4)):
                at = draw.randrange(len(data))
                data[at : at + 2] = draw.randbytes(2)
            check(bytes(data + draw.randbytes(draw.randrange(60))))
