"""Every metric that is told to others: its name, type, labels and meaning, and where in a snapshot it is.

Pure. Names follow the conventions of Prometheus: base units, `_total` for what only rises. Invariant: the
values of every label are bounded: plugins and states are known, commands and errors are limited where they
are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .snapshot import CallFigures, PluginFigures, Snapshot

    # The values of the labels, and the number; of histograms the figures that it is made from.
    Samples = Iterator[tuple[Sequence[str], float | CallFigures]]

__all__ = ["METRICS", "Metric"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; `read(snapshot)` gives its samples."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    read: Callable[[Snapshot], Samples]


def _plugin(
    name: str, kind: Literal["counter", "gauge"], help: str, value: Callable[[PluginFigures], float]
) -> Metric:
    """One number of each plugin."""

    def read(snapshot: Snapshot) -> Samples:
        for id, figures in snapshot["plugins"].items():
            yield (id,), value(figures)

    return Metric(f"plugin_host_{name}", kind, ("plugin",), help, read)


def _by_label(
    name: str, label: str, help: str, values: Callable[[PluginFigures], dict[str, int]]
) -> Metric:
    """A count of each plugin, apart by one more label."""

    def read(snapshot: Snapshot) -> Samples:
        for id, figures in snapshot["plugins"].items():
            for key, count in values(figures).items():
                yield (id, key), count

    return Metric(f"plugin_host_{name}", "counter", ("plugin", label), help, read)


def _calls(
    name: str,
    kind: Literal["counter", "gauge", "histogram"],
    help: str,
    value: Callable[[CallFigures], float | CallFigures],
) -> Metric:
    """One number, or the durations, of each command."""

    def read(snapshot: Snapshot) -> Samples:
        for id, figures in snapshot["plugins"].items():
            for command, calls in figures["calls"].items():
                yield (id, command), value(calls)

    return Metric(f"plugin_host_{name}", kind, ("plugin", "command"), help, read)


def _failures(snapshot: Snapshot) -> Samples:
    for id, figures in snapshot["plugins"].items():
        for command, calls in figures["calls"].items():
            for error, count in calls["failures"].items():
                yield (id, command, error), count


def _states(snapshot: Snapshot) -> Samples:
    for id, figures in snapshot["plugins"].items():
        for state in _STATES:
            yield (id, state), float(figures["state"] == state)


def _versions(snapshot: Snapshot) -> Samples:
    for id, figures in snapshot["plugins"].items():
        yield (id, figures["version"]), 1.0


_STATES = ("discovered", "starting", "ready", "stopping", "stopped", "backoff", "failed", "idle")

METRICS: tuple[Metric, ...] = (
    Metric(
        "plugin_host_info",
        "gauge",
        ("version",),
        "The version of the host, as a label; always 1.",
        lambda snapshot: iter([((snapshot["version"],), 1.0)]),
    ),
    Metric(
        "plugin_host_start_time_seconds",
        "gauge",
        (),
        "When the host was made, in seconds since the epoch.",
        lambda snapshot: iter([((), snapshot["started_at"])]),
    ),
    Metric(
        "plugin_host_plugin_info",
        "gauge",
        ("plugin", "version"),
        "The version of a plugin, as a label; always 1.",
        _versions,
    ),
    Metric(
        "plugin_host_plugin_state",
        "gauge",
        ("plugin", "state"),
        "1 for the state a plugin is in, 0 for every other.",
        _states,
    ),
    _plugin(
        "plugin_healthy",
        "gauge",
        "0 while a plugin does not answer or is stalled, else 1.",
        lambda one: one["healthy"],
    ),
    _plugin(
        "plugin_starts_total", "counter", "Launches of a plugin, of every kind.", lambda one: one["starts"]
    ),
    _plugin(
        "plugin_restarts_total",
        "counter",
        "Launches of a plugin that followed a death by themselves.",
        lambda one: one["restarts"],
    ),
    _plugin(
        "plugin_reloads_total",
        "counter",
        "How often a new process took over from the running one.",
        lambda one: one["reloads"],
    ),
    _by_label(
        "plugin_deaths_total",
        "phase",
        "Ends of a plugin that nobody asked for, and launches that failed.",
        lambda one: one["deaths"],
    ),
    _plugin(
        "plugin_unresponsive_total",
        "counter",
        "How often a plugin was found unresponsive or stalled.",
        lambda one: one["unresponsive"],
    ),
    _plugin(
        "plugin_health_misses_total",
        "counter",
        "Signs of life that did not come in time.",
        lambda one: one["health_misses"],
    ),
    _plugin(
        "log_records_dropped_total",
        "counter",
        "Log records and lines of stderr that were dropped because there were too many.",
        lambda one: one["log_dropped"],
    ),
    _plugin(
        "received_bytes_total",
        "counter",
        "Bytes that the host has received from a plugin.",
        lambda one: one["traffic"]["received_bytes"],
    ),
    _plugin(
        "sent_bytes_total",
        "counter",
        "Bytes that the host has sent to a plugin.",
        lambda one: one["traffic"]["sent_bytes"],
    ),
    _plugin(
        "process_cpu_seconds_total",
        "counter",
        "Processor time of all processes of a plugin, those that ended included as far as it was seen.",
        lambda one: one["usage"]["cpu_seconds"],
    ),
    _plugin(
        "process_resident_memory_bytes",
        "gauge",
        "Resident memory of all processes of a plugin; shared pages count in each.",
        lambda one: one["usage"]["memory_bytes"],
    ),
    _plugin("processes", "gauge", "Processes of a plugin.", lambda one: one["usage"]["processes"]),
    _plugin(
        "threads", "gauge", "Threads of all processes of a plugin.", lambda one: one["usage"]["threads"]
    ),
    _calls("calls_started_total", "counter", "Calls that were begun.", lambda one: one["started"]),
    _calls("calls_in_flight", "gauge", "Calls that have no answer yet.", lambda one: one["in_flight"]),
    Metric(
        "plugin_host_calls_failed_total",
        "counter",
        ("plugin", "command", "error"),
        "Calls that ended otherwise than with a result, by the name of the error.",
        _failures,
    ),
    _calls(
        "call_duration_seconds",
        "histogram",
        "How long calls took, failed ones included, from the moment the plugin was ready for them.",
        lambda one: one,
    ),
    _plugin(
        "sessions_opened_total",
        "counter",
        "Sessions that were opened.",
        lambda one: one["sessions"]["opened"],
    ),
    _plugin(
        "sessions_running", "gauge", "Sessions that have not ended.", lambda one: one["sessions"]["running"]
    ),
    _by_label(
        "sessions_failed_total",
        "error",
        "Sessions that could not be opened, by the name of the error.",
        lambda one: one["sessions"]["failures"],
    ),
    _by_label(
        "sessions_ended_total",
        "outcome",
        "Sessions that have ended: with code 0 (ok) or another, by a signal, or lost with their plugin.",
        lambda one: one["sessions"]["ended"],
    ),
)
