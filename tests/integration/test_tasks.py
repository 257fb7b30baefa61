"""Tasks from the host to a plugin that runs them, with everything in between real."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from plugin_host import (
    ArtifactNotFound,
    FolderNotFound,
    IsFolder,
    NoSuchEndPoint,
    Output,
    PluginDied,
    PluginHost,
    ResourceConflict,
    Session,
    State,
    TaskLost,
)
from plugin_host.event import TaskChanged
from plugin_host.task.task import Task
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

WORKER = """
    def work(ctx, task):
        return task.run()

    sdk.metadata.register_plugin(plugin, sdk.metadata.PluginOpts(on_task=work, at_once=3))

    @plugin.command("pid")
    def pid(ctx):
        import os
        return os.getpid()
"""
# One that gives results by itself, and says what it was answered.
BARE = """
    def run(ctx):
        while True:
            task = ctx.metadata.execute()
            task.log(" ".join(task.command))
            task.success()
            task.success()
            try:
                task.failed("no, it did not")
            except sdk.CallError as error:
                ctx.log.warning(error.name)

    sdk.metadata.register_plugin(plugin, sdk.metadata.PluginOpts(run=run))

    @plugin.command("ready")
    def ready(ctx):
        pass
"""

MIB = 1 << 20

Body = Callable[[PluginHost], Awaitable[None]]
Hosted = Callable[[Body], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("plugins")
    write_plugin(home, "worker", WORKER)
    write_plugin(home, "lazy", WORKER, activation="lazy", idle_stop_s=0.2)
    write_plugin(home, "bare", BARE)
    return write_plugin(home, "other", "")


@pytest.fixture
def hosted(run: Run, folder: Path) -> Hosted:
    def drive(body: Body) -> None:
        async def work() -> None:
            async with stage("worker", dirs=[folder]) as host:
                await body(host)

        run(work())

    return drive


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


async def log_of(task: Task) -> bytes:
    return b"".join([data async for data in task.log()])


async def until_running(task: Task, line: bytes = b"") -> None:
    """Wait for the task's first line."""
    async with task.log() as log:
        seen = b""
        async for data in log:
            seen += data
            if line in seen:
                return


def test_task_runs_and_its_log_result_and_end_are_told(hosted: Hosted) -> None:
    async def body(host: PluginHost) -> None:
        events = host.events()
        task = await host.tasks.run(
            "worker", sh('echo "$A in $PWD"; echo err >&2; exit 3'), env={"A": "b"}, cwd="/", tty=False
        )
        assert host.tasks.list() == [task]
        assert sorted((await log_of(task)).splitlines()) == [b"b in /", b"err"]
        result = await task.result()
        assert (result.success, result.code, result.signal) == (False, 3, None)
        good = await host.tasks.run("worker", sh("[ -t 1 ] && stty size"), rows=10, cols=20)
        assert await log_of(good) == b"10 20\r\n"
        assert (await good.result()).success
        missing = await host.tasks.run("worker", ["/no/such/program"])
        failed = await missing.result()
        assert not failed.success
        assert failed.reason
        for one in (task, good, missing):
            await one.close()
        assert host.tasks.list() == []
        states = []
        while events.has_more:
            event = events.take()
            if isinstance(event, TaskChanged) and event.task == task.id:
                states.append(event.state)
        assert [state for state in states if state != "reported"] == [
            "pending",
            "offered",
            "running",
            "ended",
            "closed",
        ]

    hosted(body)


def test_log_is_live(hosted: Hosted, tmp_path: Path) -> None:
    async def body(host: PluginHost) -> None:
        fifo = tmp_path / "go"
        os.mkfifo(fifo)
        async with await host.tasks.run("worker", sh(f"echo first; cat {fifo}; echo last")) as task:
            await until_running(task, b"first")
            assert task.state == "running"
            await asyncio.to_thread(fifo.write_bytes, b"")
            assert await log_of(task) == b"first\r\nlast\r\n"

    hosted(body)


def test_log_that_nobody_reads_is_drained_and_one_that_is_read_is_whole(hosted: Hosted) -> None:
    async def body(host: PluginHost) -> None:
        script = "head -c 5000000 /dev/zero"
        ignored = await host.tasks.run("worker", sh(script), tty=False)
        read = await host.tasks.run("worker", sh(script), tty=False)
        reader = read.log()
        assert (await ignored.result()).success
        assert (ignored.info.log_bytes, ignored.info.log_start) == (5_000_000, 4_000_000)
        assert read.state in ("running", "offered")
        assert sum([len(data) async for data in reader]) == 5_000_000
        assert (await read.result()).success
        assert len(await log_of(ignored)) == 1_000_000

    hosted(body)


