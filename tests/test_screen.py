"""The screen that tests look at shows what a terminal would."""

from __future__ import annotations

import pytest

from tests.screen import Screen

pytestmark = pytest.mark.edges


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (b"one\r\ntwo", ["one", "two", "", ""]),
        (b"abc\bd\rX", ["Xbd", "", "", ""]),
        (b"1\r\n2\r\n3\r\n4\r\n5", ["2", "3", "4", "5"]),
        (b"0123456789ab", ["0123456789", "ab", "", ""]),
        (b"a\tb", ["a       b", "", "", ""]),
        (b"\x1b[2;3Hx\x1b[1;1Hy\x1b[4dz", ["y", "  x", "", " z"]),
        (b"abc\x1b[2Dx\x1b[K", ["ax", "", "", ""]),
        (b"abc\r\ndef\x1b[1;2H\x1b[J", ["a", "", "", ""]),
        (b"abc\x1b[2Jx", ["   x", "", "", ""]),
        (b"\x1b[1;31mred\x1b[m \x1b]0;title\x07plain\x1b(B\x1b=\x1b[?25l", ["red plain", "", "", ""]),
        (b"1\r\n2\r\n3\x1b[1;1H\x1b[L!", ["!", "1", "2", "3"]),
        (b"1\r\n2\r\n3\x1b[1;1H\x1b[M", ["2", "3", "", ""]),
        (b"\x1b[1;2r1\r\n2\r\n3", ["2", "3", "", ""]),
        (b"1\r\n2\x1b[1;1H\x1bM0", ["0", "1", "2", ""]),
        (b"abcd\x1b[2G\x1b[P\x1b[@!", ["a!cd", "", "", ""]),
        ("ü漢".encode(), ["ü漢", "", "", ""]),
    ],
)
def test_output_makes_these_lines_however_it_is_cut(output: bytes, lines: list[str]) -> None:
    whole, pieces = Screen(4, 10), Screen(4, 10)
    whole.feed(output)
    for at in range(len(output)):
        pieces.feed(output[at : at + 1])
    assert whole.lines == lines
    assert pieces.lines == lines


def test_screen_of_another_size_keeps_what_fits() -> None:
    screen = Screen(3, 10)
    screen.feed(b"0123456789\r\n\nx")
    screen.resize(2, 4)
    assert screen.lines == ["0123", ""]
    assert (screen.row, screen.col) == (1, 1)
    screen.clear()
    assert screen.text == ""
