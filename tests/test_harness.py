"""The harness catches what it is there to catch.

The specimens below are run by a pytest of their own under the same plugins; each test here reads
one specimen's outcome.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import warmup

pytestmark = pytest.mark.edges

ROOT = Path(__file__).parent.parent

# A deadline holds for the setup of a specimen, too, which on a busy machine takes tenths of a second.
SPECIMENS = """
import asyncio, gc, os, socket, subprocess, sys, threading, time
import pytest

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]

def test_clean(run, wait_until):
    ends = socket.socketpair()
    thread = threading.Thread(target=lambda: None)
    thread.start()
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as child:
        wait_until(lambda: child.poll() is not None)
    for end in ends:
        end.close()
    assert run(asyncio.sleep(0, "result")) == "result"

def test_child():
    subprocess.Popen(SLEEP)

def test_child_is_gone():
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)

def test_zombie():
    os.posix_spawn("/bin/true", ["true"], {})

def test_orphan():
    subprocess.run([sys.executable, "-c", f"import subprocess; subprocess.Popen({SLEEP})"])

def test_child_that_goes_by_itself():
    os.posix_spawn("/bin/sleep", ["sleep", "0.1"], {})
    threading.Thread(target=os.wait).start()

def test_descriptor():
    os.open("/etc/group", os.O_RDONLY)

def test_socket():
    keep.append(socket.socketpair()[0])

keep = []

def test_descriptor_held_by_a_cycle():
    box = [open("/etc/group")]
    box.append(box)

def test_thread():
    threading.Thread(target=time.sleep, args=[60], daemon=True, name="straggler").start()

@pytest.fixture(scope="module")
def careless():
    return os.open("/etc/passwd", os.O_RDONLY)

def test_module_fixture(careless):
    pass

@pytest.mark.deadline(1)
def test_hang():
    try:
        time.sleep(60)
    except Exception:
        pass

@pytest.mark.deadline(1)
def test_hang_in_thread_join():
    thread = threading.Thread(target=time.sleep, args=[3])
    thread.start()
    thread.join()

@pytest.mark.deadline(1)
@pytest.mark.usefixtures("run")
def test_hang_in_a_loop_of_its_own():
    asyncio.run(asyncio.sleep(60))

@pytest.fixture
def slow():
    time.sleep(60)

@pytest.mark.deadline(1)
def test_hang_in_setup(slow):
    pass

@pytest.mark.deadline(1.25)
def test_coroutine_hang(run):
    async def waits_for_ever():
        await asyncio.Event().wait()
    run(waits_for_ever())

def test_pending_task(run):
    async def body():
        body.task = asyncio.create_task(asyncio.sleep(60), name="straggler")
        await asyncio.sleep(0)
    run(body())

def test_finished_tasks(run):
    async def body():
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
    run(body())

def test_unretrieved_exception(run):
    async def breaks():
        raise LookupError("nobody asked")
    async def body():
        asyncio.create_task(breaks())
        await asyncio.sleep(0)
    run(body())

def test_callback_exception(run):
    async def body():
        asyncio.get_running_loop().call_soon(lambda: {}["nothing here"])
        await asyncio.sleep(0)
    run(body())

def test_result_and_error_pass_through(run):
    async def body():
        raise LookupError("as it was")
    with pytest.raises(LookupError, match="as it was"):
        run(body())

def test_debug_is_off(run):
    async def body():
        return asyncio.get_running_loop().get_debug()
    assert run(body()) is False

def test_wait_until_says_what(wait_until):
    wait_until(lambda: 0 > 1, timeout=0.1)

def test_wait_until_aio_says_what(run, wait_until):
    async def body():
        await wait_until.aio(lambda: 0 > 1, timeout=0.1)
    run(body())

def test_wait_until_returns_the_value(run, wait_until):
    values = [0, 0, "yes"]
    assert wait_until(lambda: values.pop(0)) == "yes"
    later = [0, 0, "yes"]
    async def look():
        return later.pop(0)
    assert run(wait_until.aio(look)) == "yes"

def test_error_in_a_thread():
    threading.Thread(target=lambda: {}["nothing here"]).start()

class Raises:
    def __del__(self):
        raise LookupError("while being freed")

def test_error_while_being_freed():
    Raises()
