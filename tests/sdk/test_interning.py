"""The table of interned strings grows before there are children, and not in each of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
from plugin_host_sdk.runtime.interning import make_room
"""

GROWS = not (3, 12) <= sys.version_info < (3, 13) and sys.platform == "linux"
"""In 3.12 what is interned stays for ever, so nothing is interned to see the table grow."""


def told(code: str) -> list[int]:
    ran = subprocess.run([sys.executable, "-c", CODE + code], check=True, capture_output=True, text=True)
    return [int(each) for each in ran.stdout.split()]


@pytest.mark.skipif(not GROWS, reason="what is interned stays for ever, or nobody tells the table's growth")
def test_table_that_has_grown_has_room_for_thousands_of_names() -> None:
    _, room, more = told("print(make_room(), make_room(), make_room())")
    assert 2_000 < room < more


@pytest.mark.skipif(not GROWS, reason="what is interned stays for ever, or nobody tells the table's growth")
def test_no_name_that_made_it_grow_is_left() -> None:
    code = """
make_room()
before = sys.getallocatedblocks()
make_room()
print(sys.getallocatedblocks() - before)
"""
    [more] = told(code)
    assert more < 100


@pytest.mark.skipif(GROWS, reason="here it can be had")
def test_where_an_interned_string_stays_for_ever_none_is_made() -> None:
    code = """
before = sys.getallocatedblocks()
print(make_room(), sys.getallocatedblocks() - before)
"""
    room, more = told(code)
    assert room == -1
    assert more < 100


def test_without_a_way_to_see_it_grow_nothing_is_done() -> None:
    assert told("sys.modules['ctypes'] = None\nprint(make_room())") == [-1]
