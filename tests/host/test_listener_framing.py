"""How the bytes of a connection become requests, and what is said of those that do not."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_host.listener.framing import BadRequest, Framing
from tests.effort import examples

pytestmark = pytest.mark.edges

ONE = b'{"Command":"a"}'
TWO = b'{"Command":"b"}'


def values(framing: Framing, *pieces: bytes) -> list[Any]:
    found: list[Any] = []
    for piece in pieces:
        framing.feed(piece)
        while (value := framing.next()) is not None:
            found += value
    return found


def refused(*pieces: bytes, limit: int = 1000) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        values(Framing(limit), *pieces)
    return caught.value


@settings(max_examples=examples(25))
@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3), max_size=5),
    st.lists(st.integers(0, 200), max_size=8),
    st.sampled_from(["\n", "\r\n", " \n\n\n  "]),
)
def test_requests_on_lines_come_one_by_one_however_they_are_cut(
    requests: list[dict[str, str]], cuts: list[int], end: str
) -> None:
    data = "".join(json.dumps(one, ensure_ascii=False) + end for one in requests).encode()
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    framing = Framing(1000)
    pieces = [data[start:stop] for start, stop in itertools.pairwise(edges)]
    assert values(framing, *pieces) == requests
    assert framing.count == len(requests)
    assert framing.is_terminated == bool(requests)
    assert framing.is_for_many == (len(requests) > 1)
    assert framing.ended() is None


def test_object_without_a_newline_is_one_request() -> None:
    framing = Framing(1000)
    assert values(framing, ONE) == [{"Command": "a"}]
    assert not framing.is_terminated
    assert not framing.is_for_many


def test_newline_that_comes_later_belongs_to_the_request() -> None:
    framing = Framing(1000)
    states = []
    for piece in (ONE, b" ", b"\n"):
        values(framing, piece)
        states.append(framing.is_terminated)
    assert states == [False, False, True]
    assert not framing.has_more


def test_newline_in_front_says_that_the_connection_is_for_many() -> None:
    framing = Framing(1000)
    assert values(framing, b"\n") == []
    assert framing.is_for_many
    framing = Framing(1000)
    assert values(framing, b"\n" + ONE) == [{"Command": "a"}]
    assert framing.is_for_many


def test_object_may_take_several_lines() -> None:
    assert values(Framing(1000), b'{\n "Command":\n "a"\n}\n') == [{"Command": "a"}]


def test_two_objects_back_to_back_are_refused_before_any_is_done() -> None:
    error = refused(ONE + TWO)
    assert error.position == (1, 16, 15)
    assert "expected a newline before the next request" in str(error)
    assert error.is_lost


def test_position_counts_lines_characters_and_bytes() -> None:
    error = refused('{"ü": 1,\n "ö": x}'.encode())
    assert error.position == (2, 7, 17)
    assert str(error).startswith("line 2, column 7 (byte 17): expected a value, found 'x'")


def test_position_of_a_later_request_is_counted_from_its_own_line() -> None:
    assert refused(ONE + b"\n" + b"{x").position == (1, 2, 1)


@pytest.mark.parametrize("pieces", [(b'{"a":"\xff"}',), (b'{"a":"', b"\xff"), (b'{"a":"\xc3', b'"}')])
def test_bytes_that_are_no_utf8_are_located(pieces: tuple[bytes, ...]) -> None:
    error = refused(*pieces)
    assert error.position is not None
    assert error.position[2] == 6
    assert "expected UTF-8 text, found byte 0x" in str(error)


def test_character_that_is_cut_in_two_is_whole_again() -> None:
    assert values(Framing(1000), b'{"a":"\xc3', b'\xbc"}') == [{"a": "ü"}]


def test_request_before_bytes_that_are_no_text_is_still_read() -> None:
    framing = Framing(1000)
    framing.feed(ONE + b"\n\xff")
    assert framing.next() == ({"Command": "a"},)
    assert framing.has_more
    with pytest.raises(BadRequest, match="UTF-8"):
        framing.next()


def test_size_has_a_limit_whether_or_not_the_request_ends() -> None:
    exact = b'{"a":"' + b"x" * 12 + b'"}'
    assert values(Framing(20), exact) == [{"a": "x" * 12}]
    for pieces in ((b'{"a":"' + b"x" * 20,), (b'{"a":"' + b"x" * 13 + b'"}',), (b" " * 21,)):
        error = refused(*pieces, limit=20)
        assert "larger than the 20 bytes" in str(error)
        assert error.is_lost


def test_limit_is_that_of_one_request_and_not_of_all() -> None:
    assert len(values(Framing(20), *[ONE + b"\n"] * 10)) == 10
    assert len(values(Framing(20), (ONE + b"\n") * 10)) == 10


def test_end_in_the_middle_is_an_error_and_between_requests_is_none() -> None:
    framing = Framing(1000)
    values(framing, ONE + b"\n" + b'{"Comm')
    error = framing.ended()
    assert error is not None
    assert error.position == (1, 7, 6)
    assert Framing(1000).ended() is None


@pytest.mark.parametrize(
    ("data", "problem", "path"),
    [
        (b'{"a":1,"a":2}', r"^\$: expected each name of a map once", "$"),
        (b'{"a":{"$bytes":"?"}}', r"^\$\.a: \$bytes", "$.a"),
        (b'{"a":[{"$ext":[1]}]}', r"^\$\.a\[0\]: \$ext", "$.a[0]"),
        (b'{"a":' + b"1" * 5000 + b"}", "expected JSON", None),
    ],
)
def test_object_that_means_nothing_is_refused_and_the_next_is_read(
    data: bytes, problem: str, path: str | None
) -> None:
    framing = Framing(10_000)
    framing.feed(data + b"\n" + ONE)
    with pytest.raises(BadRequest, match=problem) as caught:
        framing.next()
    assert not caught.value.is_lost
    assert caught.value.path == path
    assert framing.next() == ({"Command": "a"},)


def test_bytes_have_the_notation_of_the_command_line() -> None:
    assert values(Framing(100), b'{"a":{"$bytes":"AP8="}}') == [{"a": b"\x00\xff"}]
