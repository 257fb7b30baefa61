"""The page about the protocol, held against the code: its tables, its bytes, its plugins without SDK."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from plugin_host import CallFailed, PluginHost
from plugin_host_sdk.connection import HOST, PLUGIN, Connection
from plugin_host_sdk.events import (
    CancelReceived,
    ErrorReceived,
    Event,
    Initialized,
    ProgressReceived,
    RequestReceived,
    ResponseReceived,
)
from plugin_host_sdk.handshake import Limits, initialize_params
from plugin_host_sdk.protocol import INITIALIZE_ID
from tests.docs.page import blocks
from tests.run import Run
from tests.source import ROOT

pytestmark = pytest.mark.edges

PAGE = ROOT / "docs" / "protocol.md"
ROW = re.compile(r"^  ((?:[0-9a-f]{2} )*[0-9a-f]{2})(?: +(\S.*))?$")
HEADER = re.compile(r"^(map|list) of (\d+)(?:: a (request|response|notification))?$")
KINDS = ["request", "response", "notification"]


def run_tables(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docs" / "tables.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


def test_tables_of_all_pages_are_those_of_the_code() -> None:
    ran = run_tables("--check")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_changed_table_is_noticed_and_mended(tmp_path: Path) -> None:
    page = tmp_path / "protocol.md"
    page.write_text(PAGE.read_text().replace("| `ping` | both |", "| `ping` | host |"))
    ran = run_tables("--check", str(page))
    assert ran.returncode == 1
    assert "protocol.md" in ran.stderr
    assert run_tables(str(page)).returncode == 0
    assert page.read_text() == PAGE.read_text()


# The conversation in bytes.


def conversation() -> list[tuple[str, list[tuple[bytes, str]]]]:
    """Who sends, and the rows of the message: bytes with what the page says they mean."""
    (block,) = (block for block in blocks(PAGE) if block.language == "hex")
    messages: list[tuple[str, list[tuple[bytes, str]]]] = []
    for line in block.text.splitlines():
        if line.endswith(" sends"):
            messages.append((line.removesuffix(" sends"), []))
        elif line:
            match = ROW.match(line)
            assert match, line
            rows, data = messages[-1][1], bytes.fromhex(match[1])
            if match[2] is None:  # the rest of a long row
                rows[-1] = (rows[-1][0] + data, rows[-1][1])
            else:
                rows.append((data, match[2]))
    return messages


def meant(note: str) -> bytes:
    """The bytes that a note of the page stands for."""
    key, _, value = note.rpartition(": ") if HEADER.match(note) is None else ("", "", note)
    if note.startswith("its id, "):
        return packed(int(note.removeprefix("its id, ")))
    if note in ("no error", "no result"):
        return packed(None)
    if match := HEADER.match(value):
        packer = msgpack.Packer()
        size = int(match[2])
        header = packer.pack_map_header(size) if match[1] == "map" else packer.pack_array_header(size)
        kind = packed(KINDS.index(match[3])) if match[3] else b""
        return (packed(json.loads(key)) if key else b"") + bytes(header) + kind
    if key:
        return packed(json.loads(key)) + packed(json.loads(value))
    return packed(json.loads(note))


def packed(value: Any) -> bytes:
    data = msgpack.packb(value)
    assert isinstance(data, bytes)
    return data


def test_every_row_of_the_conversation_means_what_stands_beside_it() -> None:
    rows = [row for _, message in conversation() for row in message]
    assert len(rows) > 50
    assert [(data.hex(" "), note) for data, note in rows] == [
        (meant(note).hex(" "), note) for _, note in rows
    ]


class Replay:
    """A host and a plugin that say what the page says, each taking in the page's bytes of the other."""

    def __init__(self) -> None:
        self.host = Connection(HOST)
        self.plugin = Connection(PLUGIN)
        self._messages: Iterator[tuple[str, bytes]] = iter(
            [(who, b"".join(data for data, _ in rows)) for who, rows in conversation()]
        )

    def say(self, sender: str, made: bytes) -> Event:
        """The event at the other end; `made` is what this code sends where the page has bytes."""
        who, data = next(self._messages)
        assert (who, data.hex(" ")) == (sender, made.hex(" "))
        (event,) = (self.plugin if sender == HOST else self.host).receive_data(data)
        return event

    def ask(self, method: str, params: dict[str, Any], meta: dict[str, Any] | None = None) -> int:
        """The host's next request arrives at the plugin; its id."""
        msgid, made = self.host.send_request(method, params, meta)
        assert self.say(HOST, made) == RequestReceived(msgid, method, params, meta)
        return msgid

    def end(self) -> None:
        assert list(self._messages) == []


def initialized() -> Replay:
    replay = Replay()
    params = initialize_params(
        plugin="greeter",
        host={"name": "plugin-host", "version": "0.1.0"},
        limits=Limits(),
        settings={"greeting": "hello"},
    )
    asked = replay.say(HOST, replay.host.send_initialize(params))
    assert asked == RequestReceived(INITIALIZE_ID, "initialize", params)
    answer = {
        "protocol": 1,
        "plugin": {"id": "greeter", "version": "1.0.0"},
        "capabilities": {"command": {"commands": ["greet"]}},
    }
    said = replay.say(PLUGIN, replay.plugin.send_response(INITIALIZE_ID, answer))
    assert said == Initialized(answer)
    return replay


