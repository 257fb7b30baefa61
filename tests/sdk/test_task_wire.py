"""Tasks on the wire: what a plugin says and when, with a host's connection in the test at the other end."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host_sdk import CallTimeout, Context, Plugin, exec, metadata
from plugin_host_sdk.events import CancelReceived, DataReceived, EndReceived, Event, RequestReceived
from plugin_host_sdk.metadata import PluginOpts, Task
from tests.served import Served, serving
from tests.wait import WaitUntil

TASK = {"task": "t-1", "command": ["true"], "env": {}, "tty": False, "log_window": 1024}


def worker(on_task: Callable[..., Any] | None = None, **options: Any) -> Plugin:
    plugin = Plugin("worker", version="1.0.0")
    metadata.register_plugin(plugin, PluginOpts(on_task=on_task, **options))
    return plugin


def run(ctx: Context, task: Task) -> Any:
    return task.run()


async def run_async(ctx: Context, task: Task) -> Any:
    return await task.run()


def answer(host: Served, asked: RequestReceived, result: Any = None) -> None:
    host.send(host.connection.send_response(asked.msgid, {} if result is None else result))


def hand_over(host: Served, **order: Any) -> int:
    """Give the plugin the task that it asks for; the stream of its log."""
    asked = host.request("metadata.execute")
    stream: int = asked.params["log"]
    assert stream % 2 == 1
    host.connection.streams.open_receive(stream, 1024)
    answer(host, asked, TASK | order)
    return stream


def wanted(host: Served, kind: type[Event], stream: int) -> Any:
    """The next event of one stream."""
    return host.wait_for(
        lambda event: isinstance(event, kind) and event.stream == stream,  # type: ignore[attr-defined]
        f"{kind.__name__} of stream {stream}",
    )


def test_plugin_says_that_it_takes_tasks_and_asks_once_it_is_ready() -> None:
    with serving(worker(run), ready=False) as host:
        said = host.initialize("worker")
        assert said["capabilities"]["metadata"] == {"tasks": True}
        asked = host.request("metadata.execute")
        assert asked.params.keys() == {"log"}
        assert "timeout_ms" not in (asked.meta or {})


def test_plugin_that_does_not_ask_for_tasks_asks_nothing() -> None:
    with serving(worker()) as host:
        assert host.hears_nothing()


@pytest.mark.parametrize("function", [run, run_async])
def test_messages_of_a_task_in_their_order(function: Any) -> None:
    with serving(worker(function)) as host:
        log = hand_over(host, command=["sh", "-c", "echo hello"])
        started = host.request("metadata.start")
        assert started.params == {"task": "t-1"}
        answer(host, started, {"kill": False, "grace_ms": 0})
        assert wanted(host, DataReceived, log).data == b"hello\n"
        assert wanted(host, EndReceived, log).total == 6
        done = host.request("metadata.success")
        assert done.params == {"task": "t-1", "log_bytes": 6, "code": 0}
        answer(host, done)
        host.request("metadata.execute")


def test_failure_carries_code_signal_and_reason() -> None:
    with serving(worker(run)) as host:
        hand_over(host, command=["no-such-program"])
        failed = host.request("metadata.failed")
        assert failed.params["code"] == 127
        assert "no-such-program" in failed.params["reason"]
        answer(host, failed)


def test_kill_that_stands_right_behind_the_order_finds_the_task() -> None:
    """Both come in one piece: whoever takes the task has not had a turn yet."""
    with serving(worker(run)) as host:
        for number in range(20):
            asked = host.request("metadata.execute")
            host.connection.streams.open_receive(asked.params["log"], 1024)
            order = TASK | {"task": f"t-{number}", "command": ["sleep", "60"]}
            data = host.connection.send_response(asked.msgid, order)
            msgid, kill = host.connection.send_request(
                "metadata.kill_process", {"task": f"t-{number}", "grace_ms": 100}
            )
            host.send(data + kill)
            state = host.result(msgid)["state"]
            assert state in ("remembered", "killed")
            report = host.wait_for(
                lambda event: isinstance(event, RequestReceived) and event.method != "metadata.execute",
                "a word of the task",
            )
            assert isinstance(report, RequestReceived)
            if report.method == "metadata.start":
                answer(host, report, {"kill": False})
                report = host.request("metadata.failed")
            assert "the host ended the task" in report.params["reason"]
            answer(host, report)


@pytest.mark.parametrize("is_first", [True, False], ids=["before", "behind"])
def test_what_is_left_in_the_background_ends_with_a_close_around_the_last_answer(
    is_first: bool, wait_until: WaitUntil
) -> None:
    """A host that is quick closes the task before the plugin has seen that its result has arrived."""
    with serving(worker(run)) as host:
        log = hand_over(host, command=["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"])
        answer(host, host.request("metadata.start"), {"kill": False})
        left = psutil.Process(int(wanted(host, DataReceived, log).data))
        done = host.request("metadata.success")
        if not is_first:
            answer(host, done)
            host.request("metadata.execute")
        assert host.result(host.ask("metadata.close", {"task": "t-1"})) == {}
        if is_first:
            answer(host, done)
        wait_until(lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE)


def test_start_may_be_answered_with_a_kill() -> None:
    with serving(worker(run)) as host:
        hand_over(host, command=["sleep", "60"])
        answer(host, host.request("metadata.start"), {"kill": True, "grace_ms": 100})
        failed = host.request("metadata.failed")
        assert failed.params["signal"] == "SIGTERM"
        answer(host, failed)


# Giving up.


@pytest.mark.parametrize("is_async", [False, True])
def test_who_waits_no_longer_gives_the_task_back(is_async: bool) -> None:
    """The request is cancelled, and the stream that it named ends with an error."""
    plugin = worker()

    @plugin.command("plain")
    def plain(ctx: Context) -> Any:
        return ctx.metadata.execute().id

    @plugin.command("later")
    async def later(ctx: Context) -> Any:
        return (await ctx.metadata.execute()).id

    with serving(plugin) as host:
        call = host.ask_command("later" if is_async else "plain")
        asked = host.request("metadata.execute")
        log = asked.params["log"]
        host.connection.streams.open_receive(log, 1024)
        host.cancel(call)
        assert host.error(call)["name"] == "rpc.cancelled"
        assert host.expect(CancelReceived).msgid == asked.msgid
        end = wanted(host, EndReceived, log)
        assert (end.total, end.error["name"]) == (0, "rpc.cancelled")


@pytest.mark.parametrize("is_async", [False, True])
def test_deadline_of_the_call_ends_the_waiting(is_async: bool) -> None:
    plugin = worker()
    caught: list[type[Exception]] = []

    @plugin.command("plain")
    def plain(ctx: Context) -> None:
        try:
            ctx.metadata.execute()
        except CallTimeout as error:
            caught.append(type(error))

    @plugin.command("later")
    async def later(ctx: Context) -> None:
        try:
            await ctx.metadata.execute()
        except CallTimeout as error:
            caught.append(type(error))

    with serving(plugin) as host:
        call = host.ask_command("later" if is_async else "plain", timeout_ms=50)
        asked = host.request("metadata.execute")
        host.connection.streams.open_receive(asked.params["log"], 1024)
        host.result(call)
        assert wanted(host, EndReceived, asked.params["log"]).error is not None
    assert caught == [CallTimeout]


@pytest.mark.parametrize("function", [run, run_async])
def test_plugin_that_stops_drops_its_request_and_ends_its_task(function: Any) -> None:
    with serving(worker(function, at_once=2)) as host:
        log = hand_over(host, command=["sleep", "60"])
        answer(host, host.request("metadata.start"), {"kill": False})
        waiting = host.request("metadata.execute")
        host.connection.streams.open_receive(waiting.params["log"], 1024)
        stop = host.ask("shutdown", {"grace_ms": 3000})

        def end_it() -> None:
            failed = host.request("metadata.failed")
            assert failed.params["signal"] == "SIGTERM"
            answer(host, failed)

        threading.Thread(target=_end_of, args=(host,), daemon=True).start()
        end_it()
        assert wanted(host, EndReceived, log).error is None
        assert wanted(host, EndReceived, waiting.params["log"]).error is not None
        assert host.result(stop) is not None


def _end_of(host: Served) -> None:
    """What the main thread of a plugin does, once it is to end."""
    host.server.ending.wait()
    host.server.cancel_all(host.server.ending.reason)
    host.server.close_capabilities(host.server.ending.grace)
    with host.server.wiring.mutex:
        assert host.server.ending.msgid is not None
        host.server.wiring.answer(host.server.ending.msgid, {"running": 0}, "rpc.not_encodable")
    host.server.wiring.flush(wait=True)


def test_host_that_knows_no_tasks_is_asked_once() -> None:
    with serving(worker(run)) as host:
        asked = host.request("metadata.execute")
        error = {"name": "metadata.no_such_end_point", "code": 2, "message": "no such method"}
        host.send(host.connection.send_error(asked.msgid, error))
        assert host.hears_nothing() or all(not isinstance(event, RequestReceived) for event in host.events)


def test_host_that_is_busy_is_asked_again() -> None:
    with serving(worker(run)) as host:
        asked = host.request("metadata.execute")
        host.send(host.connection.send_error(asked.msgid, {"name": "rpc.busy", "code": 3, "message": "x"}))
        again = host.request("metadata.execute")
        assert again.params["log"] > asked.params["log"]


# What the host asks.


def started(host: Served, **order: Any) -> None:
    """A task that is done, and can be asked about."""
    hand_over(host, **order)
    answer(host, host.request("metadata.start"), {"kill": False})
    answer(host, host.request("metadata.success"))


def test_artifact_flows_under_credit_and_its_sum_comes_behind(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40
    (tmp_path / "file").write_bytes(data)
    with serving(worker(run)) as host:
        started(host)
        stream = host.connection.streams.reserve()
        host.connection.streams.open_receive(stream, 100)
        asked = {"task": "t-1", "path": f"{tmp_path}/file", "stream": stream, "window": 100}
        said = host.result(host.ask("metadata.get_artifact", asked))
        assert (said["size"], said["mode"]) == (len(data), (tmp_path / "file").stat().st_mode & 0o777)
        received = b""
        while len(received) < len(data):
            piece = wanted(host, DataReceived, stream)
            received += piece.data
            assert len(piece.data) <= 100
            host.send(host.connection.streams.consume(stream, len(piece.data)))
        assert received == data
        assert wanted(host, EndReceived, stream).total == len(data)
        sent = host.notification("metadata.artifact_sent")
        assert sent == {
            "task": "t-1",
            "stream": stream,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }


def test_unknown_question_is_answered_at_once() -> None:
    with serving(worker(run)) as host:
        started(host)
        assert host.error(host.ask("metadata.dance", {"task": "t-1"}))["name"] == "rpc.method_not_found"


def test_artifact_that_is_not_there_opens_no_stream(tmp_path: Path) -> None:
    with serving(worker(run)) as host:
        started(host)
        asked = {"task": "t-1", "path": f"{tmp_path}/file", "stream": 2}
        error = host.error(host.ask("metadata.get_artifact", asked))
        assert error["name"] == "metadata.artifact_not_found"
        assert error["data"]["path"] == f"{tmp_path}/file"
        assert 2 not in host.server.wiring.connection.streams.sending


def test_file_that_fails_on_the_way_ends_its_stream_with_the_reason() -> None:
    class Failing:
        def read(self, size: int) -> bytes:
            raise OSError(5, "Input/output error")

        def close(self) -> None:
            pass

    with serving(worker(run, get_artifact=lambda ctx, task, path: Failing())) as host:
        started(host)
        stream = host.connection.streams.reserve()
        host.connection.streams.open_receive(stream, 100)
        asked = {"task": "t-1", "path": "/x", "stream": stream, "window": 100}
        host.result(host.ask("metadata.get_artifact", asked))
        end = wanted(host, EndReceived, stream)
        assert end.error["name"] == "metadata.file_unreadable"
        assert "Input/output error" in end.error["message"]
        assert host.hears_nothing() or not any("artifact_sent" in str(event) for event in host.events)


def test_fault_of_an_authors_function_is_an_incident_that_the_log_has() -> None:
    def fail(ctx: Context, task: Task, path: str, recursive: bool) -> Any:
        raise ZeroDivisionError("private")

    with serving(worker(run, list_folder=fail)) as host:
        started(host)
        error = host.error(host.ask("metadata.list_folder", {"task": "t-1", "path": "/x"}))
        assert error["name"] == "metadata.internal_error"
        assert "private" not in error["message"]
        record = host.notification("log")
        assert error["data"]["incident"] in record["message"]
        assert "ZeroDivisionError: private" in record["message"]


@pytest.mark.parametrize("is_async", [False, True])
def test_authors_functions_take_the_place_of_the_defaults(is_async: bool, tmp_path: Path) -> None:
    (tmp_path / "shown").write_bytes(b"a file")
    answers: dict[str, Any] = {"/bytes": b"bytes", "/path": tmp_path / "shown"}

    def get(ctx: Context, task: Task, path: str) -> Any:
        return answers[path]

    def list_folder(ctx: Context, task: Task, path: str, recursive: bool) -> Any:
        return [
            f"{path}/b",
            metadata.FolderEntry(path=f"{path}/a", type="link"),
            {"path": path, "type": "other"},
        ]

    def shell(ctx: Context, task: Task, opts: Any) -> Any:
        return exec.ExecSpec(["echo", task.id, *opts.command])

    async def get_async(*args: Any) -> Any:
        return get(*args)

    async def list_async(*args: Any) -> Any:
        return list_folder(*args)

    async def shell_async(*args: Any) -> Any:
        return shell(*args)

    functions = (get_async, list_async, shell_async) if is_async else (get, list_folder, shell)
    names = ("get_artifact", "list_folder", "exec_shell")
    with serving(worker(run, **dict(zip(names, functions, strict=True)))) as host:
        started(host)
        for path, data in (("/bytes", b"bytes"), ("/path", b"a file")):
            stream = host.connection.streams.reserve()
            host.connection.streams.open_receive(stream, 100)
            asked = {"task": "t-1", "path": path, "stream": stream, "window": 100}
            assert host.result(host.ask("metadata.get_artifact", asked))["size"] == len(data)
            assert wanted(host, DataReceived, stream).data == data
        part = host.result(host.ask("metadata.list_folder", {"task": "t-1", "path": "/f"}))
        assert [(one["path"], one["type"]) for one in part["entries"]] == [
            ("/f", "other"),
            ("/f/a", "link"),
            ("/f/b", "file"),
        ]
        asked = {"task": "t-1", "id": "s", "command": ["x"], "tty": False}
        made = host.result(host.ask("metadata.exec_shell", asked))
        assert made["session"]["handler"] == "worker/shell"
        exited = host.notification("exec.exited")
        assert (exited["exit"]["code"], exited["totals"]["stdout"]) == (0, len("t-1 x\n"))


def test_shell_is_a_session_also_in_a_plugin_that_offers_none() -> None:
    with serving(worker(run)) as host:
        assert "exec" not in host.server.plugin.capabilities
        started(host)
        asked = {"task": "t-1", "id": "s", "command": ["sleep", "60"], "tty": True}
        host.result(host.ask("metadata.exec_shell", asked))
        host.result(host.ask("exec.resize", {"session": "s", "rows": 5, "cols": 6}))
        info = host.result(host.ask("exec.get", {"session": "s"}))
        assert (info["rows"], info["cols"]) == (5, 6)
        assert host.error(host.ask("exec.create", {"id": "t"}))["name"] == "rpc.method_not_found"
        host.result(host.ask("exec.close", {"session": "s"}))


def test_shell_is_among_the_sessions_of_a_plugin_that_offers_some() -> None:
    plugin = worker(run)
    exec.register_plugin(plugin, exec.PluginOpts([exec.Handler("local", default_command=["true"])]))
    with serving(plugin) as host:
        started(host)
        asked = {"task": "t-1", "id": "s", "command": ["sleep", "60"], "tty": False}
        host.result(host.ask("metadata.exec_shell", asked))
        assert [one["id"] for one in host.result(host.ask("exec.list"))["sessions"]] == ["s"]
        keys = [one["key"] for one in host.result(host.ask("exec.handlers"))["handlers"]]
        assert keys == ["worker/local"]
        host.result(host.ask("exec.close", {"session": "s"}))
