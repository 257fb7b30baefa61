"""Where a JSON object ends, and where it goes wrong, however it is cut."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_host.listener.scanner import DEEPEST, Malformed, Scanner
from tests.effort import examples

pytestmark = pytest.mark.edges

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)


def scanned(text: str, cuts: list[int] | None = None) -> int | None:
    """Where the object ends in `text`, which is fed in pieces."""
    scanner = Scanner()
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts or [])})
    for start, end in itertools.pairwise(edges):
        if (found := scanner.feed(text[start:end])) is not None:
            return start + found
    return None


def accepts(text: str) -> bool:
    """Whether Python reads `text` as one JSON object."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        return isinstance(json.loads(text, parse_constant=refuse), dict)
    except ValueError:
        return False


@settings(max_examples=examples(25))
@given(OBJECTS, st.lists(st.integers(0, 10_000), max_size=6), st.booleans(), st.sampled_from([None, 2]))
def test_object_ends_where_it_ends_however_it_is_cut(
    value: Any, cuts: list[int], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert scanned(text, cuts) == len(text)
    assert scanned(f" \n{text}{{", cuts) == len(text) + 2


@settings(max_examples=examples(25))
@given(OBJECTS, st.integers(0, 10_000), st.sampled_from('{}[]",:\\0-.e1tn x\x00\n'))
def test_what_is_spoiled_is_refused_exactly_when_python_refuses_it(value: Any, at: int, char: str) -> None:
    text = json.dumps(value)
    at %= len(text)
    spoiled = text[:at] + char + text[at + 1 :]
    try:
        end = scanned(spoiled)
    except Malformed:
        assert not accepts(spoiled)
    else:
        assert end is None or accepts(spoiled[:end])
        if accepts(spoiled):
            assert end is not None
            assert spoiled[end:].strip() == ""


@settings(max_examples=examples(25))
@given(OBJECTS, st.integers(0, 10_000), st.sampled_from('{}[]",:\\0-.e1tn x'), st.lists(st.integers(0, 99)))
def test_error_is_at_the_same_place_however_it_is_cut(
    value: Any, at: int, char: str, cuts: list[int]
) -> None:
    text = json.dumps(value)
    spoiled = text[: at % len(text)] + char + text[at % len(text) + 1 :]
    outcomes = []
    for pieces in ([], cuts, list(range(len(spoiled)))):
        try:
            outcomes.append((scanned(spoiled, pieces), ""))
        except Malformed as error:
            outcomes.append((error.position, str(error)))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("5", 0, "a JSON object"),
        ('"x"', 0, "a JSON object"),
        ("[1]", 0, "a JSON object"),
        ("true", 0, "a JSON object"),
        ("nil", 1, "true, false or null"),
        ("{a", 1, 'a name in double quotes or "}"'),
        ("{,", 1, 'a name in double quotes or "}"'),
        ('{"a"}', 4, '":"'),
        ('{"a":}', 5, "a value"),
        ('{"a":1 2', 7, '"," or "}"'),
        ('{"a":1,}', 7, "a name in double quotes"),
        ('{"a":[1,]', 8, "a value"),
        ('{"a":[}', 6, 'a value or "]"'),
        ('{"a":[1}', 7, '"," or "]"'),
        ('{"a":NaN', 5, "a value"),
        ('{"a":tru3', 8, "true, false or null"),
        ('{"a":01 ', 5, "a number"),
        ('{"a":1. ', 5, "a number"),
        ('{"a":"\n', 6, "control characters in text to be escaped"),
        ('{"a":"\\x', 7, "an escape sequence of JSON"),
        ('{"a":"\\u00g', 10, "four hexadecimal digits"),
    ],
)
def test_error_says_what_was_expected_before_the_object_is_complete(
    text: str, position: int, expected: str
) -> None:
    with pytest.raises(Malformed) as caught:
        scanned(text)
    assert (caught.value.position, str(caught.value).split(", found")[0]) == (
        position,
        f"expected {expected}",
    )


@pytest.mark.parametrize("text", ['{"a":"}', '{"a":{"b":1}', '{"a":"\\"}', "", "  \n", "nul", '{"a":12'])
def test_what_is_incomplete_waits_for_more(text: str) -> None:
    assert scanned(text) is None


def test_braces_in_text_do_not_count() -> None:
    text = '{"a":"}}}{{{\\"}"}'
    assert scanned(text) == len(text)


def test_null_is_an_empty_object() -> None:
    assert scanned("null ") == 4


def test_depth_has_a_limit() -> None:
    fine = '{"a":' * DEEPEST + "1" + "}" * DEEPEST
    assert scanned(fine) == len(fine)
    with pytest.raises(Malformed, match="nested more than"):
        scanned('{"a":' * (DEEPEST + 1))


def test_time_grows_with_the_length_and_not_faster() -> None:
    """A megabyte that comes a few bytes at a time is looked at once, not once for every piece."""
    text = '{"a":"' + "x" * 1_000_000
    scanner = Scanner()
    began = time.process_time()
    for start in range(0, len(text), 100):
        assert scanner.feed(text[start : start + 100]) is None
    assert time.process_time() - began < 2  # parsing all of it for every piece takes minutes
