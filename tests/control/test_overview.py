"""What every program is told of a plugin."""

from __future__ import annotations

import time
from typing import Any

import pytest

from plugin_host.candidate import Candidate
from plugin_host.control.overview import plugin_map, status_map
from plugin_host.errors import ManifestError
from plugin_host.plugin import Plugin

LOCAL = {"key": "demo/local", "plugin": "demo", "resource": "local"}
FILES = {"key": "demo/files", "plugin": "demo", "resource": "files", "tty": False, "more": 1}


@pytest.mark.parametrize(
    ("offered", "handlers"),
    [
        ({"handlers": [FILES, LOCAL]}, [("demo/files", False, True), ("demo/local", True, True)]),
        ({"handlers": [LOCAL | {"pipes": False}]}, [("demo/local", True, False)]),
        ({"handlers": []}, []),
        ({"handlers": [LOCAL, {"key": 5}]}, []),
        ({"handlers": "local"}, []),
        ({}, []),
        (None, []),
    ],
)
def test_handlers_are_told_with_what_they_serve(
    offered: Any, handlers: list[tuple[str, bool, bool]]
) -> None:
    plugin = Plugin(Candidate(id="demo", source="here", error=ManifestError("broken")), lambda _: None)
    assert plugin_map(plugin)["handlers"] == []
    plugin.capabilities = {"exec": offered}
    told = plugin_map(plugin)["handlers"]
    assert told == [{"key": key, "tty": tty, "pipes": pipes} for key, tty, pipes in handlers]


def test_a_clock_that_is_set_makes_a_host_no_older(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic() - 5
    started_at = time.time() - 5
    monkeypatch.setattr(time, "time", lambda: started_at + 1e9)
    told = status_map([], started_at, began)
    assert told["started_at"] == started_at
    assert 5 <= told["uptime_s"] < 60
