"""What a program writes to stdout before it is ready, in the log."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from plugin_host import BadAnswer
from tests.run import Run
from tests.stage import stage, write_plugin


def test_a_flood_of_stray_lines_is_a_few_lines_in_the_log(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    plugins = write_plugin(tmp_path, "flood", launch={"argv": ["yes", "no plugin"]})

    async def body() -> None:
        async with stage("flood", dirs=[plugins]) as host:
            assert isinstance(host.plugins["flood"].error, BadAnswer)

    with caplog.at_level(logging.WARNING, "plugin_host"):
        run(body())
    said = [text for text in caplog.messages if "before it was ready" in text]
    assert said[:20] == ["stdout before it was ready: no plugin"] * 20
    assert said[20:] == ["stdout before it was ready: 6534 more lines"]
