"""Tasks as their worker sees them: taken, run, logged, concluded once, and killed at any moment."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import plugin_host_sdk as sdk
from plugin_host_sdk.errors import CallFailed, InvalidPayload, ResourceConflict, UnknownActionId
from plugin_host_sdk.metadata import PluginOpts, Status, Task
from plugin_host_sdk.testing import TaskHost, TaskOutcome

SUCCESS = TaskOutcome(True, 0, None, "")


def serving(on_task: Callable[..., Any] | None = None, **options: Any) -> TaskHost:
    """A host of a plugin that runs tasks by this function."""
    plugin = sdk.Plugin("worker", version="1")
    sdk.metadata.register_plugin(plugin, PluginOpts(on_task=on_task, **options))
    return TaskHost(plugin)


def run_command(ctx: sdk.Context, task: Task) -> Any:
    return task.run()


async def run_command_async(ctx: sdk.Context, task: Task) -> Any:
    return await task.run()


both = pytest.mark.parametrize("function", [run_command, run_command_async], ids=["plain", "async"])


@both
def test_command_runs_and_its_output_is_the_log(function: Any) -> None:
    with serving(function) as host:
        task = host.give(["sh", "-c", "echo out; echo err >&2"])
        assert task.wait() == SUCCESS
        assert task.log == b"out\nerr\n"


@both
def test_code_signal_and_reason_are_told(function: Any) -> None:
    with serving(function) as host:
        code = host.give(["sh", "-c", "exit 3"]).wait()
        assert code == TaskOutcome(False, 3, None, "exited with status 3")
        signal = host.give(["sh", "-c", "kill -9 $$"]).wait()
        assert signal == TaskOutcome(False, None, "SIGKILL", "killed by SIGKILL")


@both
def test_why_it_did_not_start_is_told(function: Any) -> None:
    with serving(function) as host:
        missing = host.give(["no-such-program"]).wait()
        assert (missing.success, missing.code) == (False, 127)
        assert "'no-such-program' is not in" in missing.reason
        forbidden = host.give(["/etc/passwd"]).wait()
        assert forbidden.code == 126
        assert "/etc/passwd" in forbidden.reason


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (None, SUCCESS),
        (True, SUCCESS),
        (0, SUCCESS),
        (False, TaskOutcome(False, None, None, "the plugin's function says that it failed")),
        (7, TaskOutcome(False, 7, None, "exited with status 7")),
        (Status(None, "SIGHUP", "hung up"), TaskOutcome(False, None, "SIGHUP", "hung up")),
    ],
)
def test_what_the_function_returns_is_the_result(result: object, outcome: TaskOutcome) -> None:
    with serving(lambda ctx, task: result) as host:
        assert host.give().wait() == outcome


def test_function_that_raises_fails_its_task_and_not_the_next() -> None:
    results: list[Any] = [ZeroDivisionError("by zero"), KeyboardInterrupt(), "a text", None]

    def work(ctx: sdk.Context, task: Task) -> Any:
        result = results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    with serving(work) as host:
        reasons = [host.give().wait().reason for _ in range(4)]
    assert reasons[0] == "ZeroDivisionError: by zero"
    assert reasons[1] == "KeyboardInterrupt"
    assert "not 'a text'" in reasons[2]
    assert reasons[3] == ""
    assert any("Traceback" in text for level, text in host.logged if level == "error")


def test_task_has_what_the_host_said() -> None:
    seen: list[Task] = []
    with serving(lambda ctx, task: seen.append(task)) as host:
        host.give(["a", "b"], env={"K": "v"}, cwd="/tmp", labels={"l": "1"}, timeout=1.5, id="t-1").wait()
    [task] = seen
    assert (task.id, task.command, task.env, task.cwd) == ("t-1", ("a", "b"), {"K": "v"}, "/tmp")
    assert (task.tty, task.labels, task.timeout) == (False, {"l": "1"}, 1.5)


def test_environment_is_the_plugins_the_authors_and_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A", "B", "C"):
        monkeypatch.setenv(name, "plugin")
    with serving(lambda ctx, task: task.run(env={"B": "author", "C": "author"})) as host:
        task = host.give(["sh", "-c", "echo $A $B $C; echo $PLUGIN_HOST_TASK"], env={"C": "task"}, id="t-7")
        task.wait()
        assert task.log.startswith(b"plugin author task\nt-7:")


def test_folder_is_the_tasks_or_the_authors(tmp_path: Any) -> None:
    with serving(lambda ctx, task: task.run(["pwd"], cwd=str(tmp_path))) as host:
        ours, theirs = host.give(), host.give(cwd="/usr")
        theirs.wait()
        assert (ours.log, theirs.log) == (f"{tmp_path}\n".encode(), b"/usr\n")


# The log.


def test_log_is_live() -> None:
    """The program goes on only once its first line was seen."""
    reading, writing = os.pipe()
    script = f"echo first; read go </proc/{os.getpid()}/fd/{reading}; echo second"
    with serving(run_command) as host:
        task = host.give(["sh", "-c", script])
        task.wait_for_log(b"first\n")
        assert task.log == b"first\n"
        os.write(writing, b"go\n")
        assert task.wait() == SUCCESS
        assert task.log == b"first\nsecond\n"
    os.close(reading)
    os.close(writing)


@both
def test_result_comes_after_the_whole_log_however_slow_its_reader(function: Any) -> None:
    with serving(function) as host:
        task = host.give(["head", "-c", "100000", "/dev/zero"], window=1000)
        task.wait_until_taken()
        host.sink.wait_for_offset(task.stream, 1000)
        assert task.outcome is None
        host.sink.credit(task.stream, 200_000)
        assert task.wait() == SUCCESS
        assert len(task.log) == 100_000


def test_author_may_write_the_log_and_the_result_alone() -> None:
    def work(ctx: sdk.Context, task: Task) -> None:
        task.log(b"bytes and ")
        ctx.metadata.log("text")
        ctx.metadata.failed("no luck", code=4)

    async def work_async(ctx: sdk.Context, task: Task) -> None:
        await task.log(b"bytes and ")
        await ctx.metadata.log("text")
        await ctx.metadata.failed("no luck", code=4)

    for function in (work, work_async):
        with serving(function) as host:
            task = host.give()
            assert task.wait() == TaskOutcome(False, 4, None, "no luck")
            assert task.log == b"bytes and text"


def test_first_result_counts_the_same_again_is_fine_and_another_is_refused() -> None:
    caught: list[Exception] = []

    def work(ctx: sdk.Context, task: Task) -> None:
        task.success(0)
        task.success(0)
        try:
            task.failed("after all")
        except ResourceConflict as error:
            caught.append(error)
        try:
            task.log("late")
        except CallFailed as error:
            caught.append(error)

    with serving(work) as host:
        assert host.give().wait() == SUCCESS
    assert [type(error) for error in caught] == [ResourceConflict, CallFailed]


# Several at once, and those who ask themselves.


@pytest.mark.parametrize("is_async", [False, True])
def test_so_many_run_side_by_side_and_no_more(is_async: bool) -> None:
    everybody = threading.Barrier(3)

    def meet(ctx: sdk.Context, task: Task) -> None:
        everybody.wait(10)

    async def meet_async(ctx: sdk.Context, task: Task) -> None:
        await asyncio.to_thread(everybody.wait, 10)

    with serving(meet_async if is_async else meet, at_once=2) as host:
        tasks = [host.give() for _ in range(3)]
        while everybody.n_waiting < 2:
            pass
        assert [task.stream for task in tasks].count(0) == 1
        everybody.wait(10)
        while everybody.n_waiting < 1:
            pass
        everybody.abort()
        assert [task.wait().success for task in tasks].count(True) == 2


def test_number_may_change_while_they_run() -> None:
    plugin = sdk.Plugin("worker", version="1")
    go = threading.Event()
    tasks = sdk.metadata.register_plugin(plugin, PluginOpts(on_task=lambda ctx, task: go.wait(10)))
    with TaskHost(plugin) as host:
        first, second = host.give(), host.give()
        first.wait_until_taken()
        assert second.stream == 0
        tasks.at_once = 2
        second.wait_until_taken()
        tasks.at_once = 1
        go.set()
        assert (first.wait(), second.wait()) == (SUCCESS, SUCCESS)
        while len(host._asking) != 1:
            pass
        with pytest.raises(sdk.RegistrationError, match="1 to 256"):
            tasks.at_once = 0


@pytest.mark.parametrize("is_async", [False, True])
def test_author_may_ask_for_tasks(is_async: bool) -> None:
    def loop(ctx: sdk.Context) -> None:
        while True:
            task = ctx.metadata.execute()
            ctx.metadata.log(f"this is {task.id}")
            ctx.metadata.success()

    async def loop_async(ctx: sdk.Context) -> None:
        while True:
            task = await ctx.metadata.execute()
            await ctx.metadata.log(f"this is {task.id}")
            await ctx.metadata.success()

    with serving(run=loop_async if is_async else loop) as host:
        for id in ("one", "two"):
            task = host.give(id=id)
            assert task.wait() == SUCCESS
            assert task.log == f"this is {id}".encode()


def test_end_of_the_authors_loop_is_told() -> None:
    def loop(ctx: sdk.Context) -> None:
        ctx.metadata.execute()
        raise ZeroDivisionError

    with serving(run=loop) as host:
        host.give()
        while not host.logged:
            pass
    assert "the function that runs tasks has ended: ZeroDivisionError" in host.logged[0][1]


def test_without_registration_or_task_the_words_say_what_to_do() -> None:
    plugin = sdk.Plugin("plain", version="1")
    ctx = TaskHost(plugin).context("greet")
    with pytest.raises(CallFailed, match="register_plugin"):
        ctx.metadata.execute()
    with pytest.raises(CallFailed, match="call execute first"):
        ctx.metadata.log(b"x")


def test_plugin_can_be_served_again() -> None:
    plugin = sdk.Plugin("worker", version="1")
    sdk.metadata.register_plugin(plugin, PluginOpts(on_task=run_command))
    for _ in range(2):
        with TaskHost(plugin) as host:
            task = host.give(["echo", "hello"])
            assert task.wait() == SUCCESS
            assert task.shell(("cat",), b"typed")[0] == b"typed"


# Killing.


@both
def test_killed_task_is_failed(function: Any) -> None:
    with serving(function) as host:
        task = host.give(["sleep", "60"])
        task.wait_for_start()
        assert task.kill() == "killed"
        outcome = task.wait()
        assert (outcome.success, outcome.signal) == (False, "SIGTERM")
        assert "the host ended the task" in outcome.reason
        assert task.kill() == "ended"


@both
def test_kill_that_comes_first_is_remembered(function: Any) -> None:
    go = threading.Event()

    def work(ctx: sdk.Context, task: Task) -> Any:
        go.wait(10)
        return function(ctx, task)

    with serving(work if function is run_command else function) as host:
        task = host.give(["sleep", "60"])
        if function is run_command:
            task.wait_until_taken()
            assert task.kill() == "remembered"
            go.set()
            assert task.wait().reason == "it was not started: the host ended the task"
        else:
            task.kill(in_start=True)
            assert task.wait().signal in ("SIGTERM", "SIGKILL")


def test_kill_of_work_without_a_process_is_no_longer_remembered() -> None:
    def work(ctx: sdk.Context, task: Task) -> bool:
        task.started()
        return not task.killed.wait(10)

    with serving(work) as host:
        task = host.give()
        task.wait_for_start()
        assert task.kill() == "killed"
        assert not task.wait().success
        assert task.kill() == "ended"


def test_authors_process_is_ended_with_all_that_it_started() -> None:
    pids: list[int] = []

    def work(ctx: sdk.Context, task: Task) -> int:
        code = "import os,time; os.fork(); time.sleep(60)"
        with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **task.mark}) as process:
            task.started(process)
            pids.append(process.pid)
            return process.wait()

    with serving(work) as host:
        task = host.give()
        task.wait_for_start()
        assert task.kill(2) == "killed"
        assert task.wait() == TaskOutcome(False, -15, None, "exited with status -15")
        assert not os.path.exists(f"/proc/{pids[0]}")


def test_work_without_a_process_hears_that_it_is_to_end() -> None:
    graces: list[float] = []

    def work(ctx: sdk.Context, task: Task) -> bool:
        task.started(on_kill=graces.append)
        return not task.killed.wait(10)

    with serving(work) as host:
        task = host.give()
        task.wait_for_start()
        assert task.kill(1.5) == "killed"
        assert not task.wait().success
    assert graces == [1.5]


@pytest.mark.parametrize("is_async", [False, True])
def test_author_may_end_tasks_otherwise(is_async: bool) -> None:
    ended: list[tuple[str, float]] = []
    done = threading.Event()

    def end(ctx: sdk.Context, task: Task, grace: float) -> None:
        ended.append((task.id, grace))
        done.set()
        raise ZeroDivisionError

    async def end_async(ctx: sdk.Context, task: Task, grace: float) -> None:
        end(ctx, task, grace)

    def work(ctx: sdk.Context, task: Task) -> bool:
        task.started()
        return not done.wait(10)

    with serving(work, kill_process=end_async if is_async else end) as host:
        task = host.give(id="t")
        task.wait_for_start()
        assert task.kill(3) == "killed"
        task.wait()
        while not host.logged:
            pass
    assert ended == [("t", 3.0)]
    assert "metadata.kill_process failed, incident " in host.logged[0][1]


@both
def test_plugin_that_stops_ends_its_tasks_and_says_so(function: Any) -> None:
    with serving(function, at_once=2) as host:
        task = host.give(["sleep", "60"])
        task.wait_for_start()
    assert task.outcome is not None
    assert not task.outcome.success


# What the host asks about a task.


def test_task_that_is_not_there_or_no_longer_is_unknown() -> None:
    with serving(run_command) as host:
        task = host.give(["true"])
        task.wait()
        assert task.list_folder("/usr") != []
        task.close()
        asks: list[Callable[[], object]] = [
            lambda: task.kill(),
            lambda: task.list_folder("/usr"),
            lambda: task.get_artifact("/etc/passwd"),
            lambda: task.shell(("true",)),
        ]
        for ask in asks:
            with pytest.raises(UnknownActionId, match="there is no task"):
                ask()
        task.close()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("get_artifact", {"path": "relative", "stream": 2}),
        ("get_artifact", {"path": "/etc/passwd"}),
        ("list_folder", {"path": 3}),
        ("exec_shell", {"id": "a b"}),
        ("kill_process", {"grace_ms": -1}),
        ("kill_process", {"task": 7}),
    ],
)
def test_what_is_asked_wrongly_changes_nothing(method: str, params: dict[str, Any]) -> None:
    with serving(run_command) as host:
        task = host.give(["sleep", "60"])
        task.wait_for_start()
        with pytest.raises(InvalidPayload, match=f"metadata.{method}: "):
            host.ask(f"metadata.{method}", {"task": task.id} | params)
        assert task.outcome is None
        task.kill(0.1)
        assert not task.wait().success
