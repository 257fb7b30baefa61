"""The page about guests, held against the code: its times, sizes, routes, actions and refusals.

Guests were written for these figures, so they stand here once more.
"""

from __future__ import annotations

import inspect
from dataclasses import asdict

import pytest

from plugin_host.guest import GuestServer, GuestTimes
from plugin_host.guest.action import IDLE, KINDS
from plugin_host.guest.application import Application
from plugin_host.guest.folder import LIST_BYTES
from plugin_host.guest.refusal import STATUS
from plugin_host.guest.shellframe import BLOCK_BYTES, MESSAGE_BYTES, WINDOW_BYTES
from tests.docs.page import prose
from tests.source import ROOT

pytestmark = pytest.mark.edges

PAGE = ROOT / "docs" / "guests.md"
TIMES = {
    "head": 10,
    "poll": 30,
    "take": 30,
    "reply": 30,
    "stall": 30,
    "log": 30,
    "ping": 15,
    "pong": 45,
    "write": 30,
    "close": 2,
}


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the table below a heading, by what their first cell names."""
    lines = prose(PAGE)
    found: dict[str, list[str]] = {}
    for line in lines[lines.index(f"## {heading}") + 1 :]:
        if line.startswith("#"):
            break
        if line.startswith("| `"):
            first, *others = [cell.strip() for cell in line.strip("|").split("|")]
            found[first] = others
    return found


def test_times_are_those_that_guests_were_written_for() -> None:
    assert asdict(GuestTimes()) == TIMES


def test_times_of_the_page_are_those_of_the_code() -> None:
    shown: dict[str, float] = {}
    for names, cells in table("Times").items():
        shown |= zip(names.replace("`", "").split(", "), map(float, cells[0].split(", ")), strict=True)
    assert shown == asdict(GuestTimes())


@pytest.mark.parametrize(
    "words",
    [
        f"within {GuestTimes().poll:g} s",
        f"or {GuestTimes().log:g} s later",
        f"answered again, {GuestTimes().reply:g} s",
        f"a ping every {GuestTimes().ping:g} s",
        f"cuts the connection off after {GuestTimes().close:g} s",
        f"at most {BLOCK_BYTES // 1024} KiB;",
        f"a credit of {WINDOW_BYTES // 1024} KiB:",
        f"Messages of more than {MESSAGE_BYTES // 1024} KiB",
        f"up to {LIST_BYTES // 1024**2} MiB",
    ],
)
def test_text_of_the_page_says_the_same(words: str) -> None:
    assert words in PAGE.read_text()


def test_sizes_are_those_that_guests_were_written_for() -> None:
    assert (BLOCK_BYTES, MESSAGE_BYTES, WINDOW_BYTES) == (16_384, 20_480, 65_536)
    assert LIST_BYTES == 10_485_760


def test_every_argument_of_the_server_is_on_the_page_with_its_default() -> None:
    cells = list(table("Where it listens"))
    assert cells.pop(0) == "`GuestServer(task, ...)`"
    shown = [one.strip("`").replace('"', "'") for cell in cells for one in cell.split(", ")]
    in_words = {"host": "'127.0.0.1'", "mode": "0o600", "times": "GuestTimes()"}
    arguments = inspect.signature(GuestServer).parameters
    known = [f"{name}={in_words.get(name, repr(one.default))}" for name, one in arguments.items()]
    assert sorted(shown) == sorted(known[1:])
    assert [arguments[name].default for name in in_words] == [None, 0o600, None]


def test_every_route_is_on_the_page_with_its_method() -> None:
    application = Application(lambda address: None, lambda connection: "")
    known = {f"`{name}`": list(methods) for name, methods in application._routes.items()}
    shown = {name: cells[:1] for name, cells in table("Routes").items()}
    assert shown.pop("`reply?id=ID`") == ["depends"]
    assert shown == known


def test_every_action_is_on_the_page_with_its_tries() -> None:
    shown = {name: (cells[0].split(",")[0], cells[-1]) for name, cells in table("Actions").items()}
    assert shown.pop(f"`{IDLE}`")[1] == ""
    assert shown == {f"`{name}`": (kind.method, str(kind.tries)) for name, kind in KINDS.items()}


def test_every_refusal_is_on_the_page_with_its_status() -> None:
    shown = {name: cells[0] for name, cells in table("Errors").items()}
    assert shown == {f"`{kind.__name__}`": str(status) for kind, status in STATUS.items()}
