"""What the host tells its keeper: lines that arrive in any pieces, some of them unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.keeper.dictation import (
    HELLO,
    QUIT,
    Dictation,
    cgroup_line,
    ended_line,
    gone_line,
    session_line,
)


def dictated(data: bytes) -> Dictation:
    dictation = Dictation()
    dictation.feed(data)
    return dictation


def test_hello_says_nothing() -> None:
    dictation = dictated(HELLO)
    assert (dictation.folders, dictation.is_over) == ([], False)


def test_folders_come_and_go_in_order() -> None:
    dictation = dictated(cgroup_line(b"/a b") + cgroup_line(b"/c") + cgroup_line(b"/d") + gone_line(b"/c"))
    assert dictation.folders == [b"/a b", b"/d"]


def test_folder_told_twice_is_one() -> None:
    assert dictated(cgroup_line(b"/a") * 2 + gone_line(b"/a")).folders == []


def test_folder_never_told_may_be_gone() -> None:
    assert dictated(gone_line(b"/a") + cgroup_line(b"/b")).folders == [b"/b"]


def test_sessions_come_and_go() -> None:
    told = session_line(7, 70) + session_line(8, 80) + ended_line(7) + ended_line(9)
    assert dictated(told).sessions == {8: 80}


def test_session_number_that_is_used_again_has_the_later_start() -> None:
    assert dictated(session_line(7, 70) + ended_line(7) + session_line(7, 75)).sessions == {7: 75}


def test_list_of_folders_stays_the_same_object() -> None:
    """Who was given it sees what is told later."""
    dictation = Dictation()
    folders = dictation.folders
    dictation.feed(cgroup_line(b"/a") + cgroup_line(b"/b") + gone_line(b"/a"))
    assert folders == [b"/b"]


def test_goodbye_counts_when_its_line_has_ended() -> None:
    dictation = dictated(QUIT[:-1])
    assert not dictation.is_over
    dictation.feed(QUIT[-1:])
    assert dictation.is_over


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"quite", b"later /a", b"cgroup", b"cgroup relative", b"cgroup ", b"gone"),
        *(
            b"session",
            b"session 7",
            b"session 7 x",
            b"session -7 1",
            b"session 7 8 9",
            b"ended",
            b"ended x",
        ),
    ],
)
def test_line_that_is_not_known_is_skipped(line: bytes) -> None:
    dictation = dictated(line + b"\n" + cgroup_line(b"/a"))
    assert (dictation.folders, dictation.sessions, dictation.is_over) == ([b"/a"], {}, False)


@pytest.mark.parametrize("folder", [b"", b"a", b"/a\nquit", b"/a\0"])
def test_unfit_folder_is_refused(folder: bytes) -> None:
    for line in (cgroup_line, gone_line):
        with pytest.raises(ValueError, match="no absolute path"):
            line(folder)


@given(st.lists(st.integers(1, 40), max_size=30))
def test_pieces_make_no_difference(sizes: list[int]) -> None:
    data = HELLO + b"".join(cgroup_line(b"/%d" % n) for n in range(9)) + gone_line(b"/3") + QUIT
    dictation = Dictation()
    for size in sizes:
        dictation.feed(data[:size])
        data = data[size:]
    dictation.feed(data)
    assert dictation.is_over
    assert dictation.folders == [b"/%d" % n for n in range(9) if n != 3]
