"""Statuses of programs, and words for sessions that failed."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from plugin_host.cli import failure
from plugin_host.cli.execfailure import in_words
from plugin_host.cli.programstatus import status_of
from plugin_host.errors import PluginHostError, PluginNotFound
from plugin_host_sdk.errors import ExecError, SessionClosed, TerminalError
from plugin_host_sdk.types.session import Exit, SessionFailure

pytestmark = pytest.mark.edges


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (Exit(code=0), 0),
        (Exit(code=3), 3),
        (Exit(code=255), 255),
        (Exit(code=256), 255),
        (Exit(code=-1), 255),
        (Exit(signal="SIGKILL"), 137),
        (Exit(signal="SIGINT"), 130),
        (Exit(signal="SIGRTMIN+2"), 128 + int(signal.SIGRTMIN) + 2),
        (Exit(signal="SIGNOPE"), 128),
    ],
)
def test_status_is_the_code_or_stands_for_the_signal(ended: Exit, status: int) -> None:
    assert status_of(ended) == status


def test_failure_of_a_handler_is_raised_as_it_said_it() -> None:
    said = SessionFailure(title="No way", message="down", suggestion="wait", retry_commands=("ls",))
    with pytest.raises(ExecError) as caught:
        status_of(Exit(error=said))
    assert in_words(caught.value) == "No way: down\n  hint: wait\n  try: ls"


def test_session_without_an_end_is_a_failure() -> None:
    with pytest.raises(PluginHostError, match="ended without a status: nobody knows"):
        status_of(Exit(reason="nobody knows"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ExecError(), "Session failed\n  hint: The exec session terminated unexpectedly."),
        (ExecError("No", "one\ntwo", ""), "No: one\n  two"),
        (SessionClosed("it has ended", session="s1"), "it has ended"),
        (TerminalError("cannot", data={"error": {"title": "T", "message": "m"}}), "T: m"),
        (TerminalError("cannot", data={"error": {}}), "Session failed"),
        (TerminalError("cannot", data={"error": {"title": 5, "retry_commands": 7}}), "5"),
        (TerminalError("cannot", data={"error": "odd"}), "cannot"),
        (PluginNotFound("no plugin", plugin="a"), "no plugin"),
    ],
)
def test_errors_say_what_a_person_needs(error: Exception, words: str) -> None:
    assert in_words(error) == words


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TerminalError("x", data={"reason": "not_found"}), 127),
        (TerminalError("x", data={"reason": "not_executable"}), 126),
        (TerminalError("x", data={"reason": "bad_cwd"}), 125),
        (TerminalError("x", data={"reason": ["odd"]}), 125),
        (TerminalError("x"), 125),
        (PluginNotFound("x", plugin="a"), 125),
    ],
)
def test_status_says_whether_the_program_was_the_reason(error: Any, status: int) -> None:
    assert failure.exit_code(error, runs_program=True) == status


def test_words_from_a_plugin_do_not_reach_the_terminal_as_they_are() -> None:
    assert failure.sentence(ExecError("\x1b[31mred", "", "")) == "\\x1b[31mred"
