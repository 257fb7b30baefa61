"""Stacks as a plugin's reader sends them: what is taken, what is cut, and how a place is named."""

from __future__ import annotations

from typing import Any

import pytest

from plugin_host.stack import MOST_FRAMES, MOST_STACKS, Frame, Stack, from_wire

OWN = Frame("/srv/demo/demo.py", 17, "crunch", "total += 1")
STDLIB = Frame("/usr/lib/python3.11/threading.py", 320, "wait")
RUNTIME = Frame("/x/site-packages/plugin_host_sdk/runtime/server.py", 9, "Server.lead")


@pytest.mark.parametrize(
    ("file", "is_own"),
    [
        ("/srv/demo/demo.py", True),
        ("demo.py", True),
        ("/x/.venv/lib/python3.12/site-packages/numpy/core.py", True),
        ("/usr/lib/python3/dist-packages/yaml/loader.py", True),
        ("/usr/lib/python3.11/threading.py", False),
        ("/root/.pyenv/versions/3.13.0/lib/python3.13/asyncio/base_events.py", False),
        ("/x/.venv/lib/python3.12/site-packages/plugin_host_sdk/runtime/crew.py", False),
        ("<frozen importlib._bootstrap>", False),
        ("<string>", False),
        ("", True),
    ],
)
def test_own_is_what_is_neither_of_python_nor_of_the_sdk(file: str, is_own: bool) -> None:
    assert Frame(file, 1, "f").is_own is is_own


def test_frame_is_described_by_place_and_line() -> None:
    assert OWN.describe() == "/srv/demo/demo.py:17 in crunch (`total += 1`)"
    assert STDLIB.describe() == "/usr/lib/python3.11/threading.py:320 in wait"


def test_frame_cannot_write_to_a_terminal_what_it_likes() -> None:
    assert Frame("/a\x1b[2J", 1, "f\n", "\r").describe().isprintable()


@pytest.mark.parametrize(
    ("frames", "own"),
    [((OWN,), OWN), ((OWN, STDLIB), OWN), ((RUNTIME, STDLIB), None), ((), None)],
    ids=["own", "below the library", "none", "empty"],
)
def test_own_frame_is_the_innermost_of_the_plugins_code(
    frames: tuple[Frame, ...], own: Frame | None
) -> None:
    assert Stack("worker-1", frames, 1).own_frame is own


def test_at_work_is_who_serves_a_call_or_runs_code_of_the_plugins() -> None:
    assert Stack("a", (OWN,), 1).works
    assert Stack("a", (RUNTIME,), 1, call="nap").works
    assert not Stack("a", (RUNTIME, STDLIB), 1).works


@pytest.mark.parametrize(
    ("stack", "label"),
    [
        (Stack("worker-1", (), 5), "thread worker-1"),
        (Stack("worker-1", (), 5, call="nap"), "thread worker-1, in the call `nap`"),
        (Stack("", (), 255), "thread 0xff"),
        (Stack("Task-1", ()), "task Task-1"),
    ],
)
def test_label_tells_thread_from_task_and_names_the_call(stack: Stack, label: str) -> None:
    assert stack.label == label


def test_lines_are_a_head_and_a_line_for_each_frame() -> None:
    stack = Stack("worker-1", (OWN, STDLIB), 5, state="sleeps")
    assert stack.lines() == [
        "thread worker-1, sleeps:",
        "  /srv/demo/demo.py:17 in crunch (`total += 1`)",
        "  /usr/lib/python3.11/threading.py:320 in wait",
    ]


# From the wire.


def test_answer_of_the_sdk_is_read() -> None:
    answer = {
        "threads": [
            {
                "name": "worker-1",
                "ident": 7,
                "native": 99,
                "call": "crunch",
                "frames": [["/srv/demo/demo.py", 17, "crunch", "total += 1"]],
            }
        ],
        "tasks": [{"name": "Task-1", "frames": [["/a.py", 2, "f"]]}],
        "left_out": 3,
    }
    threads, tasks, left_out = from_wire(answer)
    assert threads == (Stack("worker-1", (OWN,), 7, 99, "crunch"),)
    assert tasks == (Stack("Task-1", (Frame("/a.py", 2, "f"),)),)
    assert left_out == 3


@pytest.mark.parametrize(
    "answer",
    [
        None,
        5,
        [],
        "threads",
        {},
        {"threads": 5, "tasks": None, "left_out": "many"},
        {"threads": [5, None, []], "left_out": -1},
        {"threads": {"name": "x"}},
    ],
    ids=repr,
)
def test_answer_of_another_shape_holds_nothing(answer: Any) -> None:
    assert from_wire(answer) == ((), (), 0)


@pytest.mark.parametrize(
    "frames", [5, None, {}, [5], [[]], [["a.py"]], [["a.py", "1", "f"]], [[1, True, 2]]]
)
def test_frames_of_another_shape_are_left_out(frames: Any) -> None:
    threads, _, _ = from_wire({"threads": [{"name": "x", "ident": 1, "frames": frames}]})
    assert threads == (Stack("x", (), 1),)


def test_values_of_other_types_are_shown_and_cut() -> None:
    one = {"name": b"x" * 999, "ident": "7", "native": 1.5, "call": {"a": 1}, "frames": [[None, 1, 2, 3]]}
    ((stack,), _, _) = from_wire({"threads": [one]})
    assert (stack.ident, stack.native) == (0, None)
    assert len(stack.name) < 100
    assert stack.call == "{'a': 1}"
    assert stack.frames == (Frame("None", 1, "2", "3"),)


def test_what_is_without_end_is_cut() -> None:
    frame = ["f" * 100_000, 1, "g" * 100_000, "h" * 100_000]
    one = {"name": "n" * 100_000, "ident": 1, "frames": [frame] * 1000}
    threads, tasks, _ = from_wire({"threads": [one] * 1000, "tasks": [one] * 1000})
    assert (len(threads), len(tasks)) == (MOST_STACKS, MOST_STACKS)
    assert {len(thread.frames) for thread in threads} == {MOST_FRAMES}
    assert len(threads[0].name) == len(threads[0].frames[0].file) == 500
