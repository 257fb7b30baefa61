"""How users name sessions and signals, and how long things take for them."""

from __future__ import annotations

import pytest

from plugin_host.cli.duration import brief_duration
from plugin_host.cli.sessionname import Key, brief_ids, chosen_session
from plugin_host.cli.signalname import BadSignal, signal_name
from plugin_host.errors import CallFailed, SessionNotFound

pytestmark = pytest.mark.edges

KNOWN = [("shell", "abcd"), ("shell", "abce"), ("other", "abcd"), ("other", "x"), ("other", "xy/z")]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("abce", ("shell", "abce")),
        ("shell/abcd", ("shell", "abcd")),
        ("other/a", ("other", "abcd")),
        ("x", ("other", "x")),
        ("xy", ("other", "xy/z")),
        ("xy/z", ("other", "xy/z")),
        ("other/xy/", ("other", "xy/z")),
    ],
)
def test_session_is_named_by_its_id_or_the_beginning_of_it(name: str, key: Key) -> None:
    assert chosen_session(name, KNOWN) == key


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("a", "shell/abcd, shell/abce, other/abcd"),
        ("abcd", "shell/abcd, other/abcd"),
        ("shell/abc", "shell/abcd, shell/abce"),
    ],
)
def test_name_of_several_sessions_lists_them(name: str, listed: str) -> None:
    with pytest.raises(CallFailed, match=f"`{name}` stands for several sessions: {listed}$"):
        chosen_session(name, KNOWN)


@pytest.mark.parametrize("name", ["", "shell/", "y", "third/abcd", "abcdef"])
def test_name_of_no_session_is_an_error(name: str) -> None:
    with pytest.raises(SessionNotFound, match=f"no session `{name}`"):
        chosen_session(name, KNOWN)


def test_brief_ids_name_one_session_each() -> None:
    ids = ["0123456789abcdef", "0123456789abzzzz", "fedcba9876543210", "short"]
    keys = [("shell", id) for id in ids]
    brief = brief_ids(keys)
    assert list(brief.values()) == ["0123456789abc", "0123456789abz", "fedcba987654", "short"]
    assert [chosen_session(short, keys) for short in brief.values()] == keys
    assert brief_ids([]) == {}


@pytest.mark.parametrize(
    ("text", "name"),
    [("TERM", "SIGTERM"), ("sigint", "SIGINT"), ("9", "SIGKILL"), ("RTMIN+3", "SIGRTMIN+3")],
)
def test_signals_are_named_as_kill_does(text: str, name: str) -> None:
    assert signal_name(text) == name


@pytest.mark.parametrize(
    ("text", "said"), [("TRM", "'TRM' is no signal"), ("0", "number 0"), ("", "no signal")]
)
def test_what_is_no_signal_is_said(text: str, said: str) -> None:
    with pytest.raises(BadSignal, match=said):
        signal_name(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (3.9, "3 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (200_000, "2 d")],
)
def test_lengths_of_time_are_brief(seconds: float, text: str) -> None:
    assert brief_duration(seconds) == text
