"""Values of the wire as JSON, and back: nothing is lost, nothing is no JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.notation import BadNotation, from_json, inline, plain, to_json
from plugin_host_sdk.wire import Decoder, Encoder, ExtType, Timestamp

pytestmark = pytest.mark.edges


@pytest.fixture
def deep_stack() -> Iterator[None]:
    """As the command line has it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\x00\xff", '{"$bytes": "AP8="}'),
        (ExtType(5, b"abc"), '{"$ext": [5, "YWJj"]}'),
        (Timestamp(1, 2), '{"$ext": [-1, "AAAACAAAAAE="]}'),
        (math.nan, '{"$float": "NaN"}'),
        ([math.inf, -math.inf], '[{"$float": "Infinity"}, {"$float": "-Infinity"}]'),
        ({1: "a", "b": 2}, '{"$map": [[1, "a"], ["b", 2]]}'),
        ({b"k": None}, '{"$map": [[{"$bytes": "aw=="}, null]]}'),
        ({"$bytes": "no"}, '{"$map": [["$bytes", "no"]]}'),
        ({"$map": 1}, '{"$map": [["$map", 1]]}'),
        ({"$bytes": "no", "b": 1}, '{"$bytes": "no", "b": 1}'),
        (2**64 - 1, "18446744073709551615"),
        (-(2**63), "-9223372036854775808"),
        ({"nested": [{"deeper": b""}]}, '{"nested": [{"deeper": {"$bytes": ""}}]}'),
        ("é\x1b[31m", '"é\\u001b[31m"'),
        ("a\x9b31m\u202eb\u2028c", '"a\\u009b31m\\u202eb\\u2028c"'),
        ({"\x85": "\u2066"}, '{"\\u0085": "\\u2066"}'),
        (True, "true"),
        (None, "null"),
    ],
)
def test_what_json_lacks_is_written_as_documented(value: Any, text: str) -> None:
    assert to_json(value) == text
    again = from_json(text)
    assert again == value or (again != again and value != value)
    assert type(again) is type(value)


def test_text_that_is_not_utf8_has_a_replacement_for_each_byte() -> None:
    (foreign,) = Decoder(foreign=True).feed(b"\xa3a\xff\xfe")
    assert plain(foreign) == "a\ufffd\ufffd"
    assert to_json({foreign: [foreign]}) == '{"a\ufffd\ufffd": ["a\ufffd\ufffd"]}'


def test_keys_that_would_look_alike_are_both_kept() -> None:
    table = dict(zip(("\udcff", "\udcfe"), (1, 2), strict=True))
    assert json.loads(to_json(table)) == {"$map": [["\ufffd", 1], ["\ufffd", 2]]}


def test_plain_text_and_numbers_are_as_they_are_and_structures_indented() -> None:
    assert [plain(value) for value in ("a b", 5, 0.5, True, None, math.nan)] == [
        "a b", "5", "0.5", "true", "null", "NaN",
    ]  # fmt: skip
    assert plain({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}'
    assert plain(b"\xff") == '{\n  "$bytes": "/w=="\n}'


def test_other_than_unicode_streams_get_ascii() -> None:
    assert to_json("é", ascii_only=True) == '"\\u00e9"'


def test_inline_is_one_short_line() -> None:
    assert inline({"a": "x\ny"}) == '{"a": "x\\ny"}'
    assert inline("x" * 500, 10) == '"xxxxxxxx…'


def test_depth_of_msgpack_can_be_written_and_read(deep_stack: None) -> None:
    value: Any = "end"
    for turn in range(1000):
        value = {"a": value} if turn % 2 else [value]
    assert from_json(to_json(value)) == value
    assert plain(value).count("\n") == 2000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "column 2"),
        ('{\n"a": nope}', "line 2, column 6"),
        ("", "column 1"),
        ("[" * 100_000, "too deeply"),
        ("1" * 5000, "digits"),
        ('{"$bytes": 5}', r"\$bytes: expected base64 text"),
        ('{"$bytes": "é"}', r"\$bytes"),
        ('{"$bytes": "a"}', r"\$bytes"),
        ('{"$ext": [300, ""]}', r"\$ext"),
        ('{"$ext": [-1, ""]}', r"\$ext"),
        ('{"$ext": "x"}', r"\$ext: expected \[number, base64 text\]"),
        ('{"$float": "1"}', r"\$float: expected one of NaN"),
        ('{"$float": []}', r"\$float"),
        ('{"$map": {}}', r"\$map: expected a list of \[key, value\]"),
        ('{"$map": [[[], 1]]}', r"\$map: unhashable"),
    ],
)
def test_wrong_notation_is_refused_with_the_place(text: str, words: str) -> None:
    with pytest.raises(BadNotation, match=words):
        from_json(text)


def test_maps_with_more_than_a_tag_are_maps() -> None:
    value = {"$bytes": "aGk=", "other": 1}
    assert from_json(json.dumps(value)) == value
    assert from_json('{"$unknown": 1}') == {"$unknown": 1}


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.builds(ExtType, st.integers(0, 127), st.binary())
)
_keys = st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary() | st.booleans() | st.none()
_values = st.recursive(_scalars, lambda v: st.lists(v) | st.dictionaries(_keys, v), max_leaves=20)


@given(_values)
def test_any_value_of_the_wire_survives_json(value: Any) -> None:
    (arrived,) = Decoder().feed(Encoder().encode([value]))
    for text in (to_json(arrived), to_json(arrived, indent=2), to_json(arrived, ascii_only=True)):
        json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert from_json(text) == arrived


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"$bytes": 5}', "$"),
        ('{"a": [1, {"b": {"$ext": [300, ""]}}]}', "$.a[1].b"),
        ('{"a": {"$map": [["x", {"$float": 1}]]}}', "$.a.$map[0][1]"),
        ('{"a": {"x": 1, "x": 2}, "b": {"$bytes": 5}}', "$.a"),
        ('{"a": {"$bytes": ""}, "b": {"$bytes": "!"}}', "$.b"),
        ('{"$bytes": "", "$bytes": 5}', "$"),
        ('{"a": ' * 90 + '{"b": 1, "b": 1}' + "}" * 90, "$" + ".a" * 90),
    ],
)
def test_value_that_cannot_be_meant_is_refused_with_its_path(text: str, path: str) -> None:
    with pytest.raises(BadNotation) as caught:
        from_json(text, distinct=True)
    assert caught.value.path == path


def test_names_that_are_there_twice_may_be_where_they_are_no_fault() -> None:
    assert from_json('{"a": 1, "a": 2}') == {"a": 2}
    with pytest.raises(BadNotation) as caught:
        from_json('{"a": {"x": 1, "x": 2}, "b": {"$bytes": 5}}')
    assert caught.value.path == "$.b"
