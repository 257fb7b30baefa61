"""One plugin process from spawn to close, over both kinds of channel."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from plugin_host.dumpfile import DumpFile
from plugin_host.errors import SpawnError
from plugin_host.process import DUMP_FD, PluginProcess, ProcessSpec
from tests.host.child import ECHO, WAIT, Child, spec
from tests.run import Run
from tests.wait import WaitUntil

Kind = Literal["socketpair", "pipes"]

each_channel = pytest.mark.parametrize("channel", ["socketpair", "pipes"])


async def answer(process: PluginProcess, wait_until: WaitUntil) -> bytes:
    """The next bytes from the child, or nothing at its end of file."""
    buffer = bytearray(100)

    def look() -> list[int]:
        try:
            return [process.channel.recv_into(buffer)]
        except BlockingIOError:
            return []

    (size,) = await wait_until.aio(look)
    return bytes(buffer[:size])


@each_channel
def test_bytes_pass_through_the_child_and_end_of_file_ends_it(
    run: Run, wait_until: WaitUntil, channel: Kind
) -> None:
    async def body() -> None:
        process = Child(spec(ECHO, channel=channel)).process
        process.channel.send(b"hello")
        assert await answer(process, wait_until) == b"hello"
        process.close_stdin()
        assert await answer(process, wait_until) == b""
        status = await process.wait()
        assert status is not None
        assert status.code == 0
        process.close()

    run(body())


@each_channel
def test_child_leads_a_session_and_holds_no_descriptor_of_the_host(
    run: Run, wait_until: WaitUntil, channel: Kind
) -> None:
    async def body() -> None:
        secret = os.open("/etc/passwd", os.O_RDONLY)
        os.set_inheritable(secret, True)  # even what another part of the program left open
        code = """
import os
held = ",".join(sorted(os.listdir("/proc/self/fd")))
os.write(2, f"{os.getsid(0)} {held}\\n".encode())
"""
        child = Child(spec(code, channel=channel))
        await child.process.wait()
        session, descriptors = child.lines[0].split()
        assert int(session) == child.process.pid
        assert descriptors.split(",")[:3] == ["0", "1", "2"]
        assert len(descriptors.split(",")) == 4  # the fourth is that of the listing
        child.process.close()
        os.close(secret)

    run(body())


def test_process_that_has_begun_to_end_is_waited_for_and_one_that_runs_on_is_not(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        process = Child(spec(WAIT)).process
        assert await process.wait_for_end(0.0) is None
        monkeypatch.setattr("plugin_host.process.is_ending", lambda pid: pid == process.pid)
        ending = asyncio.ensure_future(process.wait_for_end(0.0))
        await asyncio.sleep(0)
        process.send_signal(signal.SIGKILL)
        status = await ending
        assert status is not None
        assert status.signal == signal.SIGKILL
        process.close()

    run(body())


def test_environment_and_folder_are_those_of_the_spec(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        what = replace(spec(""), argv=("/bin/sh", "-c", "pwd >&2; env >&2"), cwd=str(tmp_path))
        child = Child(replace(what, env={"ONLY": "this"}))
        await child.process.wait()
        assert child.lines[0] == str(tmp_path)
        assert {line.split("=")[0] for line in child.lines[1:]} <= {"ONLY", "PWD", "SHLVL", "_", "OLDPWD"}
        child.process.close()

    run(body())


def test_last_lines_are_there_once_the_exit_is_known(run: Run) -> None:
    async def body() -> None:
        code = "import sys; sys.stderr.write('x\\n' * 5000 + 'the reason'); raise SystemExit(3)"
        child = Child(spec(code))
        status = await child.process.exited
        assert child.process.stderr.tail[-1] == "the reason"
        assert len(child.lines) == 5001
        assert status.describe() == "exited with status 3"
        assert child.process.status == status
        child.process.close()

    run(body())


def test_exit_is_noticed_though_a_grandchild_holds_every_pipe(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        code = """
import os, time
pid = os.fork()
if not pid:
    time.sleep(60)
