"""What a plugin says of why it closes, the notification `failure`, is told to those who waited for it."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from plugin_host import PluginDied, PluginHost
from tests.run import Run
from tests.stage import stage, write_plugin

# By hand, as in a language that has no SDK; what it sends before it ends is in {then}.
PROGRAM = """
import os
import msgpack

messages = msgpack.Unpacker(raw=False)

def tell(message):
    os.write(1, msgpack.packb(message))

def fail(why):
    error = {{"code": 1, "name": "closet.shut", "message": why, "data": None, "retryable": False}}
    tell([2, "failure", [error]])

def asked():
    while True:
        for message in messages:
            if message[0] == 0:
                return message[1]
        messages.feed(os.read(0, 65536) or os._exit(9))

tell([1, asked(), None, {{
    "protocol": 1,
    "plugin": {{"id": "closet", "version": "1.0.0"}},
    "capabilities": {{"command": {{"commands": [{{"name": "open"}}]}}}},
    "features": [],
}}])
asked()
{then}
os._exit(4)
"""


def closet(folder: Path, *, then: str = "") -> PluginHost:
    write_plugin(folder, "closet", launch={"argv": [sys.executable, str(folder / "closet" / "program.py")]})
    (folder / "closet" / "program.py").write_text(
        textwrap.dedent(PROGRAM).format(then=then), encoding="utf-8"
    )
    return stage("closet", dirs=[folder])


def test_call_in_flight_is_told_why_the_plugin_closed(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with closet(tmp_path, then="fail('the key\\n is lost')") as host:
            with pytest.raises(PluginDied) as caught:
                await host.call("closet", "open")
            report = caught.value.report
            assert report is not None
            assert report.how == "exited with status 4; it said: the key is lost"
            assert "it said: the key is lost" in str(caught.value)
            assert host.plugins["closet"].death == report

    run(body())


def test_plugin_that_says_nothing_is_told_of_by_its_status(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with closet(tmp_path) as host:
            with pytest.raises(PluginDied) as caught:
                await host.call("closet", "open")
            assert caught.value.report is not None
            assert caught.value.report.how == "exited with status 4"

    run(body())


def test_long_word_of_a_plugin_is_cut_in_the_report_and_whole_in_the_log(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with closet(tmp_path, then="fail('a' * 1000)") as host:
            with pytest.raises(PluginDied) as caught:
                await host.call("closet", "open")
            assert caught.value.report is not None
            said = caught.value.report.how.partition("it said: ")[2]
            assert said == "a" * 299 + "…"
            assert any("a" * 1000 in record.message for record in host.logs.records("closet"))

    run(body())
