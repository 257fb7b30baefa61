"""Errors go to other processes, and through whatever copies them."""

from __future__ import annotations

import copy
import pickle

import pytest

from plugin_host.errors import (
    ArtifactDamaged,
    CallFailed,
    CommandError,
    CrashLoop,
    HostUnreachable,
    ListenerUnreachable,
    PluginHostError,
    PluginNotFound,
    PluginNotReady,
    TaskLost,
    TaskNotFound,
)

ERRORS = [
    ArtifactDamaged("cut", path="/tmp/x"),
    CallFailed("no", name="command.failed", code=3, data={"known": ["ada"]}),
    CommandError(3, "no", known=["ada"]),
    CrashLoop("again and again", plugin="demo"),
    HostUnreachable("nobody", socket="/run/x", is_absent=True),
    ListenerUnreachable("nobody", path="/run/x"),
    PluginNotFound("no plugin `dem`", plugin="dem", near=["demo"]),
    PluginNotReady("stopped", plugin="demo", state="stopped"),
    TaskLost("gone", task="t1"),
    TaskNotFound("no task", task="t1"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_copy_has_all_that_the_error_has(error: PluginHostError) -> None:
    for copied in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(copied) is type(error)
        assert str(copied) == str(error)
        assert vars(copied) == vars(error)


def test_a_note_on_the_error_is_copied_too() -> None:
    error = CallFailed("no")
    error.add_note("of the second call")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["of the second call"]