def test_the_conversation_is_what_two_connections_say() -> None:
    replay = initialized()
    host, plugin = replay.host, replay.plugin
    msgid = replay.ask("command.call", {"name": "greet", "params": {"name": "Ada"}}, {"timeout_ms": 5000})
    event = replay.say(PLUGIN, plugin.send_progress(msgid, 1, 2, "half"))
    assert event == ProgressReceived(msgid, 1, 2, "half")
    result = {"status": 0, "status_message": "", "result": {"text": "hello Ada"}}
    assert replay.say(PLUGIN, plugin.send_response(msgid, result)) == ResponseReceived(msgid, result)

    msgid = replay.ask("command.call", {"name": "gret", "params": {}})
    error = CallFailed("no command gret", name="command.not_found").to_map()
    assert replay.say(PLUGIN, plugin.send_error(msgid, error)) == ErrorReceived(msgid, error)

    msgid = replay.ask("command.call", {"name": "greet", "params": {}})
    assert replay.say(HOST, host.send_cancel(msgid)) == CancelReceived(msgid)
    error = CallFailed("cancelled", name="rpc.cancelled").to_map()
    with pytest.raises(ValueError, match="not enough values"):  # the late answer makes no event
        replay.say(PLUGIN, plugin.send_error(msgid, error))
    assert host.late_answers == 1

    msgid = replay.ask("shutdown", {"grace_ms": 1500})
    assert replay.say(PLUGIN, plugin.send_response(msgid, {})) == ResponseReceived(msgid, {})
    replay.end()


# The plugins without the SDK.

VALUES: list[Any] = [
    [None, True, 0, 127, 128, -1, -32, -33, -200, -70_000, -(2**40), 2**16, 2**32, 2**53, 1.5, -0.25],
    ["", "x" * 40, "é" * 200, "y" * 70_000],
    [[], {}, list(range(20)), {str(n): n for n in range(20)}, {1: 2, -3: 4}, [1] * 70_000],
    [b"", b"\x00\xff", b"z" * 300, b"z" * 70_000],
]


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's own plugins, written to a folder; `python3` is the interpreter of the tests."""
    for block in blocks(PAGE):
        if block.file is not None:
            path = tmp_path / block.file
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
    programs = tmp_path / ".bin"
    programs.mkdir()
    # Not a link: the name under which an interpreter is started decides which environment it is.
    (programs / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize("id", ["plain", "bare"])
def test_a_plugin_without_the_sdk_is_launched_called_and_stopped(plugins: Path, id: str, run: Run) -> None:
    async def body() -> None:
        async with PluginHost(plugin_dirs=[plugins], entry_points=False, only=[id]) as host:
            assert host.plugins[id].commands == ["greet"]
            assert await host.call(id, "greet", {"name": "Ada"}) == {"text": "hello Ada"}
            assert await host.call(id, "greet", timeout=5) == {"text": "hello world"}
            with pytest.raises(CallFailed, match="no command gret") as caught:
                await host.call(id, "gret")
            assert (caught.value.name, caught.value.code) == ("command.not_found", 101)
            if id == "bare":
                with pytest.raises(CallFailed, match="name is a text"):
                    await host.call(id, "greet", {"name": 5})
            pid = host.plugins[id].pid
            await host.stop(id)
            await host.start(id)
            assert host.plugins[id].pid != pid

    run(body())


@pytest.mark.parametrize("id", ["plain", "bare"])
def test_a_plugin_without_the_sdk_takes_whatever_a_caller_sends(plugins: Path, id: str, run: Run) -> None:
    async def body() -> None:
        async with PluginHost(plugin_dirs=[plugins], entry_points=False, only=[id]) as host:
            for value in VALUES:
                answer = await host.call(id, "greet", {"name": "Ada", "more": value})
                assert answer == {"text": "hello Ada"}

    run(body())


@pytest.mark.parametrize("id", ["plain", "bare"])
def test_a_plugin_without_the_sdk_answers_ping_with_its_arguments(plugins: Path, id: str) -> None:
    program = ["perl", "bare.pl"] if id == "bare" else [sys.executable, "plain.py"]
    connection = Connection(HOST)
    params = initialize_params(plugin=id, host={"name": "test"}, limits=Limits())
    said = connection.send_initialize(params)
    nonce = {"nonce": 7, "more": [0, 1, -5, 2**40, 0.5, None, "text"]}
    said += (
        packed([0, 1, "ping", [nonce]])
        + packed([0, 2, "nonsense", [{}]])
        + packed([0, 3, "shutdown", [{}]])
    )
    ran = subprocess.run(
        program, cwd=plugins / id, input=said, stdout=subprocess.PIPE, timeout=20, check=True
    )
    (event,) = connection.receive_data(ran.stdout[: ran.stdout.index(b"\x94\x01", 2)])
    assert isinstance(event, Initialized)
    unpacker = msgpack.Unpacker()
    unpacker.feed(ran.stdout)
    _, pong, refusal, farewell = unpacker
    assert pong == [1, 1, None, nonce]
    assert (refusal[1], refusal[2]["name"]) == (2, "rpc.method_not_found")
    assert farewell == [1, 3, None, {}]
