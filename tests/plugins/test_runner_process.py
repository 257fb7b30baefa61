"""The runner plugin through a real host: tasks to their ends, and what they made."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import Configuration, Output, PluginHost, Session
from plugin_host.configuration import PluginConfiguration
from plugin_host.errors import (
    ArtifactNotFound,
    FolderNotFound,
    IsFolder,
    OutsideRoots,
    TaskLost,
)
from plugin_host.reconfiguration import reconfigure
from plugin_host.state import State
from plugin_host.task.task import Task
from tests.otheruser import needs_root
from tests.run import Run
from tests.stage import link_of

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


@asynccontextmanager
async def runner(settings: dict[str, Any] | None = None) -> AsyncIterator[PluginHost]:
    """A host with this plugin alone."""
    config = Configuration(plugins={"runner": PluginConfiguration(settings=settings or {})})
    async with PluginHost(
        plugin_dirs=[PLUGINS], entry_points=False, only=["runner"], config=config
    ) as host:
        assert host.plugins["runner"].state is State.READY, host.plugins["runner"].error
        yield host


async def log_of(task: Task) -> bytes:
    return b"".join([piece async for piece in task.log()])


async def sh(host: PluginHost, script: str, **options: Any) -> Task:
    return await host.tasks.run("runner", ["sh", "-c", script], **({"tty": False} | options))


def test_success_failure_and_what_could_not_start(run: Run) -> None:
    async def body() -> None:
        async with runner() as host:
            good = await sh(host, "echo hello; echo $GREETING", env={"GREETING": "hi"})
            assert await log_of(good) == b"hello\nhi\n"
            result = await good.result()
            assert (result.success, result.code, result.signal) == (True, 0, None)
            assert result.started is not None

            bad = await sh(host, "echo oh >&2; exit 7")
            assert await log_of(bad) == b"oh\n"
            result = await bad.result()
            assert (result.success, result.code, result.reason) == (False, 7, "exited with status 7")

            struck = await (await sh(host, "kill -SEGV $$")).result()
            assert (struck.success, struck.code, struck.signal) == (False, None, "SIGSEGV")

            missing = await host.tasks.run("runner", ["no-such-program"])
            result = await missing.result()
            assert (result.success, result.code) == (False, 127)
            assert "'no-such-program'" in result.reason
            assert await log_of(missing) == b""

    run(body())


@pytest.mark.edges
def test_task_has_a_terminal_of_the_size_it_wants(run: Run) -> None:
    async def body() -> None:
        async with runner() as host:
            task = await sh(host, "tty; stty size; echo $TERM", tty=True, rows=11, cols=33)
            name, size, term, _ = (await log_of(task)).split(b"\r\n")
            assert name.startswith(b"/dev/")
            assert size == b"11 33"
            assert term not in (b"", b"dumb")

    run(body())


@pytest.mark.edges
@pytest.mark.parametrize("tty", [False, True])
def test_log_is_live(run: Run, tmp_path: Path, tty: bool) -> None:
    """The task goes on only once the host has seen its first line."""

    async def body() -> None:
        go = tmp_path / "go"
        os.mkfifo(go)
        async with runner() as host:
            task = await sh(host, f"echo first; read line <{go}; echo $line", tty=tty)
            log = task.log()
            seen = b""
            while b"first" not in seen:
                seen += await anext(log)
            assert b"second" not in seen
            await asyncio.to_thread(go.write_text, "second\n")
            async for piece in log:
                seen += piece
            assert seen.split() == [b"first", b"second"]
            assert (await task.result()).success

    run(body())


@pytest.mark.edges
def test_log_of_megabytes_arrives_whole_before_the_result(run: Run) -> None:
    async def body() -> None:
        async with runner() as host:
            task = await sh(host, "head -c 20000003 /dev/zero; echo end")
            log = await log_of(task)
            assert len(log) == 20_000_007
            assert log.endswith(b"\0end\n")
            assert (await task.result()).success

    run(body())


@pytest.mark.edges
def test_killed_task_is_failed(run: Run) -> None:
    async def body() -> None:
        async with runner() as host:
            task = await sh(host, "sleep 600 & echo $!; wait")
            child = int(await anext(task.log()))
            assert await task.kill() == "killed"
            result = await task.result()
            assert (result.success, result.signal) == (False, "SIGTERM")
            assert "the host ended the task" in result.reason
            assert not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie"
            assert await task.kill() == "ended"

            stubborn = await sh(host, "trap '' TERM; echo up; while :; do sleep 0.1; done")
            await anext(stubborn.log())
            assert await stubborn.kill(grace=0.1) == "killed"
            assert (await stubborn.result()).signal == "SIGKILL"

            late = await sh(host, "sleep 600", timeout=0.2)
            assert (await late.result()).timed_out

    run(body())


@pytest.mark.edges
def test_kill_behind_the_order_never_misses(run: Run) -> None:
    """Whether the task was taken, had begun or had not: it ends, and nothing of it stays."""

    async def body() -> None:
        async with runner({"at_once": 4}) as host:
            tasks = [await sh(host, "exec sleep 600") for _ in range(12)]
            for number, task in enumerate(tasks):
                await asyncio.sleep(0.003 * (number % 4))
                assert await task.kill() in ("killed", "remembered")
            for task in tasks:
                assert not (await task.result()).success

    run(body())


@pytest.mark.edges
def test_what_is_left_in_the_background_ends_when_the_task_is_closed(run: Run) -> None:
    async def body() -> None:
        async with runner() as host:
            task = await sh(host, "sleep 600 >/dev/null 2>&1 & echo $!")
            child = psutil.Process(int(await log_of(task)))
            assert (await task.result()).success
            assert child.is_running()
            await task.close()
            await asyncio.to_thread(child.wait, 10)

    run(body())


def test_host_asks_for_files_and_folders(run: Run, tmp_path: Path) -> None:
    """An artifact, a missing one, a recursive list, a missing folder and an empty one."""

    async def body() -> None:
        async with runner() as host:
            task = await sh(
                host, "mkdir -p out/inner empty; echo one >out/a; echo two >out/inner/b", cwd=str(tmp_path)
            )
            assert (await task.result()).success
            async with await task.get_artifact(f"{tmp_path}/out/a") as artifact:
                assert artifact.size == 4
                assert await artifact.read() == b"one\n"
            entries = await task.list_folder(f"{tmp_path}/out", recursive=True)
            files = [entry.path for entry in entries if entry.type == "file"]
            assert files == [f"{tmp_path}/out/a", f"{tmp_path}/out/inner/b"]
            assert await task.list_folder(f"{tmp_path}/empty") == []
            with pytest.raises(ArtifactNotFound):
                await task.get_artifact(f"{tmp_path}/nothing")
            with pytest.raises(IsFolder):
                await task.get_artifact(f"{tmp_path}/out")
            with pytest.raises(FolderNotFound):
                await task.list_folder(f"{tmp_path}/nothing")

    run(body())


@pytest.mark.edges
def test_folder_of_thousands_is_listed_whole(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner() as host:
            task = await sh(host, "seq 1 2500 | xargs touch", cwd=str(tmp_path))
            await task.result()
            entries = await task.list_folder(str(tmp_path))
            assert len({entry.path for entry in entries}) == 2500

    run(body())


@pytest.mark.edges
def test_roots_hold_what_the_host_may_ask_for(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        (tmp_path / "out").mkdir()
        async with runner({"roots": [str(tmp_path / "out")], "workdir": str(tmp_path / "out")}) as host:
            task = await sh(host, "echo fine >report; ln -s /etc/passwd leak; ln -s .. up")
            await task.result()
            async with await task.get_artifact(f"{tmp_path}/out/report") as artifact:
                assert await artifact.read() == b"fine\n"
            for path in ("leak", "up/secret", "../secret"):
                with pytest.raises(OutsideRoots):
                    await task.get_artifact(f"{tmp_path}/out/{path}")
            with pytest.raises(OutsideRoots):
                await task.list_folder(f"{tmp_path}/out/up")

    run(body())


async def told(session: Session) -> dict[str, bytes]:
    """All that a shell puts out, as sums and sizes."""
    sums = {"stdout": hashlib.sha256(), "stderr": hashlib.sha256()}
    sizes = dict.fromkeys(sums, 0)
    async with await session.attach() as viewer:
        async for item in viewer:
            assert isinstance(item, Output)
            sums[item.stream].update(item.data)
            sizes[item.stream] += len(item.data)
    return {name: b"%d %s" % (sizes[name], sums[name].hexdigest().encode()) for name in sums}


def expected(data: bytes) -> bytes:
    return b"%d %s" % (len(data), hashlib.sha256(data).hexdigest().encode())


@pytest.mark.deadline(60)
def test_shells_carry_every_byte(run: Run, tmp_path: Path) -> None:
    """hello over stdin; 42 MiB + 7 bytes through stdout, 4 MiB + 37 through stderr; `exit 0`, typed."""

    async def body() -> None:
        piece = os.urandom(1024 * 1024 + 1)
        out = (piece * 42)[: 42 * 1024 * 1024 + 7]
        err = (piece * 5)[: 4 * 1024 * 1024 + 37]
        (tmp_path / "out").write_bytes(out)
        (tmp_path / "err").write_bytes(err)
        async with runner() as host:
            task = await sh(host, "true")
            await task.result()

            hello = await task.open_shell(["cat"], tty=False)
            await hello.write(b"hello")
            await hello.close_stdin()
            assert (await told(hello))["stdout"] == expected(b"hello")
            assert (await hello.wait()).code == 0

            large = await task.open_shell(["cat", f"{tmp_path}/out"], tty=False)
            assert (await told(large))["stdout"] == expected(out)
            other = await task.open_shell(["sh", "-c", f"cat {tmp_path}/err >&2"], tty=False)
            assert (await told(other))["stderr"] == expected(err)

            terminal = await task.open_shell(tty=True)  # the default shell, whose input stays open
            await terminal.write(b"exit 0\n")
            assert (await terminal.wait()).code == 0

            lasting = await task.open_shell(["sleep", "600"], tty=False)
            await task.close()
            with pytest.raises(Exception, match="session"):
                await lasting.write(b"x")

    run(body())


@pytest.mark.edges
def test_shell_that_cannot_start_leaves_nothing_to_resize_or_kill(run: Run) -> None:
    async def body() -> None:
        async with runner() as host:
            task = await sh(host, "true")
            for tty in (True, False):
                with pytest.raises(Exception, match="no-such-shell"):
                    await task.open_shell(["no-such-shell"], tty=tty)
            good = await task.open_shell(["sleep", "600"], tty=True, rows=5, cols=6)
            await good.resize(rows=7, cols=8)
            await good.close()
            assert host.plugins["runner"].state is State.READY

    run(body())


@pytest.mark.edges
@pytest.mark.deadline(90)
def test_artifact_of_a_gibibyte_takes_little_memory_on_both_sides(run: Run, tmp_path: Path) -> None:
    size = 1024**3
    with open(tmp_path / "large", "wb") as file:
        file.truncate(size)
        file.seek(size - 4)
        file.write(b"last")

    async def body() -> None:
        async with runner() as host:
            task = await sh(host, "true")
            await task.result()
            pid = host.plugins["runner"].pid
            assert pid is not None
            before = [psutil.Process(one).memory_info().rss for one in (pid, os.getpid())]
            count, last, most = 0, b"", [0, 0]
            async with await task.get_artifact(f"{tmp_path}/large") as artifact:
                assert artifact.size == size
                async for piece in artifact:
                    if count // 2**26 != (count + len(piece)) // 2**26:
                        for place, one in enumerate((pid, os.getpid())):
                            most[place] = max(most[place], psutil.Process(one).memory_info().rss)
                    count += len(piece)
                    last = piece
            assert count == size
            assert last.endswith(b"last")
            grown = [peak - start for peak, start in zip(most, before, strict=True)]
            assert max(grown) < 24 * 1024 * 1024, grown

    run(body())


@pytest.mark.edges
def test_artifact_that_nobody_reads_holds_nobody_up(run: Run, tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2**26)

    async def body() -> None:
        async with runner() as host:
            task = await sh(host, "true")
            await task.result()
            unread = await task.get_artifact(f"{tmp_path}/large")
            assert len(await unread.read(10)) == 10
            async with await task.get_artifact(f"{tmp_path}/large") as artifact:
                assert sum([len(piece) async for piece in artifact]) == 2**26
            unread.close()
            await task.list_folder(str(tmp_path))
            await task.close()

    run(body())


@pytest.mark.edges
def test_new_settings_hold_for_what_starts_then(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner() as host:
            first = await sh(host, f"echo up; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done")
            await anext(first.log())
            new = {"at_once": 2, "env": {"NEW": "yes"}}
            assert await reconfigure(link_of(host, "runner"), new, 5) == "applied"
            second = await sh(host, f"echo $NEW; touch {tmp_path}/go")
            assert await log_of(second) == b"yes\n"
            assert (await first.result()).success

    run(body())


@pytest.mark.edges
def test_plugin_that_stops_ends_its_tasks_and_says_so(run: Run) -> None:
    async def body() -> None:
        async with runner() as host:
            task = await sh(host, "echo $$; exec sleep 600")
            child = int(await anext(task.log()))
        assert not psutil.pid_exists(child)
        result = await task.result()
        assert not result.success
        assert result.signal == "SIGTERM"

    run(body())


@pytest.mark.edges
def test_plugin_that_dies_loses_its_task_and_its_shells(run: Run) -> None:
    async def body() -> None:
        async with runner() as host:
            task = await sh(host, "echo up; exec sleep 600")
            await anext(task.log())
            shell = await task.open_shell(["sleep", "600"], tty=False)
            pid = host.plugins["runner"].pid
            assert pid is not None
            os.kill(pid, 9)
            with pytest.raises(TaskLost):
                await task.result()
            with pytest.raises(Exception, match="runner"):
                await shell.wait()

    run(body())


@needs_root
@pytest.mark.edges
def test_task_of_another_user_sees_what_that_user_sees(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        secret = tmp_path / "secret"
        secret.write_text("secret")
        secret.chmod(0o600)
        async with runner({"user": "nobody"}) as host:
            task = await sh(host, f"id -un; cat {secret}")
            assert (await log_of(task)).startswith(b"nobody\n")
            assert not (await task.result()).success
            shell = await task.open_shell(["id", "-un"], tty=False)
            assert (await told(shell))["stdout"] == expected(b"nobody\n")

    run(body())
