"""What a forkserver has imported is counted no more, where the interpreter knows such objects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KNOWN = sys.version_info >= (3, 12)
"""Whether this interpreter knows objects that it does not count."""

BEGIN = """
import gc, os, sys
import plugin_host_sdk.runtime.server
from plugin_host_sdk.runtime.immortality import make_immortal
gc.disable()
"""

FORKED = """
def private():
    with open("/proc/self/smaps_rollup") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private"))

alive = [one for one in gc.get_objects() if type(one) in (type(private), type)]
if {is_immortal}:
    assert make_immortal() > 5_000
gc.freeze()
if os.fork() == 0:
    before = private()
    again = [*alive]
    print(private() - before, len(again) * 8 // 1024, flush=True)
    os._exit(0)
assert os.wait()[1] == 0
"""


def told(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", BEGIN + code], check=True, capture_output=True, text=True)
    assert ran.stderr == ""
    return ran.stdout


@pytest.mark.skipif(not KNOWN, reason="every object is counted before 3.12")
@pytest.mark.skipif(sys.platform != "linux", reason="pages are told by Linux")
def test_looking_at_code_after_a_fork_copies_no_page_of_it() -> None:
    counted, list_itself = map(int, told(FORKED.format(is_immortal=False)).split())
    immortal, _ = map(int, told(FORKED.format(is_immortal=True)).split())
    assert counted > 3 * (immortal - list_itself) + list_itself


@pytest.mark.skipif(KNOWN, reason="there are such objects from 3.12 on")
def test_where_every_object_is_counted_nothing_is_changed() -> None:
    assert told("""
one = object()
before = [sys.getrefcount(each) for each in (one, sys, os.path.join, "one")]
print(make_immortal(), before == [sys.getrefcount(each) for each in (one, sys, os.path.join, "one")])
""") == ("0 True\n")


def test_interpreter_works_on_and_ends_as_ever() -> None:
    code = """
import atexit, json, threading, weakref

class Kept:
    limit = 3

held, known = [Kept()], {"a": [1]}
table = weakref.WeakValueDictionary(kept=held[0])
atexit.register(print, "end")
make_immortal()
gc.enable()
gc.collect()
Kept.limit, held, known["a"] = 4, None, json.loads(json.dumps({"b": 2}))
thread = threading.Thread(target=print, args=[Kept.limit, known, len(table) < 2])
thread.start()
thread.join()
"""
    assert told(code) == "4 {'a': {'b': 2}} True\nend\n"


def test_file_that_nobody_holds_any_more_is_written_and_closed(tmp_path: Path) -> None:
    code = f"""
file = open({str(tmp_path / "file")!r}, "w")
file.write("all of it")
make_immortal()
fd = file.fileno()
file = None
print(open({str(tmp_path / "file")!r}).read(), os.path.lexists(f"/proc/self/fd/{{fd}}"))
"""
    assert told(code) == "all of it False\n"


def test_what_waits_in_a_generator_is_cleared_up_with_it() -> None:
    code = """
def steps():
    try:
        yield
    finally:
        print("cleared up")

walk = steps()
next(walk)
make_immortal()
walk = None
print("after")
"""
    assert told(code) == "cleared up\nafter\n"


@pytest.mark.skipif(not KNOWN, reason="every object is counted before 3.12")
def test_second_time_is_harmless() -> None:
    assert told("print(make_immortal() <= make_immortal())") == "True\n"


@pytest.mark.skipif(not KNOWN, reason="every object is counted before 3.12")
def test_without_ctypes_objects_are_counted_as_ever() -> None:
    assert told("""
sys.modules["ctypes"] = None
before = sys.getrefcount(make_immortal)
more = [make_immortal] * 5
print(make_immortal(), sys.getrefcount(make_immortal) - before)
""") == ("0 5\n")


def test_what_is_put_into_a_container_goes_with_it(tmp_path: Path) -> None:
    code = """
import collections, select

class Thing:
    pass

class Slotted:
    __slots__ = ("held",)

class Ending:
    def __init__(self, name):
        self.name = name
    def __del__(self):
        print("end of", self.name)

def keep():
    kept = []
    def add(one):
        kept.append(one)
    return add

places = [], {}, set(), collections.deque(), Thing(), Slotted(), ValueError("early")
single, table, many, queue, thing, slotted, error = places
add, pair, default = keep(), ([], {}), lambda one, to=[]: to.append(one)
make_immortal()
del places
single.append(Ending("a list")); table[1] = Ending("a dict"); many.add(Ending("a set"))
queue.append(Ending("a deque")); thing.held = Ending("an object"); slotted.held = Ending("a slot")
error.held = Ending("an error"); add(Ending("a closure")); pair[0].append(Ending("a tuple"))
default(Ending("a default"))
single = table = many = queue = thing = slotted = error = add = pair = default = None
print("after")
"""
    *ends, after = told(code).splitlines()
    assert sorted(ends) == sorted(
        f"end of {place}"
        for place in (
            *("a list", "a dict", "a set", "a deque", "an object", "a slot", "an error", "a closure"),
            *("a tuple", "a default"),
        )
    )
    assert after == "after"


def test_name_that_is_bound_anew_lets_go_of_what_it_held() -> None:
    code = """
import types, weakref

class Ending:
    pass

class Holder:
    held = Ending()

module = types.ModuleType("module")
module.held = Ending()
refs = weakref.ref(Holder.held), weakref.ref(module.held)
make_immortal()
print([ref() is None for ref in refs])
Holder.held = module.held = None
print([ref() is None for ref in refs])
"""
    assert told(code) == "[False, False]\n[True, True]\n"


def test_what_frees_more_than_memory_is_counted() -> None:
    code = """
import select

poll, data = select.epoll(), bytearray(8)
view, fd = memoryview(data), poll.fileno()
make_immortal()
poll = view = None
data.extend(bytes(8))
print(len(data), os.path.lexists(f"/proc/self/fd/{fd}"))
"""
    if sys.platform == "linux":
        assert told(code) == "16 False\n"
