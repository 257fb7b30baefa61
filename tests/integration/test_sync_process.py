"""The blocking host in other programs: those that fork, do not close it, are interrupted, serve the web."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.source import ROOT
from tests.stage import PERSONALITIES, runs, write_plugin
from tests.syncstage import blocking, program
from tests.wait import WaitUntil


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "raise SystemExit(0)"])
def test_program_that_ends_without_closing_stops_its_plugins(end: str) -> None:
    done = program(
        f"""
        host = blocking("steady")
        host.__enter__()
        assert host.call("steady", "echo", {{"value": 1}}) == 1
        print(host.plugins["steady"].pid, flush=True)
        {end}
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not runs(int(done.stdout))


def test_threads_that_still_call_at_the_end_of_the_program_finish_first() -> None:
    done = program(
        """
        host = blocking("steady")
        host.__enter__()

        def work():
            time.sleep(0.2)
            print(sum(host.call("steady", "echo", {"value": 1}) for _ in range(100)))

        threading.Thread(target=work).start()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "100\n", "")


def test_forked_child_is_told_and_the_parent_goes_on() -> None:
    done = program(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        host = blocking("steady")
        with host:
            assert host.call("steady", "echo", {"value": 1}) == 1
            if os.fork() == 0:
                for use in (
                    lambda: host.call("steady", "echo"),
                    lambda: host.call_text("steady", "echo", {}),
                    lambda: host.stop("steady"),
                    lambda: host.exec("steady"),
                    host.events,
                ):
                    try:
                        use()
                    except Exception as error:
                        print(type(error).__name__, error, flush=True)
                host.close()  # does nothing here
                with blocking("steady") as own:
                    print("own", own.call("steady", "echo", {"value": 2}), flush=True)
                sys.exit(0)
            os.wait()
            for turn in range(100):
                assert host.call("steady", "echo", {"value": turn}, timeout=5) == turn
            host.stop("steady")
            host.start("steady")
            print("parent", host.call("steady", "echo", {"value": 3}))
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("PluginHostError this host belongs to the process") for line in lines[:5])
    assert lines[5:] == ["own 2", "parent 3"]


def test_workers_that_were_forked_do_not_disturb_the_parent() -> None:
    done = program(
        """
        import multiprocessing, warnings
        warnings.simplefilter("ignore", DeprecationWarning)

        def square(number):
            return number * number

        with blocking("steady") as host:
            assert host.call("steady", "echo", {"value": 1}) == 1
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(pool.map(square, range(4)), host.call("steady", "echo", {"value": 2}))
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 1, 4, 9] 2\n", "")


def test_interrupt_of_a_program_that_waits_in_a_call_stops_its_plugins() -> None:
    code = """
    from tests.syncstage import blocking
    with blocking("steady") as host:
        try:
            print(host.plugins["steady"].pid, flush=True)
            host.call("steady", "sleep")
        except KeyboardInterrupt:
            print("interrupted", host.call("steady", "echo", {"value": 1}), flush=True)
            raise
    """
    with subprocess.Popen(
        [sys.executable, "-c", "\n".join(line[4:] for line in code.splitlines())],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=15)
    assert out == "interrupted 1\n"
    assert error.endswith("KeyboardInterrupt\n")
    assert process.returncode == -signal.SIGINT
    assert not runs(pid)


INTERRUPTED_CLOSE = """
import os, signal, sys, threading, time
from plugin_host.sync import PluginHost
host = PluginHost(plugin_dirs=[sys.argv[1]], entry_points=False)
host.__enter__()
plugin = host.plugins["slow_to_stop"]
folder = f"/proc/{plugin.pid}"
print(plugin.pid, flush=True)

def watch():
    while plugin.state.name != "STOPPING":
        time.sleep(0.001)
    print("ready", flush=True)

def tell():
    codes = [interrupt.__code__]
    while interrupt.__code__ in codes:  # another one in there would be the same one
        frame, codes = sys._current_frames()[threading.main_thread().ident], []
        while frame is not None:
            codes.append(frame.f_code)
            frame = frame.f_back
    print("interrupted", flush=True)

def interrupt(number, frame):
    threading.Thread(target=tell).start()
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, interrupt)
threading.Thread(target=watch).start()
try:
    host.close()
except KeyboardInterrupt:
    print(plugin.state.name, os.path.exists(folder), flush=True)
"""


@pytest.mark.parametrize(("interrupts", "stop_timeout_s"), [(1, 1), (2, 3600)])
def test_close_goes_on_when_it_is_interrupted_and_is_given_up_at_the_second_time(
    interrupts: int, stop_timeout_s: int, tmp_path: Path, wait_until: WaitUntil
) -> None:
    home = shutil.copytree(PERSONALITIES / "slow_to_stop", tmp_path / "slow_to_stop")
    manifest = json.loads((home / "plugin_manifest.json").read_text())
    manifest["launch"]["stop_timeout_s"] = stop_timeout_s
    (home / "plugin_manifest.json").write_text(json.dumps(manifest))
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED_CLOSE, tmp_path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert process.stdout.readline() == "ready\n"
        for _ in range(interrupts):
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
        out, error = process.communicate(timeout=15)
    assert (error, process.returncode) == ("", 0)
    state, is_there = out.split()
    assert state == "STOPPED"
    if interrupts == 1:
        assert is_there == "False"
    wait_until(lambda: not runs(pid))  # the second time the kernel may still be at it


