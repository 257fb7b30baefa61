"""What every program is told of a plugin."""

from __future__ import annotations

from typing import Any

import pytest

from plugin_host.candidate import Candidate
from plugin_host.control.overview import plugin_map
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
