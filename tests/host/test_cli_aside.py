"""What is complained of while stderr takes nothing: it waits, then is dropped and counted."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from plugin_host.cli import aside as module
from plugin_host.cli import output
from plugin_host.cli.aside import aside

pytestmark = pytest.mark.edges


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end to read from of a pipe that stands for stderr."""
    read, write = os.pipe()
    monkeypatch.setattr(output, "STDERR", write)
    yield read
    os.close(read)
    os.close(write)


def test_complaints_arrive_in_order_before_the_end(stderr: int) -> None:
    with aside():
        for number in range(10):
            output.complain(f"{number}\n")
    assert os.read(stderr, 4096) == b"".join(b"%d\n" % number for number in range(10))
    output.complain("afterwards\n")
    assert os.read(stderr, 4096) == b"afterwards\n"


def test_what_is_too_much_is_dropped_and_counted_in_its_place(
    stderr: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HELD_BYTES", 400_000)
    line = "x" * 99_999 + "\n"
    note = b"plugin-host: stderr was not read; messages that are missing here: 6\n"
    with aside():
        for _ in range(10):  # a pipe holds less than one, so four wait
            output.complain(line)
        wanted = line.encode() * 4 + note
        got = b""
        while len(got) < len(wanted):
            got += os.read(stderr, len(wanted) - len(got))
        assert got == wanted
        output.complain("again\n")
    assert os.read(stderr, 4096) == b"again\n"


def test_one_who_never_reads_holds_nobody(stderr: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LAST_WORDS_S", 0.01)
    with aside():
        output.complain("x" * 1_000_000)
        output.complain("never\n")
    assert os.read(stderr, 10) == b"x" * 10
    while os.read(stderr, 1_000_000)[-6:] != b"never\n":
        pass
