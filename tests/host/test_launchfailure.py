"""Why a plugin did not become ready, in words: from facts to an error of the right kind."""

from __future__ import annotations

from typing import Any

import pytest

from plugin_host import launchfailure
from plugin_host.errors import (
    BadAnswer,
    CallFailed,
    IncompatibleProtocol,
    InitializeFailed,
    InitializeTimeout,
    LaunchError,
    PluginExited,
)
from plugin_host.exitstatus import ExitStatus
from plugin_host.launchfailure import LaunchFacts
from plugin_host_sdk.errors import RemoteProtocolError

TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "a.py", line 1, in <module>',
    "KeyError: 'first'",
    "",
    "During handling of the above exception, another exception occurred:",
    "",
    "Traceback (most recent call last):",
    '  File "b.py", line 2, in <module>',
    "    boom()",
    "ValueError: the second and last",
    "a line after it",
)


def facts(**options: Any) -> LaunchFacts:
    return LaunchFacts(plugin="demo", argv=["/usr/bin/python3", "-m", "x"], **options)


def exited(code: int, *stderr: str) -> LaunchError:
    return launchfailure.exited(facts(stderr=stderr), ExitStatus(code, None))


def test_exit_is_told_with_its_status_and_last_lines() -> None:
    error = exited(3, *(f"line {n}" for n in range(20)), "", "  ")
    assert type(error) is PluginExited
    assert str(error).startswith("plugin `demo` exited with status 3 before it was ready")
    assert str(error).endswith("\n    line 15\n    line 16\n    line 17\n    line 18\n    line 19")
    assert error.plugin == "demo"
    assert len(error.stderr) == 22  # all that is known stays at hand


def test_signal_is_told_in_words() -> None:
    error = launchfailure.exited(facts(), ExitStatus(None, 11))
    assert "killed by SIGSEGV (segmentation fault)" in str(error)


@pytest.mark.parametrize(
    ("stderr", "hint"),
    [
        (("/x/python: No module named plugin_host_sdk",), "/usr/bin/python3 has no plugin-host-sdk"),
        (("ModuleNotFoundError: No module named 'plugin_host_sdk'",), "has no plugin-host-sdk"),
        (("ModuleNotFoundError: No module named 'numpy.core'",), "cannot import numpy.core"),
        (("Unknown option: -P", "usage: python [option] ..."), "is older than Python 3.11"),
        (("unknown option -P",), "is older than Python 3.11"),
        (("someone said: unknown option: -P",), None),
        (TRACEBACK, "its code raised ValueError: the second and last"),
        (("Traceback (most recent call last):", "  cut off here"), None),
        (("nothing to learn from",), None),
    ],
)
def test_what_stderr_usually_means(stderr: tuple[str, ...], hint: str | None) -> None:
    found = exited(1, *stderr).hint
    assert hint in found if hint is not None and found is not None else found == hint


def test_program_that_ended_well_is_asked_whether_it_is_a_plugin() -> None:
    assert "is this program a plugin?" in str(exited(0).hint)


def test_deadline_is_told_with_what_was_waited_for() -> None:
    error = launchfailure.timed_out(facts(), 2.5)
    assert type(error) is InitializeTimeout
    assert "did not answer initialize within 2.5 s and was killed" in str(error)
    assert "launch.start_timeout_s" in str(error.hint)


def test_text_on_stdout_explains_the_silence() -> None:
    error = launchfailure.timed_out(facts(stray=b"Welcome!\n"), 1)
    assert r"first bytes that are not of the protocol: 'Welcome!\n'" in str(error)
    assert "is this program a plugin?" in str(error.hint)


def test_first_bytes_are_shown_in_short() -> None:
    text = str(launchfailure.timed_out(facts(stray=b"\x00\xff" * 4000), 1))
    assert r"'\x00\xff\x00" in text
    assert "…" in text
    assert len(text) < 1000


@pytest.mark.parametrize(
    ("data", "theirs"),
    [
        ({"plugin": [2, 3]}, "2, 3"),
        ({"plugin": []}, "none"),
        ({"plugin": "x"}, "'x'"),
        ({}, "None"),
        (None, "None"),
        ([1], "None"),
    ],
)
def test_other_versions_are_told_with_both_lists(data: Any, theirs: str) -> None:
    error = CallFailed("no", name="initialize.no_common_protocol", data=data)
    told = launchfailure.refused(facts(), error)
    assert type(told) is IncompatibleProtocol
    assert f"speaks protocol {theirs}; this host speaks 1" in str(told)


def test_refusal_is_told_in_the_plugins_words() -> None:
    told = launchfailure.refused(facts(), CallFailed("I am somebody else", name="initialize.wrong_plugin"))
    assert type(told) is InitializeFailed
    assert "refused to start: I am somebody else" in str(told)


def test_other_id_is_named() -> None:
    told = launchfailure.wrong_plugin(facts(), "x" * 10_000)
    assert type(told) is InitializeFailed
    assert "plugin `demo` answered as plugin 'xxx" in str(told)
    assert len(str(told)) < 500


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (RemoteProtocolError("the plugin chose protocol version 9"), IncompatibleProtocol),
        (RemoteProtocolError("83 is no kind of message"), BadAnswer),
        (EOFError("it closed its stdout and runs on"), BadAnswer),
    ],
)
def test_answer_of_no_use_is_told(problem: Exception, kind: type[LaunchError]) -> None:
    told = launchfailure.wrong_answer(facts(), problem)
    assert type(told) is kind
    assert f"gave no usable answer to initialize: {problem}" in str(told)


def test_settings_that_cannot_be_sent_are_told() -> None:
    told = launchfailure.unsendable("demo", ValueError("cannot send settings.a"))
    assert "plugin `demo` was not started: cannot send settings.a" in str(told)
