"""The automation plugin on a bench, with settings of the test's choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_host_automation import plugin, state
from plugin_host_sdk.testing import ActionBench

__all__ = ["Serve", "serve"]

Serve = Callable[..., ActionBench]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves the plugin, one at a time; its state is in `tmp_path/state` unless told otherwise."""
    made: list[ActionBench] = []

    def make(**settings: Any) -> ActionBench:
        end()
        made.append(ActionBench(plugin, settings={"state_dir": str(tmp_path / "state"), **settings}))
        return made[-1]

    def end() -> None:
        while made:
            bench = made.pop()
            bench.close()
            assert bench.sink.faults == []
        state.close_state()

    yield make
    end()