os.write(2, b"grandchild %d\\n" % pid)
os._exit(0)
"""
        child = Child(spec(code, channel="pipes"))
        status = await child.process.wait(timeout=5)
        assert status is not None
        assert not child.process.stderr.closed
        os.kill(child.number("grandchild")(), signal.SIGKILL)
        await wait_until.aio(lambda: child.process.stderr.closed)
        child.process.close()

    run(body())


def test_wait_gives_up_after_its_time_and_harms_nothing(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = Child(spec(WAIT))
        await wait_until.aio(child.said("ready"))
        assert await child.process.wait(timeout=0.01) is None
        assert await child.process.wait(timeout=0) is None
        waiter = asyncio.ensure_future(child.process.wait())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert child.process.status is None
        assert child.process.ended is None
        assert "running" in repr(child.process)
        assert child.process.send_signal(signal.SIGTERM)
        status = await child.process.wait()
        assert status is not None
        assert status.by_us
        assert "SIGTERM" in repr(child.process)
        assert not child.process.send_signal(signal.SIGTERM)
        assert child.process.started < (child.process.ended or 0) <= time.monotonic()
        child.process.close()

    run(body())


def test_group_signal_and_note_reach_the_status(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = Child(spec(WAIT))
        await wait_until.aio(child.said("ready"))
        assert child.process.send_group_signal(signal.SIGKILL)
        assert (await child.process.exited).by_us
        child.process.close()
        other = Child(spec(WAIT))
        await wait_until.aio(other.said("ready"))
        other.process.note_signalled(signal.SIGTERM)
        os.kill(other.process.pid, signal.SIGTERM)
        assert (await other.process.exited).by_us
        other.process.close()

    run(body())


def test_identity_is_known_even_of_a_child_that_ended_at_once(run: Run) -> None:
    async def body() -> None:
        processes = [Child(spec("")).process for _ in range(5)]
        for process in processes:
            assert process.identity.pid == process.pid
            assert process.identity.started > 0
            await process.wait()
            process.close()

    run(body())


def test_closing_a_running_process_kills_and_reaps_it(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        child = Child(spec(WAIT))
        await wait_until.aio(child.said("ready"))
        child.process.close()
        child.process.close()
        status = await child.process.wait(timeout=5)
        assert status is not None
        assert (status.signal, status.by_us) == (signal.SIGKILL, True)

    run(body())


@each_channel
def test_closing_takes_what_others_registered_off_the_loop(run: Run, channel: Kind) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        process = Child(spec(ECHO, channel=channel)).process
        numbers = {process.channel.read_fd, process.channel.write_fd}
        loop.add_reader(process.channel.read_fd, lambda: None)
        loop.add_writer(process.channel.write_fd, lambda: None)
        process.close_stdin()
        await process.wait(timeout=5)
        process.close()
        assert not [fd for fd in numbers if loop.remove_reader(fd) or loop.remove_writer(fd)]

    run(body())


def test_process_closed_after_its_loop_leaves_nothing(run: Run) -> None:
    async def body() -> PluginProcess:
        process = Child(spec("")).process
        await process.wait()
        return process

    run(body()).close()


def test_failed_spawn_leaves_nothing_open_and_says_why(run: Run) -> None:
    async def body() -> None:
        for channel in ("socketpair", "pipes"):
            what = ProcessSpec(["/no/such/python"], None, {}, channel)
            with pytest.raises(SpawnError, match="'/no/such/python' does not exist") as caught:
                Child(what)
            assert caught.value.file == "/no/such/python"
            assert isinstance(caught.value.__cause__, FileNotFoundError)
        with pytest.raises(SpawnError, match="NUL"):
            Child(ProcessSpec(["a\0b"], None, {}))

    run(body())


@pytest.mark.parametrize("spare", range(8))
def test_running_out_of_descriptors_at_any_step_is_explained(run: Run, spare: int) -> None:
    async def body() -> None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        what = spec("", channel="pipes")
        first_free = os.dup(0)
        os.close(first_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + spare, limit[1]))
        try:
            with pytest.raises(SpawnError, match="may open no more files") as caught:
                Child(what)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        assert "ulimit -n" in (caught.value.hint or "")

    run(body())


WRITE_DUMP = "import os, sys\nfd = int(sys.argv[1])\nos.write(fd, b'stacks') if fd >= 0 else sys.exit(7)"


def test_program_that_is_told_a_descriptor_for_stacks_writes_to_the_hosts_file(run: Run) -> None:
    async def body() -> None:
        process = Child(spec(WRITE_DUMP, DUMP_FD)).process
        status = await process.wait()
        assert status is not None
        assert status.code == 0
        assert process.dump is not None
        assert process.dump.read() == "stacks"
        process.close()
        assert process.dump.fd == -1

    run(body())


def test_program_that_is_told_nothing_has_no_such_file(run: Run) -> None:
    async def body() -> None:
        process = Child(spec("")).process
        assert process.dump is None
        await process.wait()
        process.close()

    run(body())


def test_program_runs_without_the_file_where_there_can_be_none(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        monkeypatch.setattr(DumpFile, "__init__", refuse)
        process = Child(spec(WRITE_DUMP, DUMP_FD)).process
        assert process.dump is None
        status = await process.wait()
        assert status is not None
        assert status.code == 7
        process.close()

    def refuse(self: DumpFile) -> None:
        raise OSError

    run(body())


def test_failed_spawn_closes_the_file_for_stacks(run: Run) -> None:
    async def body() -> None:
        with pytest.raises(SpawnError, match="'/no/such/python' does not exist"):
            Child(ProcessSpec(["/no/such/python", DUMP_FD], None, {}))
        # The word for the descriptor is not what is at fault.
        with pytest.raises(SpawnError, match="argument 2"):
            Child(ProcessSpec(["/bin/true", DUMP_FD, "a\0b"], None, {}))

    run(body())


def test_spec_does_not_show_the_environment() -> None:
    assert "secret" not in repr(ProcessSpec(["x"], None, {"KEY": "secret"}))


@pytest.mark.edges
@pytest.mark.deadline(60)
def test_hundred_at_once_need_no_thread(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        threads = threading.active_count()
        children = [Child(spec(ECHO, channel="socketpair")) for _ in range(100)]
        for child in children:
            child.process.channel.send(b"hello")
        for child in children:
            assert await answer(child.process, wait_until) == b"hello"
            child.process.close_stdin()
        assert threading.active_count() == threads
        statuses = [await child.process.wait() for child in children]
        assert all(status and status.ok for status in statuses)
        for child in children:
            child.process.close()

    run(body())
