"""Programs that run for an action: real processes, their output, and the end of all that they started."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

import plugin_host_sdk as sdk
from plugin_host_sdk import action
from plugin_host_sdk.action import ScriptResult, run_program
from plugin_host_sdk.testing import ActionBench, ActionRun
from tests.otheruser import NOBODY, as_nobody, needs_root
from tests.wait import WaitUntil

__all__ = ["as_nobody"]  # fixture

Begin = Callable[..., ActionRun]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begins an action that runs a program: words, or the text of a shell script."""
    plugin = sdk.Plugin("demo", version="1.0.0")
    asked: dict[str, dict[str, Any]] = {}

    @plugin.action("run_script")
    def run(ctx: sdk.Context, request: action.RunScript) -> ScriptResult:
        return run_program(ctx, **asked[request.name])

    with ActionBench(plugin) as bench:

        def start(program: str | list[str], *, window: int = 2**30, **options: Any) -> ActionRun:
            name = f"run {len(asked)}"
            argv = ["/bin/sh", "-c", program] if isinstance(program, str) else program
            asked[name] = {"argv": argv, **options}
            # Other tests run beside this one, and their programs carry their actions' ids.
            own_id = uuid4().hex
            return bench.trigger(action.RunScript(name=name, data=b""), window=window, id=own_id)

        yield start
    assert bench.sink.faults == []


def result_of(run: ActionRun) -> ScriptResult:
    result = run.result()
    assert isinstance(result, ScriptResult)
    return result


def descendants_of(run: ActionRun) -> list[psutil.Process]:
    """Whatever carries the mark of this action."""
    found = []
    for process in psutil.process_iter():
        try:
            is_of_it = process.environ().get("PLUGIN_HOST_ACTION", "").startswith(f"{run.id}:")
            if is_of_it and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


# ending by itself


def test_both_outputs_and_the_status_are_the_result(begin: Begin) -> None:
    run = begin("echo out; echo error >&2; exit 3")
    result = result_of(run)
    assert (result.success, result.code, result.signal) == (False, 3, None)
    assert (result.stdout, result.stderr) == (b"out\n", b"error\n")
    assert (run.stdout, run.stderr) == (b"out\n", b"error\n")
    assert (result.stdout_bytes, result.stderr_bytes, result.truncated) == (4, 6, False)
    assert result.reason == "exited with status 3"
    assert 0 < result.elapsed < 10


def test_status_zero_is_success(begin: Begin) -> None:
    assert result_of(begin(["true"])).success


def test_a_program_that_a_signal_ends_says_which(begin: Begin) -> None:
    result = result_of(begin("kill -USR1 $$"))
    assert (result.success, result.code, result.signal) == (False, None, "SIGUSR1")


def test_output_comes_while_it_runs(begin: Begin) -> None:
    run = begin("echo first; read line </dev/null; sleep 600")
    run.wait_for_stdout(b"first\n")
    assert run.endings == []
    run.cancel(grace=0)
    run.result()


def test_all_output_of_a_fast_program_arrives_and_the_result_keeps_the_newest(begin: Begin) -> None:
    program = "head -c 5000007 /dev/zero; echo end; head -c 300037 /dev/zero >&2"
    run = begin(program, kept_bytes=100)
    result = result_of(run)
    assert (len(run.stdout), len(run.stderr)) == (5000011, 300037)
    assert (result.stdout_bytes, result.stderr_bytes, result.truncated) == (5000011, 300037, True)
    assert result.stdout == bytes(96) + b"end\n"
    assert len(result.stderr) == 100


def test_a_program_waits_while_nobody_reads(begin: Begin, tmp_path: Path) -> None:
    done = tmp_path / "done"
    run = begin(f"head -c 1000000 /dev/zero; touch {done}", window=1000)
    run.wait_for_stdout(bytes(1000))
    assert not done.exists()
    run.credit(2_000_000)
    assert result_of(run).stdout_bytes == 1_000_000
    assert done.exists()


def test_what_is_left_running_does_not_hold_the_result(begin: Begin) -> None:
    run = begin("sleep 600 & echo $!")
    result = result_of(run)
    assert result.code == 0
    left = psutil.Process(int(result.stdout))
    assert left.is_running()
    left.kill()
    left.wait(5)


def test_a_writer_that_stays_behind_does_not_lengthen_the_output(begin: Begin) -> None:
    run = begin("yes & echo $! >&2; exit 0")
    result = result_of(run)
    left = psutil.Process(int(result.stderr))
    left.kill()
    left.wait(5)
    assert result.success


