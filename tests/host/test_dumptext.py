"""What faulthandler writes, read back: made-up texts of all versions, and what this interpreter writes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from plugin_host.dumptext import crash_place, parse
from plugin_host.stack import Frame, Stack

LIB = "/usr/lib/python3.11"
DUMP = f"""\
Thread 0x00007f3b75bfe6c0 (most recent call first):
  File "/srv/demo/demo.py", line 11 in nap
  File "/x/site-packages/plugin_host_sdk/command.py", line 72 in _run
  File "{LIB}/threading.py", line 982 in run
  File "{LIB}/threading.py", line 1002 in _bootstrap

Current thread 0x00007f3b79bfe6c0 (most recent call first):
  File "{LIB}/threading.py", line 331 in wait
  File "/x/site-packages/plugin_host_sdk/runtime/ending.py", line 46 in wait
  File "<string>", line 1 in <module>
"""
CRASH = """\
Fatal Python error: Segmentation fault

Current thread 0x00007f3b79bfe6c0 (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "/srv/demo/demo.py", line 46 in crash
  File "/x/site-packages/plugin_host_sdk/command.py", line 72 in _run

Extension modules: msgpack._cmsgpack (total: 1)
""".splitlines()


def test_threads_are_read_outermost_first_and_without_what_started_them() -> None:
    nap, main = parse(DUMP)
    assert nap == Stack("", (Frame("/srv/demo/demo.py", 11, "nap"),), 0x7F3B75BFE6C0)
    assert [frame.function for frame in main.frames] == ["<module>", "wait", "wait"]
    assert main.ident == 0x7F3B79BFE6C0


def test_thread_of_the_runtime_keeps_its_innermost_frame() -> None:
    text = "\n".join(DUMP.splitlines()[:1] + DUMP.splitlines()[2:5])
    (stack,) = parse(text)
    assert [frame.function for frame in stack.frames] == ["_run"]


@pytest.mark.parametrize(
    ("head", "name", "ident"),
    [
        ("Thread 0x1f (most recent call first):", "", 0x1F),
        ("Thread 0x000000000000001F [worker-1] (most recent call first):", "worker-1", 0x1F),
        ("Current thread 0x1f [a [b] c] (most recent call first):", "a [b] c", 0x1F),
        ("Current thread 0x1f (most recent call first):", "", 0x1F),
        ("Stack (most recent call first):", "", 0),
    ],
)
def test_head_of_every_version_is_known(head: str, name: str, ident: int) -> None:
    assert parse(f'{head}\n  File "a.py", line 1 in f\n') == (Stack(name, (Frame("a.py", 1, "f"),), ident),)


@pytest.mark.parametrize(
    ("line", "frame"),
    [
        ('  File "a b".py", line 1 in f', Frame('a b".py', 1, "f")),
        ('  File "a.py", line ??? in f', Frame("a.py", 0, "f")),
        ('  File "a.py", line 3 in <listcomp>', Frame("a.py", 3, "<listcomp>")),
        ('  File "/\\xe9.py", line 3 in \\u6587', Frame("/\\xe9.py", 3, "\\u6587")),
    ],
)
def test_frame_is_read_whatever_its_names_are(line: str, frame: Frame) -> None:
    assert parse(f"Thread 0x1 (most recent call first):\n{line}\n")[0].frames == (frame,)


@pytest.mark.parametrize("line", ["  <no Python frame>", "  Garbage-collecting", "  ...", "", "nonsense"])
def test_line_of_no_frame_is_left_out(line: str) -> None:
    assert parse(f"Thread 0x1 (most recent call first):\n{line}\n") == (Stack("", (), 1),)


@pytest.mark.parametrize("text", ["", "\n\n", "nonsense", '  File "a.py", line 1 in f', "Thread 0x"])
def test_text_without_a_thread_has_none(text: str) -> None:
    assert parse(text) == ()


def test_dump_that_breaks_off_is_read_as_far_as_it_goes() -> None:
    for length in range(len(DUMP)):
        assert len(parse(DUMP[:length])) <= 2


def test_dump_without_end_is_cut() -> None:
    frames = '  File "a.py", line 1 in f\n' * 1000
    stacks = parse(f"Thread 0x1 (most recent call first):\n{frames}" * 300)
    assert len(stacks) == 200
    assert {len(stack.frames) for stack in stacks} == {100}


def test_what_this_interpreter_writes_is_read() -> None:
    code = """
import faulthandler, sys, threading, time
def inner():
    faulthandler.dump_traceback()
def other():
    time.sleep(60)
threading.Thread(target=other, daemon=True).start()
while "other" not in str(sys._current_frames()):
    pass
inner()
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    innermost = sorted(stack.frames[-1].function for stack in parse(ran.stderr))
    assert innermost == ["inner", "other"]


# A crash.


def test_crash_is_named_by_the_plugins_own_line() -> None:
    assert crash_place(CRASH) == "Segmentation fault at /srv/demo/demo.py:46 in crash"
    assert crash_place(["before", *CRASH, "after"]) == crash_place(CRASH)


def test_crash_of_no_line_of_the_plugins_is_named_by_the_innermost() -> None:
    lines = [line for line in CRASH if "demo.py" not in line]
    assert crash_place(lines) == f"Segmentation fault at {LIB}/ctypes/__init__.py:519 in string_at"


def test_crash_without_frames_is_named_alone() -> None:
    assert crash_place(CRASH[:1]) == "Segmentation fault"


def test_the_last_of_several_crashes_counts() -> None:
    other = [line.replace("Segmentation fault", "Aborted").replace("46", "47") for line in CRASH]
    assert crash_place([*CRASH, *other]) == "Aborted at /srv/demo/demo.py:47 in crash"


@pytest.mark.parametrize("lines", [[], [""], ["Traceback (most recent call last):"]])
def test_no_crash_has_no_place(lines: list[str]) -> None:
    assert crash_place(lines) is None


def test_what_this_interpreter_writes_of_a_crash_is_read() -> None:
    code = """
import faulthandler
faulthandler.enable(all_threads=False)
def crash():
    faulthandler._sigsegv()
crash()
"""
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert crash_place(ran.stderr.splitlines()) == "Segmentation fault at <string>:5 in crash"
