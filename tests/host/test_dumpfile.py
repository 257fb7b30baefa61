"""The file for stacks: shared with a child, emptied, read up to a bound."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from plugin_host import dumpfile
from plugin_host.dumpfile import DumpFile


@pytest.fixture(params=["memory", "folder"])
def file(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[DumpFile]:
    """One in memory, and one of a system that has none there."""
    if request.param == "folder":

        def refuse(*_: object) -> int:
            raise PermissionError

        monkeypatch.setattr(os, "memfd_create", refuse)
    made = DumpFile()
    yield made
    made.close()


def write(file: DumpFile, text: str) -> None:
    """As a child does that was given the descriptor."""
    subprocess.run(["printf", "%s", text], stdout=file.fd, check=True)


def test_what_a_child_writes_is_read(file: DumpFile) -> None:
    assert (file.size(), file.read()) == (0, "")
    write(file, "one")
    assert (file.size(), file.read()) == (3, "one")
    write(file, " two")
    assert file.read() == "one two"


def test_after_emptying_it_is_written_from_its_start(file: DumpFile) -> None:
    write(file, "a long line")
    file.empty()
    assert (file.size(), file.read()) == (0, "")
    write(file, "x")
    assert file.read() == "x"


def test_bytes_that_are_no_text_are_shown(file: DumpFile) -> None:
    os.write(file.fd, b"a\xff")
    assert file.read() == "a\\xff"


def test_no_more_is_read_than_the_bound(file: DumpFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dumpfile, "_READ_BYTES", 10)
    os.write(file.fd, b"x" * 100)
    assert file.read() == "x" * 10


def test_no_child_inherits_it_unasked(file: DumpFile) -> None:
    assert not os.get_inheritable(file.fd)


def test_closing_twice_is_closing_once(file: DumpFile) -> None:
    file.close()
    file.close()
    assert file.fd == -1