def test_its_input_is_empty(begin: Begin) -> None:
    assert result_of(begin(["cat"])).success


def test_it_leads_a_session_of_its_own(begin: Begin) -> None:
    fields = result_of(begin("cat /proc/$$/stat")).stdout.rpartition(b")")[2].split()
    group, session, terminal = fields[2], fields[3], fields[4]
    assert group == session != str(os.getsid(0)).encode()
    assert terminal == b"0"


def test_no_descriptor_of_the_plugin_is_open_in_it(begin: Begin) -> None:
    with open("/dev/null") as file:
        os.set_inheritable(file.fileno(), True)
        names = result_of(begin(["ls", "/proc/self/fd"])).stdout.split()
    assert set(names) <= {b"0", b"1", b"2", b"3"}  # the last is that of `ls`


# where, and with which variables


def test_the_environment_is_the_one_that_is_given_and_the_marks(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUGIN_HOST_RUN", "this-run")
    run = begin(["/usr/bin/env"], env={"A": "b"})
    names = dict(line.split("=", 1) for line in result_of(run).stdout.decode().splitlines())
    assert names.pop("PLUGIN_HOST_ACTION").startswith(f"{run.id}:")
    assert names == {"A": "b", "PLUGIN_HOST_RUN": "this-run"}


def test_without_one_it_is_the_plugins(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLOUR", "red")
    assert b"COLOUR=red\n" in result_of(begin(["/usr/bin/env"])).stdout


def test_it_starts_in_its_folder(begin: Begin, tmp_path: Path) -> None:
    assert result_of(begin(["pwd"], cwd=str(tmp_path))).stdout == f"{tmp_path}\n".encode()


# what cannot start


@pytest.mark.parametrize(
    ("argv", "options", "words"),
    [
        (["/no/such"], {}, "there is no file '/no/such'"),
        (["no-such-program"], {}, "not in the session's PATH"),
        (["/etc/passwd"], {}, "not executable"),
        (["/etc"], {}, "is a directory"),
        (["true"], {"cwd": "/no/such"}, "cannot start in '/no/such'"),
        (["true", "a\0b"], {}, "null character"),
        (["true"], {"env": {"A=B": "c"}}, "no name of a variable"),
        ([], {}, "no command"),
    ],
)
def test_why_a_program_could_not_start_is_in_the_result(
    begin: Begin, argv: list[str], options: dict[str, Any], words: str
) -> None:
    result = result_of(begin(argv, **options))
    assert words in result.exec_error
    assert (result.success, result.code, result.signal) == (False, None, None)


def test_a_command_that_is_one_text_is_refused(begin: Begin) -> None:
    with pytest.raises(action.ActionFailed, match="a list of texts, not the text 'echo hello'"):
        begin([], argv="echo hello").result()


def test_a_script_with_an_interpreter_that_is_not_there(begin: Begin, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o700)
    assert "asks for interpreter '/no/such/interpreter'" in result_of(begin([str(script)])).exec_error


def test_a_file_that_is_still_being_written_is_waited_for(begin: Begin, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho here\n")
    script.chmod(0o700)
    file = script.open("a")
    threading.Timer(0.1, file.close).start()
    assert result_of(begin([str(script)])).stdout == b"here\n"


# being ended


def test_time_runs_out(begin: Begin) -> None:
    result = result_of(begin(["sleep", "600"], timeout=0.05))
    assert (result.success, result.signal, result.timed_out) == (False, "SIGTERM", True)
    assert result.reason.startswith("not done within 0.05 s; killed by SIGTERM")


def test_a_cancelled_program_may_clean_up(begin: Begin) -> None:
    run = begin("trap 'echo bye; exit 9' TERM; echo up; sleep 600 & wait")
    run.wait_for_stdout(b"up\n")
    assert run.cancel("not needed") == "cancelling"
    result = result_of(run)
    assert (result.success, result.code, result.stdout) == (False, 9, b"up\nbye\n")
    assert not result.timed_out
    assert result.reason == "cancelled: not needed; exited with status 9"
    assert descendants_of(run) == []


def test_a_program_that_ignores_term_is_killed_after_the_grace(begin: Begin) -> None:
    run = begin("trap '' TERM; echo up; while :; do sleep 0.05; done")
    run.wait_for_stdout(b"up\n")
    began = time.monotonic()
    run.cancel(grace=0.2)
    result = result_of(run)
    assert time.monotonic() - began >= 0.2
    assert result.signal == "SIGKILL"
    assert descendants_of(run) == []


def test_more_haste_the_second_time(begin: Begin) -> None:
    run = begin("trap '' TERM; echo up; while :; do sleep 0.05; done")
    run.wait_for_stdout(b"up\n")
    run.cancel(grace=600)
    run.cancel(grace=0)
    assert result_of(run).signal == "SIGKILL"


def test_all_that_it_started_ends_with_it(begin: Begin) -> None:
    # One in the background, one in a session of its own, one whose parent has gone, one that is stopped.
    run = begin(
        "sleep 600 & setsid sleep 600 & (setsid sh -c 'sleep 600 & exec sleep 600' &) ; "
        "sh -c 'kill -STOP $$; sleep 600' & sleep 0.1; echo up; wait"
    )
    run.wait_for_stdout(b"up\n")
    assert len(descendants_of(run)) >= 6
    run.cancel(grace=1)
    run.result()
    assert descendants_of(run) == []


def test_a_child_that_ignores_term_is_killed_when_its_parent_has_gone(begin: Begin) -> None:
    run = begin("sh -c 'trap \"\" TERM; echo up; while :; do sleep 0.05; done' & wait")
    run.wait_for_stdout(b"up\n")
    run.cancel(grace=0.1)
    assert result_of(run).signal == "SIGTERM"
    assert descendants_of(run) == []


def test_a_cancelled_flood_that_nobody_reads_ends(begin: Begin, wait_until: WaitUntil) -> None:
    run = begin(["yes"], window=100)
    run.wait_for_stdout(b"y\n")
    run.cancel(grace=0)
    result = result_of(run)
    assert result.signal in ("SIGKILL", "SIGTERM")
    assert len(run.stdout) == 100
    assert run.endings[0].totals.stdout == result.stdout_bytes  # a gap for what was not wanted


def test_cancelling_after_the_end_is_no_matter(begin: Begin) -> None:
    run = begin(["true"])
    run.result()
    assert run.cancel() == "not_running"
    assert len(run.endings) == 1


# as another user


@needs_root
def test_another_user_has_that_users_groups_alone(begin: Begin) -> None:
    identity = action.Identity.to_run(action.RunAs(uid=NOBODY.pw_uid))
    result = result_of(begin("id -u; id -g; id -G", identity=identity, cwd="/"))
    assert result.stdout.split() == [
        str(number).encode() for number in (NOBODY.pw_uid, NOBODY.pw_gid, NOBODY.pw_gid)
    ]


@needs_root
def test_a_group_alone_keeps_the_user(begin: Begin) -> None:
    identity = action.Identity.to_run(action.RunAs(gid=12345))
    assert result_of(begin("id -u; id -G", identity=identity)).stdout.split() == [b"0", b"12345"]


@needs_root
def test_another_user_is_ended_as_well(begin: Begin) -> None:
    identity = action.Identity.to_run(action.RunAs(uid=NOBODY.pw_uid))
    run = begin("trap '' TERM; echo up; while :; do sleep 0.05; done", identity=identity, cwd="/")
    run.wait_for_stdout(b"up\n")
    run.cancel(grace=0.05)
    assert result_of(run).signal == "SIGKILL"
    assert descendants_of(run) == []


def test_ones_own_user_is_nobody_else() -> None:
    own = action.RunAs(uid=os.geteuid(), gid=os.getegid())
    assert action.Identity.of(own) is None
    assert action.Identity.to_run(own) is None
    assert action.Identity.of(action.RunAs()) is None


def test_a_user_that_is_not_there_needs_a_group() -> None:
    with pytest.raises(action.ActionInvalid, match="no user 54321"):
        action.Identity.of(action.RunAs(uid=54321))
    assert action.Identity.of(action.RunAs(uid=54321, gid=1)) == (54321, 1, "", "")


def test_without_privilege_another_user_is_refused(as_nobody: None) -> None:
    for ask in (action.Identity.to_run, action.Identity.to_own):
        with pytest.raises(action.ActionNotPrivileged, match="takes root, and the plugin runs as uid"):
            ask(action.RunAs(uid=0))
    with pytest.raises(action.ActionNotPrivileged):
        action.Identity.to_run(action.RunAs(gid=0))


def test_waiting_for_a_silent_program_takes_no_processor(begin: Begin) -> None:
    run = begin("echo up; sleep 0.5")
    run.wait_for_stdout(b"up\n")
    before = time.process_time()
    assert result_of(run).success
    assert time.process_time() - before < 0.2


def test_timeout_may_be_longer_than_a_selector_waits(begin: Begin) -> None:
    for timeout in (1e7, 1e300, float("inf")):
        assert result_of(begin("exit 3", timeout=timeout)).code == 3
