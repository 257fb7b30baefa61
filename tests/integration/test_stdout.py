"""Standard output of a plugin is never the wire: nothing breaks, and the text is in the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run import Run
from tests.stage import PERSONALITIES, stage, write_plugin


def test_output_at_import_in_a_handler_and_at_exit_is_logged(
    run: Run, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with stage("chatty_stdout") as host:
            assert await host.call("chatty_stdout", "talk") == "said"
            assert await host.call("chatty_stdout", "talk") == "said"

    run(body())
    for line in (
        "chatty at import",
        "chatty in a handler",
        "chatty by write",
        "chatty by descriptor",
        "chatty from a shell",
        "chatty at exit",
    ):
        assert f"stderr: {line}\n" in logged.text


def test_python_that_writes_is_named_by_file_and_line_once(
    run: Run, logged: pytest.LogCaptureFixture
) -> None:
    file = PERSONALITIES / "chatty_stdout" / "plugin.py"
    lines = file.read_text().splitlines()

    async def body() -> None:
        async with stage("chatty_stdout") as host:
            await host.call("chatty_stdout", "talk")
            await host.call("chatty_stdout", "repeat", {"times": 100})

    run(body())
    named = [
        record
        for record in logged.records
        if getattr(record, "plugin_logger", None) == "stdout" and record.levelname == "WARNING"
    ]
    texts = [record.getMessage() for record in named]
    for words in ("chatty at import", "chatty in a handler", "chatty by write", "the same line again"):
        line = next(number for number, text in enumerate(lines, 1) if words in text)
        place = f"stdout write from {file}:{line}: "
        assert [place in text for text in texts].count(True) == 1, texts
    assert logged.text.count("stderr: the same line again\n") == 100


def test_output_of_a_wrapper_before_the_plugin_is_logged(
    run: Run, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with stage("chatty_wrapper") as host:
            assert await host.call("chatty_wrapper", "echo", {"value": 1}) == 1

    run(body())
    assert "stdout before it was ready: wrapped in shell" in logged.text
    assert "stdout before it was ready: a banner" in logged.text


def test_output_of_sitecustomize_is_logged(run: Run, logged: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with stage("chatty_site") as host:
            assert await host.call("chatty_site", "echo", {"value": 1}) == 1

    run(body())
    assert "stdout before it was ready: sitecustomize says hello" in logged.text
    assert "stdout before it was ready: sitecustomize cannot wait" in logged.text
    assert "stderr: sitecustomize waits for its buffer" in logged.text


def test_standard_input_is_empty_and_no_wire(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(
        tmp_path,
        "reader",
        """
        import os, sys, subprocess
        @plugin.command("read")
        def read(ctx):
            return [sys.stdin.read(), os.read(0, 10), subprocess.run(["cat"], stdout=-1).stdout]
        """,
    )

    async def body() -> None:
        async with stage("reader", dirs=[folder]) as host:
            assert await host.call("reader", "read") == ["", b"", b""]

    run(body())


def test_every_way_to_close_standard_output_leaves_the_wire_alone(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(
        tmp_path,
        "closer",
        """
        import os, sys
        @plugin.command("close")
        def close(ctx):
            sys.stdout.close()
            os.close(0)
            os.close(1)
            return "closed"

        @plugin.command("echo")
        def echo(ctx, value=None):
            try:
                print("to nobody")
            except ValueError:
                pass
            return value
        """,
    )

    async def body() -> None:
        async with stage("closer", dirs=[folder]) as host:
            assert await host.call("closer", "close") == "closed"
            assert await host.call("closer", "echo", {"value": 1}) == 1

    run(body())


def test_text_that_cannot_be_encoded_does_not_fail_its_print(
    run: Run, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    folder = write_plugin(
        tmp_path,
        "odd",
        r"""
        @plugin.command("print")
        def print_(ctx):
            print("half \ud800 a pair")
        """,
        launch={"env": {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}},
    )

    async def body() -> None:
        async with stage("odd", dirs=[folder]) as host:
            await host.call("odd", "print")

    run(body())
    assert r"half \ud800 a pair" in logged.text


@pytest.mark.parametrize("where", ["import", "handler"])
def test_child_that_outlives_its_start_writes_to_the_log(
    run: Run, tmp_path: Path, logged: pytest.LogCaptureFixture, where: str
) -> None:
    start = "subprocess.run(['sh', '-c', 'echo child of the import'])" if where == "import" else ""
    folder = write_plugin(
        tmp_path,
        "parent",
        f"""
        import subprocess
        {start}
        @plugin.command("start")
        def start(ctx):
            return subprocess.run(["sh", "-c", "echo child of the handler"]).returncode
        """,
    )

    async def body() -> None:
        async with stage("parent", dirs=[folder]) as host:
            assert await host.call("parent", "start") == 0

    run(body())
    assert f"stderr: child of the {where}\n" in logged.text
