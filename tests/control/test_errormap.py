"""The host's exceptions arrive at a client as what they were."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host import errors
from plugin_host.control.errormap import from_map, to_map
from plugin_host.death import DeathReport, Phase
from plugin_host.exitstatus import ExitStatus

REPORT = DeathReport(
    plugin="demo",
    phase=Phase.CALL,
    how="killed by SIGSEGV (segmentation fault)",
    pid=12,
    status=ExitStatus(code=None, signal=11),
    stderr=("one", "two"),
    calls=("greet",),
    sessions=("s1",),
    uptime=1.5,
    peak_memory=4096,
    cpu_s=0.25,
    restarts=2,
    next="It is started again in 0.5 s.",
)
QUIET = DeathReport(plugin="demo", phase=Phase.IDLE, how="is gone")


def launch_error(kind: type[errors.LaunchError]) -> errors.LaunchError:
    error = kind("no start", plugin="demo", file="/x/y", stderr=["a", "b"], hint="install it")
    error.report, error.hang = REPORT, "import of demo.py:3"
    return error


ERRORS: list[errors.PluginHostError] = [
    errors.PluginNotFound("no plugin `dmo`", plugin="dmo", near=("demo",)),
    errors.PluginNotReady("plugin `demo` is failed", plugin="demo", state="failed"),
    errors.PluginDied.of(REPORT, "while the call was in flight"),
    errors.PluginDied("gone", plugin="demo"),
    errors.CrashLoop("too often", plugin="demo", reports=(REPORT, QUIET)),
    *(
        launch_error(kind)
        for kind in (
            errors.LaunchError,
            errors.SpawnError,
            errors.PluginExited,
            errors.InitializeTimeout,
            errors.IncompatibleProtocol,
            errors.InitializeFailed,
            errors.BadAnswer,
        )
    ),
    errors.ManifestError("bad", file="/m.json", path="$.id"),
    errors.ConfigurationError("bad", file="/c.toml", path="$.only"),
    errors.PluginHostError("this host is closed"),
    errors.CallFailed("no", name="command.failed", code=7, data={"a": 1}),
    errors.CallTimeout("late", name="command.timeout"),
    errors.CallCancelled("stopped", name="rpc.cancelled"),
    errors.SessionNotFound("no such session", session="s1"),
    errors.HandlerNotFound("no handler", data={"handlers": ["local"]}),
    errors.SessionClosed("it has ended", session="s1"),
    errors.TerminalError("no terminal", data={"errno": 2, "reason": "not_found"}),
    errors.SessionExists("the id is taken", session="s1"),
    errors.TaskNotFound("no such task", task="t1"),
    errors.TaskLost("its plugin died", task="t1", report=REPORT),
    errors.TaskLost("it was closed", task="t1"),
    errors.ArtifactDamaged("3 bytes arrived", path="/a"),
    *(
        kind("no", data={"path": "/a"})
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, errors.MetadataError)
        and kind is not errors.MetadataError
    ),
]


def attributes(error: Exception) -> dict[str, Any]:
    return {name: value for name, value in vars(error).items() if name != "__notes__"}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{type(error).__name__}-{error}"[:40])
def test_what_arrives_is_what_was_raised(error: errors.PluginHostError) -> None:
    arrived = from_map(to_map(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert attributes(arrived) == attributes(error)


def test_every_exception_that_a_client_may_meet_is_tried() -> None:
    local = {"HostLost", "HostUnreachable", "ListenerUnreachable", "SocketError", "SocketInUse"}
    local |= {"CommandError", "ViewerReadOnly"}
    local |= {name for name in errors.__all__ if issubclass(getattr(errors, name), errors.SealError)}
    local |= {"KeyFileError"}
    inner = {
        "CallError",
        "ExecSessionError",
        "MetadataError",
        "ProtocolError",
        "LocalProtocolError",
        "RemoteProtocolError",
    }
    there = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    assert there - local - inner == {type(error).__name__ for error in ERRORS}


def test_what_is_not_of_the_tree_is_an_internal_error_that_says_what() -> None:
    arrived = from_map(to_map(ZeroDivisionError("by zero")))
    assert type(arrived) is errors.CallFailed
    assert arrived.name == "rpc.internal"
    assert str(arrived) == "ZeroDivisionError: by zero"


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([str(to_map(error)["name"]) for error in ERRORS])
keys = ["plugin", "report", "reports", "kind", "stderr", "near", "task", "path"]
data = st.dictionaries(st.sampled_from(keys), odd)


@given(st.fixed_dictionaries({"name": names, "data": data | odd, "message": odd}) | odd)
def test_no_map_is_too_odd_to_become_an_exception(value: Any) -> None:
    assert isinstance(from_map(value), errors.PluginHostError)
