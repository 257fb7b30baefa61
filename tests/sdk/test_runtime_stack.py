"""`stacks`: what every thread and task of a plugin does, within bounds and without running any of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from plugin_host_sdk import Plugin
from plugin_host_sdk.protocol import FRAME_BYTES
from plugin_host_sdk.runtime import stack
from plugin_host_sdk.runtime.stack import take_stacks
from tests.served import serving
from tests.wait import WaitUntil

HERE = __file__


def nobody(frame: object) -> None:
    """No frame serves a call."""


def called(every: list[dict[str, Any]], call: str) -> dict[str, Any]:
    """The one that serves this call."""
    (found,) = [one for one in every if one.get("call") == call]
    return found


@contextmanager
def thread(target: Any, **options: Any) -> Iterator[threading.Thread]:
    """A thread that runs `target(ready, gate)` until the block ends."""
    ready, gate = threading.Event(), threading.Event()
    made = threading.Thread(target=target, args=(ready, gate), **options)
    made.start()
    ready.wait(10)
    try:
        yield made
    finally:
        gate.set()
        made.join()


def wait(ready: threading.Event, gate: threading.Event) -> None:
    ready.set()
    gate.wait(10)  # here


# From a plugin.


def test_threads_in_calls_come_first_and_begin_at_the_handler(wait_until: WaitUntil) -> None:
    plugin = Plugin("demo", version="1.0.0")
    gate, entered = threading.Event(), threading.Event()

    @plugin.command("hold")
    def hold(ctx: Any) -> None:
        entered.set()
        gate.wait(10)  # held

    with serving(plugin) as host:
        msgid = host.ask_command("hold")
        entered.wait(10)
        answer = host.result(host.ask("stacks"))
        gate.set()
        host.result(msgid)
    first = answer["threads"][0]
    assert first is called(answer["threads"], "hold")
    assert first["name"].startswith("worker-")
    assert first["native"] > 0
    file, _, function, source = first["frames"][0]
    assert (file, source) == (HERE, "gate.wait(10)  # held")
    assert function.endswith("hold")
    assert first["frames"][-1][2] in ("Event.wait", "Condition.wait")
    assert answer["tasks"] == []
    assert answer["left_out"] == 0


def test_handler_that_has_earned_the_leaders_thread_is_a_call_too(wait_until: WaitUntil) -> None:
    plugin = Plugin("demo", version="1.0.0")
    gate, entered = threading.Event(), threading.Event()
    gate.set()

    @plugin.command("quick")
    def quick(ctx: Any) -> None:
        entered.set()
        gate.wait(10)

    with serving(plugin) as host:
        while not plugin.commands._handlers["quick"].endpoint.quick:
            host.call("quick")
        gate.clear()
        entered.clear()
        msgid = host.ask_command("quick")
        entered.wait(10)
        answer = host.result(host.ask("stacks"))
        gate.set()
        host.result(msgid)
    assert called(answer["threads"], "quick")["frames"][0][0] == HERE


def test_coroutine_that_blocks_its_loop_is_on_its_thread_and_one_that_waits_is_a_task() -> None:
    plugin = Plugin("demo", version="1.0.0")
    gate, entered, napping = threading.Event(), threading.Event(), threading.Event()

    async def deeper() -> None:
        napping.set()
        await asyncio.sleep(10)  # deep

    @plugin.command("nap")
    async def nap(ctx: Any) -> None:
        await deeper()  # shallow

    @plugin.command("block")
    async def block(ctx: Any) -> None:
        entered.set()
        gate.wait(10)  # blocks

    with serving(plugin) as host:
        host.ask_command("nap")
        napping.wait(10)
        msgid = host.ask_command("block")
        entered.wait(10)
        answer = host.result(host.ask("stacks"))
        gate.set()
        host.result(msgid)
    blocked = called(answer["threads"], "block")
    assert blocked["name"] == "asyncio"
    assert "gate.wait(10)  # blocks" in [frame[3] for frame in blocked["frames"]]
    waiting = called(answer["tasks"], "nap")
    lines = [frame[3] for frame in waiting["frames"]]
    assert lines[:2] == ["await deeper()  # shallow", "await asyncio.sleep(10)  # deep"]


def test_plugin_at_rest_has_threads_of_the_runtime_only() -> None:
    with serving(Plugin("demo", version="1.0.0")) as host:
        answer = host.result(host.ask("stacks"))
    workers = [one for one in answer["threads"] if one["name"].startswith("worker-")]
    assert workers
    for worker in workers:
        assert "call" not in worker
        (frame,) = worker["frames"]
        assert "plugin_host_sdk" in frame[0]


def test_fault_in_taking_them_is_told_and_the_plugin_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LookupError("what is this?")

    with serving(Plugin("demo", version="1.0.0")) as host:
        monkeypatch.setattr(stack, "take_stacks", fail)
        error = host.error(host.ask("stacks"))
        assert (error["name"], error["message"]) == (
            "rpc.internal",
            "stacks: LookupError: what is this?",
        )
        assert host.result(host.ask("ping", {"nonce": 1})) == {"nonce": 1}


# By itself.


def test_thread_that_python_did_not_start_has_no_name() -> None:
    import _thread

    ready, gate, done = threading.Event(), threading.Event(), threading.Event()

    def run() -> None:
        wait(ready, gate)
        done.set()

    # Not by way of threading, whose current_thread() would make up a name.
    ident = _thread.start_new_thread(run, ())
    ready.wait(10)
    (found,) = [one for one in take_stacks(None, nobody)["threads"] if one["ident"] == ident]
    gate.set()
    done.wait(10)
    assert (found["name"], found["native"]) == ("", None)


def test_nothing_of_the_authors_runs() -> None:
    ran: list[str] = []

    class Proud(threading.Thread):
        @property
        def name(self) -> str:
            ran.append("name")
            return "proud"

        @name.setter
        def name(self, value: str) -> None: ...

    class Awaited:
        def __getattr__(self, attribute: str) -> Any:
            ran.append(attribute)
            raise AttributeError

        def __await__(self) -> Any:
            yield

    async def outer() -> None:
        await Awaited()

    coroutine = outer()
    coroutine.send(None)
    ready, gate = threading.Event(), threading.Event()
    made = Proud(target=wait, args=(ready, gate))
    made.start()
    ready.wait(10)
    ran.clear()
    take_stacks(None, nobody)
    frames, _ = stack._follow(coroutine, nobody)
    assert [frame.f_code.co_name for frame, _ in frames] == ["outer", "__await__"]
    assert ran == []
    gate.set()
    made.join()
    coroutine.close()


@pytest.mark.parametrize("name", ["x" * 10_000, "caf\udce9", "文" * 300, 5])
def test_name_of_any_kind_travels(name: Any) -> None:
    with thread(wait) as made:
        made._name = name  # type: ignore[attr-defined]
        threads = take_stacks(None, nobody)["threads"]
        (found,) = [one for one in threads if one["ident"] == made.ident]
    assert len(found["name"].encode()) <= 4 * 200
    found["name"].encode()  # no half of a pair


def test_deep_recursion_shows_the_innermost_frames() -> None:
    def descend(depth: int, ready: threading.Event, gate: threading.Event) -> None:
        if depth:
            descend(depth - 1, ready, gate)
        else:
            wait(ready, gate)

    with thread(lambda ready, gate: descend(200, ready, gate)) as made:
        threads = take_stacks(None, nobody)["threads"]
        (found,) = [one for one in threads if one["ident"] == made.ident]
    assert len(found["frames"]) == stack.MOST_FRAMES
    functions = [frame[2].rpartition(".")[2] for frame in found["frames"]]
    assert functions[0] == "descend"
    assert functions[-3] == "wait"  # of this test, and then of Event and Condition


def test_however_many_threads_there_are_the_answer_is_one_frame() -> None:
    def descend(depth: int, ready: threading.Event, gate: threading.Event) -> None:
        if depth:
            descend(depth - 1, ready, gate)
        else:
            wait(ready, gate)

    ready, gate = [threading.Event() for _ in range(150)], threading.Event()
    made = [threading.Thread(target=descend, args=(50, one, gate)) for one in ready]
    with serving(Plugin("demo", version="1.0.0")) as host:
        for one in made:
            one.start()
        for event in ready:
            event.wait(10)
        msgid = host.ask("stacks")
        data = b""
        while not host.events:
            part = host.sock.recv(1 << 20)
            data += part
            host.events += host.connection.receive_data(part)
        answer = host.result(msgid)
        gate.set()
        for one in made:
            one.join()
    assert len(data) <= FRAME_BYTES
    assert answer["threads"]
    assert len(answer["threads"]) + answer["left_out"] >= 150


# Lines of source.


def lines_of(path: Path, number: int) -> str:
    return stack._Room()._line(str(path), number)


def test_line_is_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_bytes(b"one\r\n    two  # \xff\n\x0cthree")
    assert [lines_of(file, number) for number in (1, 2, 3, 4, 0)] == [
        "one",
        r"two  # \xff",
        "three",
        "",
        "",
    ]


def test_pipe_and_folder_and_nothing_have_no_lines(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none", Path("<string>"), Path("/dev/zero")):
        assert lines_of(path, 1) == ""


def test_each_file_is_read_once_and_no_more_than_a_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def read_lines(path: str) -> list[bytes]:
        read.append(path)
        return [b"x"]

    monkeypatch.setattr(stack, "_read_lines", read_lines)
    room = stack._Room()
    for number in range(100):
        for _ in range(2):
            room._line(str(number), 1)
    assert len(read) == len(set(read)) == 32


def test_module_is_loaded_by_the_first_question_only() -> None:
    code = (
        "import sys, plugin_host_sdk.runtime.server; print('plugin_host_sdk.runtime.stack' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "False\n"