def test_task_and_all_that_it_started_is_killed(hosted: Hosted) -> None:
    async def body(host: PluginHost) -> None:
        task = await host.tasks.run("worker", sh("sleep 1000 & echo up; wait"))
        await until_running(task, b"up")
        assert await task.kill() == "killed"
        result = await task.result()
        assert not result.success
        assert result.signal or result.code
        stubborn = await host.tasks.run("worker", sh("trap '' TERM; echo up; sleep 1000"))
        await until_running(stubborn, b"up")
        assert await stubborn.kill(grace=0.1) == "killed"
        result = await stubborn.result()
        assert not result.success

    hosted(body)


def test_task_whose_time_is_over_is_killed_and_says_so(hosted: Hosted) -> None:
    async def body(host: PluginHost) -> None:
        task = await host.tasks.run("worker", ["sleep", "1000"], timeout=0.1)
        result = await task.result()
        assert (result.success, result.timed_out) == (False, True)
        assert "timeout of 0.1 s" in result.reason

    hosted(body)


def test_files_and_folders_are_had_after_the_result(hosted: Hosted, tmp_path: Path) -> None:
    async def body(host: PluginHost) -> None:
        made = tmp_path / "made"
        script = f"umask 077; mkdir -p {made}/deep {made}/empty; seq 1 300000 > {made}/deep/numbers"
        task = await host.tasks.run("worker", sh(script), tty=False)
        assert (await task.result()).success
        found = await task.list_folder(str(made))
        assert [(entry.path.removeprefix(str(made)), entry.type) for entry in found] == [
            ("/deep", "folder"),
            ("/deep/numbers", "file"),
            ("/empty", "folder"),
        ]
        assert await task.list_folder(str(made / "empty")) == []
        data = (made / "deep/numbers").read_bytes()
        async with await task.get_artifact(str(made / "deep/numbers")) as file:
            assert (file.size, stat.S_IMODE(file.mode)) == (len(data), 0o600)
            kept = tmp_path / "kept"
            await file.save(kept)
            assert file.sha256 == hashlib.sha256(data).hexdigest()
        assert kept.read_bytes() == data
        for ask, error in (
            (task.get_artifact(str(made / "no")), ArtifactNotFound),
            (task.get_artifact(str(made)), IsFolder),
            (task.list_folder(str(made / "no")), FolderNotFound),
        ):
            with pytest.raises(error):
                await ask
        await task.close()
        with pytest.raises(ResourceConflict, match="closed"):
            await task.list_folder(str(made))

    hosted(body)


def test_shell_beside_a_task_outlives_it_and_ends_with_its_close(hosted: Hosted) -> None:
    async def body(host: PluginHost) -> None:
        task = await host.tasks.run("worker", ["true"])
        shell = await task.open_shell(tty=False)
        viewer = await shell.attach()
        assert (await task.result()).success
        await shell.write(b"echo $((6*7)); exec cat\n")
        assert (await anext(viewer)).data == b"42\n"  # type: ignore[union-attr]
        await task.close()
        exit = await shell.wait()
        assert exit.signal or exit.code
        ended = await host.tasks.run("worker", ["true"])
        quick = await ended.open_shell(["sh", "-c", "exit 4"])
        assert (await quick.wait()).code == 4

    hosted(body)