def test_views_of_a_web_application_share_one_host() -> None:
    app = Flask("test")
    with blocking("steady") as host:

        @app.get("/echo/<int:number>")
        def echo(number: int) -> dict[str, Any]:
            return {"answer": host.call("steady", "echo", {"value": number}, timeout=5)}

        answers: dict[int, object] = {}

        def visit(number: int) -> None:
            with app.test_client() as client:
                answers[number] = json.loads(client.get(f"/echo/{number}").data)

        threads = [threading.Thread(target=visit, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {number: {"answer": number} for number in range(8)}


def test_host_that_gets_no_thread_says_so_at_once_and_can_be_entered_later() -> None:
    done = program(
        """
        from plugin_host import PluginHostError

        def refuse(self):
            raise RuntimeError("can't start new thread")

        start, threading.Thread.start = threading.Thread.start, refuse
        try:
            with blocking("steady"):
                print("entered")
        except PluginHostError as error:
            print(error)
        threading.Thread.start = start
        with blocking("steady") as host:
            print(host.call("steady", "echo", {"value": 1}))
        """
    )
    assert (done.stdout, done.stderr) == ("the host's loop cannot run: can't start new thread\n1\n", "")
    assert done.returncode == 0


@pytest.mark.parametrize("owner", ["asyncio.BaseEventLoop.call_soon_threadsafe", "Errand.result"])
def test_interrupt_at_the_moment_in_which_the_loop_takes_over_is_an_interrupt(owner: str) -> None:
    """It comes when the loop has the work already, which this thread then must not touch."""
    kind, _, name = owner.rpartition(".")
    done = program(
        f"""
        import asyncio
        from plugin_host.sync.errand import Errand

        usual, left = {owner}, []

        def interrupted(self, *arguments, **options):
            is_due = left and threading.current_thread() is threading.main_thread()
            if is_due and "{name}" == "result":
                raise left.pop()
            found = usual(self, *arguments, **options)
            if is_due:
                time.sleep(0.05)  # the loop takes it
                raise left.pop()
            return found

        host = blocking("steady")
        host.__enter__()
        for use in (host.metrics, host.sessions, host.close):
            left.append(KeyboardInterrupt())
            usual = {owner}
            {kind}.{name} = interrupted
            try:
                use()
            except KeyboardInterrupt:
                print("interrupted", host.plugins["steady"].state, flush=True)
            finally:
                {kind}.{name} = usual
        """
    )
    lines = ["interrupted ready", "interrupted ready", "interrupted stopped"]
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == (lines, "", 0)


def test_program_that_is_interrupted_as_it_ends_says_nothing_of_it() -> None:
    done = program(
        """
        import atexit, signal
        host = blocking("slow_to_stop")
        host.__enter__()
        plugin = host.plugins["slow_to_stop"]
        print(plugin.pid, flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def interrupt():
            while plugin.state.name != "STOPPING":
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not runs(int(done.stdout))


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="its interpreter leaves some signals there unheeded"
)
def test_children_of_another_thread_can_be_interrupted() -> None:
    """They are forked while the main thread is in a call, in which it holds interrupts back."""
    done = program(
        """
        import signal, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        ended = []

        def fork():
            for _ in range(10):
                heard, say = os.pipe()
                child = os.fork()
                if child == 0:
                    try:
                        os.write(say, b"x")
                        while True:
                            time.sleep(0.01)
                    except KeyboardInterrupt:
                        os._exit(42)
                os.read(heard, 1)
                os.close(heard)
                os.close(say)
                os.kill(child, signal.SIGINT)
                ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

        with blocking("steady") as host:
            forking = threading.Thread(target=fork)
            forking.start()
            while forking.is_alive():
                host.call("steady", "echo", {"value": 1})
        print(ended == [42] * 10)
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)


def test_host_serves_a_thread_that_is_taken_for_the_main_one() -> None:
    """Who imports `threading` first is, in whatever thread; it cannot set handlers of signals."""
    code = """
    import _thread, sys
    done = _thread.allocate_lock()
    done.acquire()
    def use():
        try:
            from plugin_host.sync import PluginHost
            with PluginHost(plugin_dirs=[sys.argv[1]], entry_points=False, only=["steady"]) as host:
                print(host.call("steady", "echo", {"value": 1}))
        finally:
            done.release()
    _thread.start_new_thread(use, ())
    done.acquire()
    """
    found = subprocess.run(
        [sys.executable, "-c", "\n".join(line[4:] for line in code.splitlines()), str(PERSONALITIES)],
        capture_output=True,
        text=True,
        timeout=45,
    )
    assert (found.stdout, found.returncode) == ("1\n", 0), found.stderr


def test_programs_of_plugins_have_a_status_where_the_host_ignores_the_ends_of_children(
    tmp_path: Path,
) -> None:
    write_plugin(
        tmp_path,
        "runs",
        """
        import subprocess
        @plugin.command("run")
        def run(ctx): return subprocess.run(["false"]).returncode
        """,
    )
    done = program(
        """
        import signal
        from pathlib import Path
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with blocking("runs", dirs=[Path(sys.argv[1])]) as host:
            print(host.call("runs", "run"))
            host.restart("runs")
            print(host.call("runs", "run"))
        """,
        tmp_path,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("1\n1\n", "", 0)
