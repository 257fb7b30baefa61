"""The text for Prometheus, read by its own parser: names, types, labels and numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from plugin_host.exposition import render
from plugin_host.metric.catalogue import METRICS, Metric
from plugin_host.metric.meter import Meter
from plugin_host.state import State
from tests.host.test_metric_snapshot import figures, snapshot

pytestmark = pytest.mark.edges

STRANGE = 'quo"te\\back\nline é'


def taken() -> Any:
    meter = Meter()
    for seconds in (0.000015, 0.00015, 0.3, 500.0):
        row = meter.calls["echo"]
        row.started += 1
        row.end(seconds)
    meter.calls["echo"].started += 1
    meter.calls[STRANGE].started += 1
    meter.calls[STRANGE].fail(0.1, LookupError())
    meter.sessions.opened += 2
    meter.sessions.end(0, None)
    meter.sessions.refuse(ValueError())
    return snapshot(200.0, demo=figures(meter, deaths={"idle": 2}), idle=figures(Meter(), state="idle"))


@pytest.fixture(scope="module")
def families() -> dict[str, Family]:
    return {family.name: family for family in text_string_to_metric_families(render(taken()))}


def samples(families: dict[str, Family], name: str) -> dict[tuple[str, ...], float]:
    """The samples of one name, by the values of their labels, the plugin's first."""
    found = (sample for family in families.values() for sample in family.samples if sample.name == name)
    return {
        tuple(
            value
            for _, value in sorted(sample.labels.items(), key=lambda item: (item[0] != "plugin", item))
        ): sample.value
        for sample in found
    }


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_told_with_its_type_its_help_and_its_labels(
    metric: Metric, families: dict[str, Family]
) -> None:
    family = families[metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name]
    assert (family.type, family.documentation) == (metric.kind, metric.help)
    assert family.samples
    for sample in family.samples:
        assert {name for name in sample.labels if name != "le"} == set(metric.labels)


def test_nothing_else_is_told(families: dict[str, Family]) -> None:
    assert len(families) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"plugin_host_[a-z_]+[a-z]", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ms|us|milliseconds|kb|count|sum|bucket)(_|$)", metric.name)
    assert metric.help.endswith(".")


def test_calls_are_told_by_plugin_and_command(families: dict[str, Family]) -> None:
    assert samples(families, "plugin_host_calls_started_total") == {
        ("demo", "echo"): 5,
        ("demo", STRANGE): 1,
    }
    assert samples(families, "plugin_host_calls_in_flight")["demo", "echo"] == 1
    assert samples(families, "plugin_host_calls_failed_total") == {("demo", STRANGE, "LookupError"): 1}


def test_durations_are_a_histogram_that_ends_in_all_of_them(families: dict[str, Family]) -> None:
    buckets = samples(families, "plugin_host_call_duration_seconds_bucket")
    echo = {bound: count for (plugin, command, bound), count in buckets.items() if command == "echo"}
    assert [echo[bound] for bound in ("1e-05", "2e-05", "0.0001", "0.0002", "0.5", "100", "+Inf")] == [
        0,
        1,
        1,
        2,
        3,
        3,
        4,
    ]
    assert list(echo.values()) == sorted(echo.values())
    assert samples(families, "plugin_host_call_duration_seconds_count")["demo", "echo"] == 4
    assert samples(families, "plugin_host_call_duration_seconds_sum")["demo", "echo"] == pytest.approx(
        500.300165
    )


def test_a_plugin_is_in_one_state(families: dict[str, Family]) -> None:
    states = samples(families, "plugin_host_plugin_state")
    assert {labels for labels, value in states.items() if value} == {("demo", "ready"), ("idle", "idle")}
    assert {state for _, state in states} == {str(state) for state in State}


def test_sessions_and_deaths_are_told(families: dict[str, Family]) -> None:
    assert samples(families, "plugin_host_sessions_opened_total")["demo",] == 2
    assert samples(families, "plugin_host_sessions_ended_total")["demo", "ok"] == 1
    assert samples(families, "plugin_host_sessions_failed_total") == {("demo", "ValueError"): 1}
    assert samples(families, "plugin_host_plugin_deaths_total") == {("demo", "idle"): 2}


def test_a_host_without_plugins_tells_of_itself() -> None:
    text = render(snapshot(1.0))
    assert 'plugin_host_info{version="0.1.0"} 1.0' in text
    assert all(f"# TYPE {metric.name} {metric.kind}\n" in text for metric in METRICS)
