"""The page about metrics: its tables are those of the code."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from plugin_host.configuration import Metrics
from plugin_host.metric.call import COMMANDS, ERRORS, OTHER
from plugin_host.metric.catalogue import METRICS
from plugin_host.metric.snapshot import (
    CallFigures,
    PluginFigures,
    SessionFigures,
    Snapshot,
    TrafficFigures,
    UsageFigures,
)
from plugin_host.metricsport import CONNECTIONS, PATIENCE_S
from tests.source import ROOT

pytestmark = pytest.mark.edges

TEXT = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_every_metric_is_in_the_table_as_it_is() -> None:
    table = TEXT.partition("<!-- metrics -->\n")[2].partition("<!-- end -->")[0].splitlines()[2:]
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels) or 'none'} "
        f"| {one.help.rstrip('.')} |"
        for one in METRICS
    ]
    assert table == rows


def test_metrics_in_queries_are_there() -> None:
    told = {one.name for one in METRICS} | {
        f"{one.name}_bucket" for one in METRICS if one.kind == "histogram"
    }
    named = set(re.findall(r"\bplugin_host_[a-z_]+[a-z](?=\[)", TEXT))
    assert named
    assert named <= told


def test_limits_are_those_of_the_code() -> None:
    for told in (f"first {COMMANDS} of a plugin", f"a command has {ERRORS}.", f"command `{OTHER}`"):
        assert told in TEXT
    assert f"to {CONNECTIONS} clients at once" in TEXT
    assert f"longer than {PATIENCE_S:g} seconds" in TEXT
    assert f'address = "{Metrics().address}"' in TEXT
    assert {field.encode_name for field in msgspec.structs.fields(Metrics)} == {"port", "address"}


@pytest.mark.parametrize(
    "kind", [Snapshot, PluginFigures, CallFigures, SessionFigures, TrafficFigures, UsageFigures]
)
def test_every_key_of_a_snapshot_is_on_the_page(kind: Any) -> None:
    assert [key for key in kind.__annotations__ if f"`{key}`" not in TEXT] == []
