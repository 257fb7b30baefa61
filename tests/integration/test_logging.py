"""What a plugin logs arrives at the host, with level, logger and fields, and in order."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from plugin_host import PluginHost
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    early = logging.getLogger("demo.early")
    early.warning("logged at import")

    @plugin.command("standard")
    def standard(ctx):
        logger = logging.getLogger("demo.module")
        logger.debug("debug")
        logger.info("info %s", "formatted")
        logger.warning("warning")
        logger.error("error")
        logger.critical("critical")
        logger.log(25, "between")
        try:
            raise LookupError("the reason")
        except LookupError:
            logger.exception("failed")
        logging.getLogger("demo.module").info("bad %d", "text")
        return "done"

    @plugin.command("context")
    def context(ctx):
        ctx.log.debug("debug")
        ctx.log.info("info", size=3, place="here")
        ctx.log.warning("warning", thing=object(), deep={"a": {1}})
        ctx.log.error("error")
        ctx.log.critical("critical")
        ctx.log.info("x" * (20 << 20))
        ctx.log.info(17)

    @plugin.command("many")
    def many(ctx, count):
        for number in range(count):
            ctx.log.info("record", number=number)

    @plugin.command("configured")
    def configured(ctx):
        logging.getLogger().setLevel(logging.DEBUG)
        logging.getLogger("demo.module").debug("debug, now")

    @plugin.command("late")
    def late(ctx):
        import atexit
        atexit.register(lambda: logging.getLogger("demo").info("said at exit"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugin(tmp_path_factory.mktemp("plugins"), "demo", CODE, head="import logging")


@pytest.fixture
def demo(folder: Path) -> PluginHost:
    return stage("demo", dirs=[folder])


def of_plugin(logged: pytest.LogCaptureFixture, logger: str) -> list[tuple[str, str]]:
    """Level and message of the records that came from this logger in the plugin."""
    return [
        (record.levelname, record.getMessage())
        for record in logged.records
        if getattr(record, "plugin_logger", None) == logger
    ]


def test_standard_logging_arrives_with_level_and_logger(
    run: Run, demo: PluginHost, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with demo as host:
            await host.call("demo", "standard")

    run(body())
    assert of_plugin(logged, "demo.early") == [("WARNING", "demo.early: logged at import")]
    records = of_plugin(logged, "demo.module")
    assert records[:4] == [
        ("INFO", "demo.module: info formatted"),
        ("WARNING", "demo.module: warning"),
        ("ERROR", "demo.module: error"),
        ("CRITICAL", "demo.module: critical"),
    ]
    assert records[4][1] == "demo.module: between"
    level, text = records[5]
    assert level == "ERROR"
    assert text.startswith("demo.module: failed\nTraceback")
    assert text.endswith("LookupError: the reason")
    record = next(r for r in logged.records if getattr(r, "plugin_logger", None) == "demo.module")
    assert (record.name, getattr(record, "plugin_id", None)) == ("plugin_host.plugin.demo", "demo")
    assert "not all arguments converted" in logged.text or "a real number is required" in logged.text


def test_context_logs_under_its_commands_name_with_fields(
    run: Run, demo: PluginHost, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with demo as host:
            await host.call("demo", "context")

    run(body())
    records = [r for r in logged.records if getattr(r, "plugin_logger", None) == "demo.context"]
    assert [record.levelname for record in records[:5]] == ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    assert getattr(records[1], "plugin_fields", None) == {"size": 3, "place": "here"}
    assert "warning" in records[2].getMessage()
    assert len(records[5].getMessage()) < 1 << 20  # cut, not lost
    assert "17" in records[6].getMessage()


def test_records_keep_their_order_and_none_is_lost(
    run: Run, demo: PluginHost, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with demo as host:
            await host.call("demo", "many", {"count": 5000})

    run(body())
    fields: list[Any] = [getattr(r, "plugin_fields", {}).get("number") for r in logged.records]
    assert [number for number in fields if number is not None] == list(range(5000))


def test_level_of_the_root_logger_is_the_authors_to_change(
    run: Run, demo: PluginHost, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with demo as host:
            await host.call("demo", "configured")

    run(body())
    assert of_plugin(logged, "demo.module") == [("DEBUG", "demo.module: debug, now")]


def test_record_below_the_hosts_level_is_not_kept(
    run: Run, demo: PluginHost, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with demo as host:
            await host.call("demo", "many", {"count": 10})

    with caplog.at_level(logging.WARNING, logger="plugin_host"):
        run(body())
    assert [record for record in caplog.records if record.levelno < logging.WARNING] == []


def test_last_words_at_exit_arrive(
    run: Run, demo: PluginHost, logged: pytest.LogCaptureFixture, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with demo as host:
            await host.call("demo", "late")

    run(body())
    assert "said at exit" in logged.text


def test_logging_that_is_imported_by_a_handler_arrives_too(
    run: Run, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    folder = write_plugin(
        tmp_path,
        "lazy",
        """
        @plugin.command("log")
        def log(ctx):
            import sys
            before = "logging" in sys.modules
            import logging
            logging.getLogger("lazy").warning("imported late")
            return before
        """,
    )

    async def body() -> None:
        async with stage("lazy", dirs=[folder]) as host:
            assert await host.call("lazy", "log") is False

    run(body())
    assert of_plugin(logged, "lazy") == [("WARNING", "lazy: imported late")]


def test_stderr_lines_are_logged_as_they_come(
    run: Run, tmp_path: Path, logged: pytest.LogCaptureFixture, wait_until: WaitUntil
) -> None:
    folder = write_plugin(
        tmp_path,
        "noisy",
        """
        import os
        @plugin.command("write")
        def write(ctx):
            os.write(2, b"one\\ntwo \\xff\\nhalf")
        """,
    )

    async def body() -> None:
        async with stage("noisy", dirs=[folder]) as host:
            await host.call("noisy", "write")
            await wait_until.aio(lambda: "stderr: two \ufffd" in logged.text)
            assert "stderr: one" in logged.text
        assert "stderr: half" in logged.text

    run(body())
