"""The blocking host has the names, arguments and defaults of the asyncio one."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import plugin_host
from plugin_host import sync
from plugin_host.action.reader import ActionOutput
from plugin_host.event import EventStream
from plugin_host.metadata.face import Metadata

PAIRS = [
    (plugin_host.PluginHost, sync.PluginHost),
    (plugin_host.Session, sync.Session),
    (plugin_host.Viewer, sync.Viewer),
    (EventStream, sync.EventStream),
    (plugin_host.Logbook, sync.Logbook),
    (plugin_host.LogStream, sync.LogStream),
    (plugin_host.DirectTerminal, sync.DirectTerminal),
    (Metadata, sync.Metadata),
    (plugin_host.Actions, sync.Actions),
    (plugin_host.ActionRun, sync.ActionRun),
    (ActionOutput, sync.ActionOutput),
    (plugin_host.Tasks, sync.Tasks),
    (plugin_host.Task, sync.Task),
    (plugin_host.LogReader, sync.LogReader),
    (plugin_host.Artifact, sync.Artifact),
]
# What other parts of the host call, and embedders do not.
INSIDE = {
    plugin_host.DirectTerminal: {"wake"},
    Metadata: {"begin_with", "fill"},
    plugin_host.ActionRun: {
        "accept",
        "alive",
        "check_plugin",
        "ended",
        "finish",
        "forget_reader",
        "lose",
        "name",
        "received",
        "skipped",
        "wake",
        "when_over",
    },
    plugin_host.Session: {
        "check_kept",
        "check_plugin",
        "consume",
        "detach_viewer",
        "failure",
        "forget",
        "is_over",
        "is_read",
        "join",
        "lose",
        "next_viewer",
        "note_exit",
        "precedes",
        "open_input",
        "opened",
        "resize_as",
        "stop",
        "write_as",
    },
    plugin_host.Logbook: {"close", "forget", "put", "wants"},
    plugin_host.LogStream: {"put", "wants"},
    plugin_host.Viewer: {"ended", "has_all", "joined", "name", "received", "skipped", "streams", "wake"},
    EventStream: {"put"},
    # Workers that are no plugins are coroutines.
    plugin_host.Tasks: {"close", "offer"},
    plugin_host.Task: {
        "claim",
        "cut_log",
        "decline",
        "feed",
        "grace",
        "log_limit",
        "lose",
        "missing_log",
        "report",
        "spoil",
        "start",
        "take",
    },
}
# Coroutines are bounded by `asyncio.timeout`, threads by an argument.
ADDED = {"wait": {"timeout"}, "result": {"timeout"}}

each_pair = pytest.mark.parametrize(("theirs", "ours"), PAIRS, ids=lambda kind: kind.__name__)


def names(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


@each_pair
def test_names_are_the_same(theirs: type, ours: type) -> None:
    assert names(theirs) - INSIDE.get(theirs, set()) <= names(ours)
    assert names(ours) - names(theirs) <= {
        "id",
        "info",
        "plugin",
        "kind",
        "started_at",
        "last_sign",
        "exit",
        "session",
        "terminal",
        "number",
        "read_only",
        "start",
        "evicted",
        "offset",
        "order",
        "close",  # where theirs is inherited
    }


@each_pair
def test_arguments_are_the_same(theirs: type, ours: type) -> None:
    for name in names(theirs) & names(ours):
        one, other = getattr(theirs, name), getattr(ours, name)
        if not callable(one):
            continue
        theirs_have, ours_have = arguments(one), arguments(other)
        assert {key: ours_have[key] for key in theirs_have} == theirs_have, name
        assert ours_have.keys() - theirs_have.keys() == ADDED.get(name, set()), name


def test_hosts_are_made_with_the_same_arguments() -> None:
    assert arguments(sync.PluginHost.__init__) == arguments(plugin_host.PluginHost.__init__)


@each_pair
def test_nothing_has_to_be_awaited(theirs: type, ours: type) -> None:
    assert [name for name in names(ours) if inspect.iscoroutinefunction(getattr(ours, name))] == []


def test_everything_public_is_exported() -> None:
    assert {kind.__name__ for _, kind in PAIRS} == set(sync.__all__)


def arguments(function: Any) -> dict[str, tuple[Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return {one.name: (one.kind, one.default) for one in parameters if one.name != "self"}
