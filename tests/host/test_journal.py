"""What a plugin says of itself becomes lines of the log, whatever shape it has."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from plugin_host.death import DeathReport, Phase
from plugin_host.journal import Journal


def record_in_a_loop(params: dict[str, Any]) -> None:
    async def body() -> None:
        assert Journal("demo").record(params)

    asyncio.run(body())


@pytest.mark.parametrize(
    ("level", "number"),
    [("debug", 10), ("info", 20), ("warning", 30), ("error", 40), ("critical", 50), ("shout", 20), (7, 20)],
)
def test_log_record_has_the_plugins_level(
    caplog: pytest.LogCaptureFixture, level: Any, number: int
) -> None:
    with caplog.at_level(logging.DEBUG, logger="plugin_host"):
        record_in_a_loop({"level": level, "logger": "a.b", "message": "hello"})
    (record,) = caplog.records
    assert (record.levelno, record.getMessage(), record.name) == (
        number,
        "a.b: hello",
        "plugin_host.plugin.demo",
    )


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"level": None, "logger": None, "message": None, "fields": None},
        {"level": [1], "logger": {"a": 1}, "message": [1, 2], "fields": [1]},
        {"message": "100% %s %d", "fields": {"traceback": 5, 7: 8}},
    ],
)
def test_record_of_any_shape_is_logged(caplog: pytest.LogCaptureFixture, params: dict[str, Any]) -> None:
    with caplog.at_level(logging.DEBUG, logger="plugin_host"):
        record_in_a_loop(params)
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage()


def test_failure_it_tells_is_an_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        assert Journal("demo").failure({"message": "the host broke the protocol"})

    asyncio.run(body())
    assert caplog.messages == ["plugin demo says: the host broke the protocol"]
    assert caplog.records[0].levelno == logging.ERROR


def test_stray_output_is_logged_by_line_and_bounded(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="plugin_host"):
        Journal("demo").stray(b"one\ntwo \xff\n" + b"more\n" * 1000)
    assert caplog.messages[:2] == [
        "stdout before it was ready: one",
        "stdout before it was ready: two \ufffd",
    ]
    assert len(caplog.messages) < 100


@pytest.mark.parametrize(
    ("phase", "level"),
    [(Phase.IDLE, logging.ERROR), (Phase.CALL, logging.INFO), (Phase.IMPORT, logging.INFO)],
)
def test_death_is_an_error_where_nobody_waits_for_anything(
    caplog: pytest.LogCaptureFixture, phase: Phase, level: int
) -> None:
    report = DeathReport(plugin="demo", phase=phase, how="killed by SIGSEGV", uptime=1.0, next="No more.")
    with caplog.at_level(logging.INFO, logger="plugin_host"):
        Journal("demo").death(report)
    (record,) = caplog.records
    assert record.levelno == level
    assert record.getMessage().splitlines() == [
        "plugin `demo` died: killed by SIGSEGV, after 1.0 s",
        "  No more.",
    ]
    assert vars(record)["plugin_death"]["how"] == "killed by SIGSEGV"
