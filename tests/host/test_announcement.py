"""Sessions are told of twice, in order, whatever order their plugin tells of them in."""

from __future__ import annotations

from plugin_host.event import HostEvent, SessionEnded, SessionOpened
from plugin_host.exec.announcement import Announcement
from plugin_host_sdk.types.session import Exit, SessionInfo

INFO = SessionInfo(id="s1", handler="demo/local", command=("ls",))
OPENED = SessionOpened(plugin="demo", session="s1", info=INFO)
OK = Exit(code=0)


def announcement() -> tuple[Announcement, list[HostEvent]]:
    told: list[HostEvent] = []
    return Announcement("demo", told.append), told


def ended(exit: Exit | None) -> SessionEnded:
    return SessionEnded(plugin="demo", session="s1", exit=exit)


def test_a_session_is_opened_and_ends_once() -> None:
    one, told = announcement()
    one.begin("s1")
    one.opened(INFO)
    one.ended("s1", OK)
    one.ended("s1", OK)
    one.lose()
    assert told == [OPENED, ended(OK)]


def test_an_exit_that_comes_first_is_told_second() -> None:
    one, told = announcement()
    one.begin("s1")
    one.ended("s1", OK)
    one.opened(INFO)
    assert told == [OPENED, ended(OK)]


def test_what_was_called_off_is_not_told() -> None:
    one, told = announcement()
    one.begin("s1")
    one.call_off("s1")
    one.ended("s1", OK)
    one.lose()
    assert told == []


def test_a_plugin_that_dies_takes_its_sessions_along() -> None:
    one, told = announcement()
    one.begin("s1")
    one.opened(INFO)
    one.begin("s2")
    one.lose()
    assert told == [OPENED, ended(None)]
