"""The keys by which a session is left: how they are written, and found in what is typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.cli.detachkey import DEFAULT, BadKeys, DetachKeys, WatchedKeys, parse_keys

pytestmark = pytest.mark.edges


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (DEFAULT, b"\x10\x11"),
        ("ctrl-a,d", b"\x01d"),
        ("CTRL-A", b"\x01"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
        ("q,q", b"qq"),
        ("", b""),
    ],
)
def test_keys_are_written_as_dockers(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ctrl-ab", "ab", "ctrl-p,", "é", "\x01", "ctrl-é"])
def test_what_is_no_key_is_said(text: str) -> None:
    with pytest.raises(BadKeys, match="is no key: expected one character, or ctrl- and a letter"):
        parse_keys(text)


@pytest.mark.parametrize(
    ("typed", "passed", "found"),
    [
        ([b"ab"], b"ab", False),
        ([b"\x10"], b"", False),
        ([b"\x10", b"\x11"], b"", True),
        ([b"a\x10\x11b"], b"a", True),
        ([b"\x10", b"a"], b"\x10a", False),
        ([b"\x10\x10", b"\x11"], b"\x10", True),
        ([b"\x11\x10"], b"\x11", False),
    ],
)
def test_half_a_sequence_waits_and_a_broken_one_is_passed_on(
    typed: list[bytes], passed: bytes, found: bool
) -> None:
    keys = DetachKeys(b"\x10\x11")
    results = [keys.feed(piece) for piece in typed]
    assert b"".join(data for data, _ in results) == passed
    assert [is_found for _, is_found in results] == [False] * (len(typed) - 1) + [found]


@given(st.text("ab", min_size=1, max_size=4), st.lists(st.text("ab", max_size=5)))
def test_everything_but_the_first_whole_sequence_comes_out(sequence: str, typed: list[str]) -> None:
    keys, passed = DetachKeys(sequence.encode()), b""
    text = "".join(typed)
    for piece in typed:
        data, found = keys.feed(piece.encode())
        passed += data
        if found:
            assert passed.decode() == text.partition(sequence)[0]
            return
    assert sequence not in text
    assert text.encode().startswith(passed)
    assert sequence.startswith(text[len(passed) :])


def test_no_keys_are_never_found() -> None:
    assert DetachKeys(b"").feed(b"\x10\x11") == (b"\x10\x11", False)


def test_watched_keys_pass_nothing_and_any_of_them_is_found() -> None:
    keys = WatchedKeys(b"\x10\x11", b"\x03")
    assert keys.feed(b"ab\x10") == (b"", False)
    assert keys.feed(b"\x11") == (b"", True)
    assert WatchedKeys(b"\x10\x11", b"\x03").feed(b"\x03") == (b"", True)