def test_shell_carries_every_byte_on_both_of_its_outputs(hosted: Hosted) -> None:
    async def body(host: PluginHost) -> None:
        async with await host.tasks.run("worker", ["true"]) as task:
            for command, stream, size in (
                ("cat", "stdout", 42 * MIB + 7),
                ("cat >&2", "stderr", 4 * MIB + 37),
            ):
                shell = await task.open_shell(sh(command), tty=False)
                data = os.urandom(MIB + 7) * (size // MIB)
                data = data[:size].ljust(size, b"x")
                viewer = await shell.attach()
                writing = asyncio.create_task(_feed(shell, data))
                digest = hashlib.sha256()
                async for item in viewer:
                    assert isinstance(item, Output)
                    assert item.stream == stream
                    digest.update(item.data)
                await writing
                assert digest.digest() == hashlib.sha256(data).digest()
            terminal = await task.open_shell()
            await terminal.write(b"exit 0\n")  # and its input stays open
            assert (await terminal.wait()).code == 0

    hosted(body)


async def _feed(shell: Session, data: bytes) -> None:
    await shell.write(data)
    await shell.close_stdin()


def test_big_file_takes_little_memory_on_both_sides(hosted: Hosted, tmp_path: Path) -> None:
    async def body(host: PluginHost) -> None:
        big = tmp_path / "big"
        with big.open("wb") as file:
            file.write(os.urandom(5 * MIB))
            file.truncate(64 * MIB)
        async with await host.tasks.run("worker", ["true"]) as task:
            async with await task.get_artifact(str(big)) as artifact:
                await artifact.read(1)  # what it loads, it has loaded
            pid = await host.call("worker", "pid")
            before, most, count = _peak(pid), 0, 0
            async with await task.get_artifact(str(big)) as artifact:
                source: Any = artifact._source
                async for data in artifact:
                    most = max(most, sum(map(len, source._waiting)))
                    count += len(data)
            assert count == 64 * MIB
            assert most <= MIB
            assert _peak(pid) - before < 8 * MIB

    hosted(body)


def _peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_reload_leaves_tasks_to_the_version_that_has_them(hosted: Hosted, wait_until: WaitUntil) -> None:
    async def body(host: PluginHost) -> None:
        old = await host.call("worker", "pid")
        task = await host.tasks.run("worker", sh("echo up; read line; echo $line"))
        await until_running(task, b"up")
        await host.reload("worker")
        new = await host.tasks.run("worker", ["true"])
        assert (await new.result()).success
        assert await host.call("worker", "pid") != old
        assert task.state == "running"
        await task.close()
        await wait_until.aio(lambda: not Path(f"/proc/{old}").exists())
        await new.close()

    hosted(body)


def test_death_of_the_plugin_is_told_to_all_who_wait_for_it(hosted: Hosted) -> None:
    async def body(host: PluginHost) -> None:
        pid = await host.call("worker", "pid")
        running = [await host.tasks.run("worker", sh("echo up; sleep 1000")) for _ in range(3)]
        await asyncio.gather(*(until_running(task, b"up") for task in running))
        waiting = await host.tasks.run("worker", ["true"])
        shell = await running[0].open_shell()
        assert await host.sessions() == [shell]
        assert waiting.state == "pending"
        os.kill(pid, signal.SIGKILL)
        for task in (*running, waiting):
            with pytest.raises(TaskLost, match="SIGKILL") as caught:
                await task.result()
            assert caught.value.report is not None
            assert caught.value.report.plugin == "worker"
            assert caught.value.report.tasks == tuple(sorted(one.id for one in running))
        with pytest.raises(PluginDied):
            await shell.wait()
        with pytest.raises(TaskLost):
            await log_of(running[0])

    hosted(body)


def test_end_of_the_host_ends_tasks_and_what_they_run(run: Run, folder: Path) -> None:
    async def body() -> None:
        async with stage("worker", dirs=[folder]) as host:
            task = await host.tasks.run("worker", sh("echo up; sleep 1000"))
            await until_running(task, b"up")
        assert task.is_over
        try:
            assert not (await task.result()).success
        except TaskLost:
            pass

    run(body())


def test_results_of_a_plugin_that_reports_by_itself(
    run: Run, folder: Path, logged: pytest.LogCaptureFixture, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with stage("bare", "other", dirs=[folder]) as host:
            tasks = [await host.tasks.run("bare", [str(number)]) for number in range(3)]
            for number, task in enumerate(tasks):
                assert (await task.result()).success
                assert await log_of(task) == str(number).encode()
            await wait_until.aio(lambda: logged.text.count("metadata.resource_conflict") == 3)
            with pytest.raises(NoSuchEndPoint, match="takes no tasks"):
                await host.tasks.run("other", ["true"])

    run(body())


def test_plugin_that_waits_for_tasks_is_idle_and_one_with_a_task_is_not(
    run: Run, folder: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with stage("lazy", dirs=[folder]) as host:
            task = await host.tasks.run("lazy", ["true"])
            assert (await task.result()).success
            instance: Any = host._supervisors["lazy"]._instance
            await wait_until.aio(lambda: instance.tasks.held == 3)
            assert instance.is_busy
            await task.close()
            assert not instance.is_busy
            await wait_until.aio(lambda: host.plugins["lazy"].state is State.IDLE)

    run(body())
