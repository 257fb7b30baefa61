"""What the host makes of the end of a plugin: how far it had come, and in which words that is told."""

from __future__ import annotations

import pytest

from plugin_host import launchfailure, obituary
from plugin_host.death import DeathReport, Phase
from plugin_host.errors import CallFailed, LaunchError, SpawnError
from plugin_host.exitstatus import ExitStatus
from plugin_host.launchfailure import LaunchFacts

FACTS = LaunchFacts(plugin="demo", argv=["x"], stderr=("the last words",))

BEFORE_ITS_ANSWER = {
    "exit": launchfailure.exited(FACTS, ExitStatus(3, None)),
    "signal": launchfailure.exited(FACTS, ExitStatus(None, 11)),
    "limit": launchfailure.exited(FACTS, ExitStatus(None, 9), "its memory limit of 1 MiB was reached"),
    "silence": launchfailure.timed_out(FACTS, 10.0),
}
WITH_ITS_ANSWER = {
    "refusal": launchfailure.refused(FACTS, CallFailed("no licence")),
    "versions": launchfailure.refused(FACTS, CallFailed("no", name="initialize.no_common_protocol")),
    "other plugin": launchfailure.wrong_plugin(FACTS, "other"),
    "no answer": launchfailure.wrong_answer(FACTS, EOFError("it closed its stdout and runs on")),
}


def report_of(error: LaunchError, *, is_python: bool) -> DeathReport:
    return obituary.of_launch("demo", error, is_python=is_python, confinement=None, restarts=2)


@pytest.mark.parametrize("is_python", [True, False])
def test_program_that_could_not_be_started_died_in_its_spawn(is_python: bool) -> None:
    assert report_of(SpawnError("no such file"), is_python=is_python).phase is Phase.SPAWN


@pytest.mark.parametrize("error", BEFORE_ITS_ANSWER.values(), ids=BEFORE_ITS_ANSWER)
def test_only_a_python_plugin_that_has_not_answered_died_in_its_import(error: LaunchError) -> None:
    """Its code is imported before the host is heard; what another program did nobody knows."""
    assert report_of(error, is_python=True).phase is Phase.IMPORT
    assert report_of(error, is_python=False).phase is Phase.INITIALIZE


@pytest.mark.parametrize("is_python", [True, False])
@pytest.mark.parametrize("error", WITH_ITS_ANSWER.values(), ids=WITH_ITS_ANSWER)
def test_plugin_that_was_imported_and_gave_no_good_answer_died_in_initialize(
    error: LaunchError, is_python: bool
) -> None:
    assert report_of(error, is_python=is_python).phase is Phase.INITIALIZE


def test_report_of_a_launch_says_what_is_known_of_it() -> None:
    error = launchfailure.exited(FACTS, ExitStatus(3, None))
    error.pid, error.uptime = 17, 0.5
    report = report_of(error, is_python=True)
    assert (report.plugin, report.pid, report.uptime, report.restarts) == ("demo", 17, 0.5, 2)
    assert report.how == "exited with status 3 before it was ready"
    assert report.stderr == ("the last words",)
    assert report.status == ExitStatus(3, None)
    assert report.is_failure


def test_hint_is_told_beside_how_it_ended_and_not_twice() -> None:
    error = launchfailure.timed_out(LaunchFacts(plugin="demo", argv=["x"]), 10.0)
    assert error.hint
    assert error.hint in str(error)
    assert report_of(error, is_python=True).how == "did not answer initialize within 10 s and was killed"