"""

CONFTEST = 'pytest_plugins = ["tests.deadline", "tests.leak", "tests.run", "tests.wait"]\n'

Verdict = Callable[[str], str]


def run_pytest(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run ``source`` as a test module in ``folder`` under this project's harness."""
    folder.joinpath("conftest.py").write_text(CONFTEST)
    folder.joinpath("test_specimen.py").write_text(source)
    folder.joinpath("pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """The outcome of one specimen: "" when it passed, otherwise everything pytest said."""
    folder = tmp_path_factory.mktemp("specimens")
    done = run_pytest(folder, SPECIMENS, "--junitxml=outcome.xml", "-o", "leak_settle=0.4")
    outcome: dict[str, str] = {}
    for case in ET.parse(folder / "outcome.xml").iter("testcase"):
        said = [f"{part.get('message')}\n{part.text}" for part in case]
        outcome[case.get("name", "")] = "\n".join([outcome.get(case.get("name", ""), ""), *said])
    assert done.returncode == 1, done.stdout + done.stderr
    return lambda name: outcome[f"test_{name}"].strip()


@pytest.mark.deadline(60)
@pytest.mark.parametrize(
    "name",
    [
        "clean",
        "child_is_gone",
        "child_that_goes_by_itself",
        "finished_tasks",
        "result_and_error_pass_through",
        "debug_is_off",
        "wait_until_returns_the_value",
    ],
)
def test_well_behaved_test_passes(verdict: Verdict, name: str) -> None:
    assert verdict(name) == ""


@pytest.mark.deadline(60)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("child", ["left behind by", "process", "time.sleep(60)"]),
        ("zombie", ["left behind by", "process", "zombie"]),
        ("orphan", ["left behind by", "process", "time.sleep(60)"]),
        ("descriptor", ["left behind by", "descriptor", "/etc/group"]),
        ("socket", ["left behind by", "descriptor", "AF_UNIX SOCK_STREAM"]),
        ("descriptor_held_by_a_cycle", ["ResourceWarning", "/etc/group"]),
        ("thread", ["left behind by", "thread 'straggler'"]),
        ("error_in_a_thread", ["nothing here"]),
        ("error_while_being_freed", ["while being freed"]),
    ],
)
def test_leak_is_caught_and_named(verdict: Verdict, name: str, words: list[str]) -> None:
    said = verdict(name)
    assert [word for word in words if word not in said] == [], said


@pytest.mark.deadline(60)
def test_leak_of_a_module_fixture_is_caught_at_the_end(verdict: Verdict) -> None:
    # The last test's name carries what session fixtures say when they are torn down.
    assert "/etc/passwd" in verdict("error_while_being_freed")


@pytest.mark.deadline(60)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hang", ["the call of this test took more than 1 s", "time.sleep(60)"]),
        ("hang_in_thread_join", ["the call of this test took more than 1 s", "thread.join()"]),
        ("hang_in_a_loop_of_its_own", ["the call of this test took more than 1 s"]),
        ("hang_in_setup", ["the setup of this test took more than 1 s", "time.sleep(60)"]),
        ("coroutine_hang", ["took more than 1 s", "waits_for_ever", "test_specimen.py"]),
    ],
)
def test_hang_ends_at_the_deadline(verdict: Verdict, name: str, words: list[str]) -> None:
    said = verdict(name)
    assert [word for word in words if word not in said] == [], said


@pytest.mark.deadline(60)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pending_task", ["tasks left pending", "straggler: sleep"]),
        ("unretrieved_exception", ["the loop swallowed", "nobody asked"]),
        ("callback_exception", ["the loop swallowed", "nothing here"]),
        ("wait_until_says_what", ["waited 0.1 s, still False", "lambda: 0 > 1"]),
        ("wait_until_aio_says_what", ["waited 0.1 s, still False", "lambda: 0 > 1"]),
    ],
)
def test_loop_and_waits_tell_what_went_wrong(verdict: Verdict, name: str, words: list[str]) -> None:
    said = verdict(name)
    assert [word for word in words if word not in said] == [], said


def test_hang_beyond_signals_ends_the_run_and_shows_the_stack(tmp_path: Path) -> None:
    source = """
import signal, time, pytest

@pytest.mark.deadline(1)
def test_deaf():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(60)
"""
    done = run_pytest(tmp_path, source, "-o", "deadline_grace=1")
    assert done.returncode == 1
    assert "in test_deaf" in done.stderr


def test_modules_are_imported_ahead_by_the_names_that_the_collection_gives_them(
    request: pytest.FixtureRequest,
) -> None:
    assert warmup.module_name(request.path, request.config.rootpath) == __name__


@pytest.mark.parametrize("mark", ["pytest.mark.edges", "[pytest.mark.edges, pytest.mark.deadline(5)]"])
def test_module_of_edges_is_not_read_where_they_are_left_out(tmp_path: Path, mark: str) -> None:
    source = f"import pytest\n\npytestmark = {mark}\nprint('is read')\n\ndef test_edge():\n    pass\n"
    tmp_path.joinpath("test_core.py").write_text("def test_core():\n    pass\n")
    said = {
        marks: run_pytest(tmp_path, source, "-s", "-p", "tests.edges", "-m", marks).stdout
        for marks in ["", "not edges", "not edges or edges"]
    }
    assert {marks: "is read" in out for marks, out in said.items()} == {
        "": True,
        "not edges": False,
        "not edges or edges": True,
    }
    assert "1 passed" in said["not edges"]
    assert "2 passed" in said[""]
