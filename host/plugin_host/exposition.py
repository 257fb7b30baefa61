"""The metrics of a host as Prometheus reads them: text, made from a snapshot.

The library that writes it is loaded with the first text.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from .metric.catalogue import METRICS
from .metric.histogram import cumulated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric as Family

    from .metric.catalogue import Metric
    from .metric.snapshot import CallFigures, Snapshot

__all__ = ["CONTENT_TYPE", "Measured", "expose", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Measured(Protocol):
    """A host, as far as its metrics are concerned."""

    async def metrics(self) -> Snapshot:
        """All numbers as they are now."""


async def expose(host: Measured) -> str:
    """The metrics of `host` as they are now; the text is made on a thread."""
    return await asyncio.to_thread(render, await host.metrics())


def render(snapshot: Snapshot) -> str:
    """A snapshot in the text format of Prometheus."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class _Figures(Collector):
        def collect(self) -> Iterator[Family]:
            return (_family(metric, snapshot) for metric in METRICS)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures())
    return generate_latest(registry).decode()


def _family(metric: Metric, snapshot: Snapshot) -> Family:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    if metric.kind == "histogram":
        durations = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, figures in metric.read(snapshot):
            assert isinstance(figures, dict)
            durations.add_metric(labels, *_histogram(figures))
        return durations
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in metric.read(snapshot):
        assert not isinstance(value, dict)
        family.add_metric(labels, float(value))
    return family


def _histogram(figures: CallFigures) -> tuple[list[tuple[str, float]], float]:
    """The cumulated counts by the bounds as text, and the sum."""
    buckets = [(f"{bound:g}", float(count)) for bound, count in cumulated(figures["buckets"])]
    return [*buckets, ("+Inf", float(figures["finished"]))], figures["seconds"]
