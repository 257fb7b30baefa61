"""A host that is killed with SIGKILL takes its plugins with it, whatever they do, and nobody else."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.session import DESK
from tests.stage import PERSONALITIES, write_plugin
from tests.victim import CGROUP_ROOTS, SCRIPT, Victim, is_there, marked
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

GONE_WITHIN_S = 2.0

Gone = Callable[[Victim], float]

LISTENS_WITHIN_S = 1.5
"""What a plugin that listens does by itself: it gives its work half a second."""

CODE = f"""{DESK}
    import subprocess

    @plugin.command("spawn")
    def spawn(ctx, argv):
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).pid

    @plugin.command("hold_interpreter")
    def hold_interpreter(ctx, path):
        open(path, "w").close()
        sum(range(10**14))
"""


STUBBORN = "trap '' HUP TERM INT; while :; do sleep 0.2; done"


@pytest.fixture
def gone(record_property: Callable[[str, object], None], wait_until: WaitUntil) -> Gone:
    """Kills a host and holds it to the time in which all that was its own must be gone; then the keeper."""

    def kill(victim: Victim) -> float:
        __tracebackhide__ = True
        took = victim.seconds_until_gone(victim.kill())
        record_property("gone_s", round(took, 3))
        print(f"gone after {took:.3f} s")
        assert not victim.left(), f"{len(victim.left())} left"
        assert took < GONE_WITHIN_S
        wait_until(lambda: not is_there(victim.told["keeper"]))
        return took

    return kill


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_plugin(tmp_path, "doer", CODE)


def test_plugin_that_listens_goes_by_itself(gone: Gone) -> None:
    with Victim(["steady"]) as victim:
        assert victim.plugins_left() == set(victim.told["pids"])
        assert gone(victim) < 1.0


def test_deaf_plugin_is_killed(gone: Gone) -> None:
    with Victim(["ignores_term", "steady"]) as victim:
        assert gone(victim) > 0.4  # it had its time first


def test_stopped_plugin_is_killed(gone: Gone) -> None:
    with Victim(["steady"], code="os.kill(told['pids'][0], signal.SIGSTOP)") as victim:
        gone(victim)


def test_plugin_that_holds_the_interpreter_lock_is_killed(gone: Gone, folder: Path, tmp_path: Path) -> None:
    flag = tmp_path / "busy"
    code = f"""
    call = asyncio.ensure_future(host.call("doer", "hold_interpreter", {{"path": {str(flag)!r}}}))
    while not Path({str(flag)!r}).exists():
        await asyncio.sleep(0.01)
    """
    with Victim(["doer"], [folder], code) as victim:
        gone(victim)


def test_daemon_in_a_session_of_its_own_is_killed(gone: Gone) -> None:
    code = "told['others'] = [await host.call('forks_orphan', 'fork')]"
    with Victim(["forks_orphan"], code=code) as victim:
        (daemon,) = victim.told["others"]
        assert os.getsid(daemon) == daemon
        gone(victim)


def test_programs_of_sessions_are_ended(gone: Gone, folder: Path) -> None:
    code = f"""
    stubborn = ["sh", "-c", {STUBBORN!r}]
    sessions = [
        await host.exec("doer", argv, tty=tty, detached=True)
        for tty in (True, False) for argv in (["sleep", "600"], stubborn)
    ]
    told["others"] = [session.info.pid for session in sessions]
    """
    with Victim(["doer"], [folder], code) as victim:
        assert all(map(is_there, victim.told["others"]))
        assert len(victim.left()) >= 5  # these and the plugin
        gone(victim)


def test_program_that_cleared_its_environment_goes_with_a_plugin_that_is_gone_at_once(
    gone: Gone, folder: Path, wait_until: WaitUntil
) -> None:
    code = """
    argv = ["env", "-i", "sleep", "600"]
    told["others"] = [await host.call("doer", "spawn", {"argv": argv})]
    """
    with Victim(["doer"], [folder], code) as victim:
        wait_until(lambda: victim.told["others"][0] not in marked(victim.told["run"]))
        gone(victim)


def test_program_that_left_its_session_too_goes_with_the_plugin_that_is_its_parent(
    gone: Gone, folder: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    flag = tmp_path / "busy"
    code = f"""
    argv = ["env", "-i", "setsid", "sleep", "600"]
    told["others"] = [await host.call("doer", "spawn", {{"argv": argv}})]
    call = asyncio.ensure_future(host.call("doer", "hold_interpreter", {{"path": {str(flag)!r}}}))
    while not Path({str(flag)!r}).exists():
        await asyncio.sleep(0.01)
    """
    with Victim(["doer"], [folder], code) as victim:
        (program,) = victim.told["others"]
        wait_until(lambda: program not in marked(victim.told["run"]) and os.getsid(program) == program)
        gone(victim)


@pytest.mark.parametrize("root", CGROUP_ROOTS)
def test_daemon_without_mark_and_parent_is_killed_by_its_cgroup(
    gone: Gone, folder: Path, root: str, wait_until: WaitUntil
) -> None:
    cgroup, said = f"{root}/host-killed-test-{os.getpid()}", folder / "daemon"
    script = f"echo $$ >{cgroup}/cgroup.procs; env -i setsid -f sh -c 'echo $$ >{said}; exec sleep 600'"
    code = f"""
    os.mkdir({cgroup!r})
    host._keeper.tell_cgroup({cgroup!r})
    await host.call("doer", "spawn", {{"argv": ["sh", "-c", {script!r}]}})
    while not Path({str(said)!r}).exists() or not Path({str(said)!r}).read_text():
        await asyncio.sleep(0.01)
    told["others"] = [int(Path({str(said)!r}).read_text())]
    """
    with Victim(["doer"], [folder], code) as victim:
        assert victim.told["others"][0] not in marked(victim.told["run"])
        gone(victim)
        assert not os.path.exists(cgroup)


BOMB = """
import os, sys, time
end = time.monotonic() + 30  # should all else fail
for _ in range({chains}):
    if os.fork() == 0:
        if {leaves}:
            os.setsid()
        while time.monotonic() < end:
            if os.fork():
                os._exit(0)
        os._exit(0)
while time.monotonic() < end:
    time.sleep(1)
"""


@pytest.mark.parametrize("leaves", [False, True], ids=["one session", "many sessions"])
def test_fork_bomb_is_ended(gone: Gone, folder: Path, leaves: bool) -> None:
    argv = [sys.executable, "-S", "-c", BOMB.format(chains=6, leaves=leaves)]
    code = f"told['others'] = [await host.call('doer', 'spawn', {{'argv': {argv!r}}})]; time.sleep(0.3)"
    with Victim(["doer"], [folder], code) as victim:
        gone(victim)


def test_host_killed_in_the_midst_of_a_launch_leaves_nothing(gone: Gone, tmp_path: Path) -> None:
    flag = tmp_path / "importing"
    head = f"import time; open({str(flag)!r}, 'w').close(); time.sleep(600)"
    write_plugin(tmp_path, "endless", head=head)
    before = f"""
    async def tell_soon():
        while not Path({str(flag)!r}).exists():
            await asyncio.sleep(0.01)
        tell()
    telling = asyncio.ensure_future(tell_soon())
    """
    with Victim(["endless"], [tmp_path], before=before) as victim:
        assert marked(victim.told["run"])
        gone(victim)


def test_host_killed_before_its_keeper_is_up_leaves_nothing(gone: Gone) -> None:
    before = """
    host._keeper.start()
    os.kill(host._keeper.pid, signal.SIGSTOP)
    """
    with Victim(["ignores_term"], before=before) as victim:
        victim.kill()
        os.kill(victim.told["keeper"], signal.SIGCONT)
        gone(victim)


def test_forked_child_of_the_embedder_that_holds_every_descriptor_changes_nothing(gone: Gone) -> None:
    code = """
    told["child"] = os.fork()
    if told["child"] == 0:
        while True:
            signal.pause()
    """
    with Victim(["steady"], code=code) as victim:
        try:
            gone(victim)
            assert is_there(victim.told["child"])
        finally:
            os.kill(victim.told["child"], signal.SIGKILL)


def test_pipe_that_somebody_closed_changes_nothing(gone: Gone, wait_until: WaitUntil) -> None:
    with Victim(["ignores_term"], code="os.close(host._keeper._pipe)") as victim:
        keeper, (plugin,) = victim.told["keeper"], victim.told["pids"]
        wait_until(lambda: not os.path.lexists(f"/proc/{keeper}/fd/0"))
        assert is_there(keeper)
        assert is_there(plugin)
        gone(victim)


def test_signals_to_everybody_do_not_end_the_keeper(gone: Gone) -> None:
    with Victim(["ignores_term"]) as victim:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1):
            os.kill(victim.told["keeper"], number)
        gone(victim)


def test_keeper_that_was_killed_is_replaced(gone: Gone, wait_until: WaitUntil) -> None:
    code = """
    first = host._keeper.pid
    os.kill(first, signal.SIGKILL)
    while host._keeper.pid in (first, None):
        await asyncio.sleep(0.01)
    """
    with Victim(["ignores_term"], code=code) as victim:
        gone(victim)


def test_plugins_of_another_host_are_left_alone(gone: Gone) -> None:
    with Victim(["steady", "ignores_term"]) as one, Victim(["steady", "ignores_term"]) as other:
        gone(one)
        assert other.plugins_left() == set(other.told["pids"])
        assert is_there(other.told["keeper"])
        gone(other)


def test_host_inside_a_plugin_goes_with_the_outer_one(gone: Gone, folder: Path) -> None:
    flag = folder / "inner is ready"
    inner = [[str(PERSONALITIES)], ["ignores_term"]]
    argv = [
        sys.executable,
        "-c",
        SCRIPT % ("    pass", f"        open({str(flag)!r}, 'w')"),
        json.dumps(inner),
    ]
    code = f"""
    flag, argv = Path({str(flag)!r}), {argv!r}
    told["others"] = [await host.call("doer", "spawn", {{"argv": argv}})]
    while not flag.exists():
        await asyncio.sleep(0.01)
    """
    with Victim(["doer"], [folder], code) as victim:
        assert len(victim.plugins_left()) == 4  # two plugins, and the inner host with its keeper
        gone(victim)


def test_keeper_holds_nothing_of_the_hosts_and_is_nobodys_parent() -> None:
    with Victim(["steady"]) as victim:
        keeper = victim.told["keeper"]
        status = Path(f"/proc/{keeper}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        assert int(status[1]) == victim.pid
        assert os.getsid(keeper) == keeper
        assert os.readlink(f"/proc/{keeper}/cwd") == "/"
        assert os.readlink(f"/proc/{keeper}/fd/1") == os.readlink(f"/proc/{keeper}/fd/2") == "/dev/null"
        assert len(os.listdir(f"/proc/{keeper}/fd")) <= 4  # the pipe, twice null, a pidfd of the host
        assert not Path(f"/proc/{keeper}/task/{keeper}/children").read_text(encoding="ascii")


def test_reader_of_the_hosts_output_sees_its_end_at_once() -> None:
    """A pipeline `host | reader` does not wait for the keeper."""
    with Victim(["ignores_term"]) as victim:
        victim.kill()
        assert victim.stdout.read() == b""
        assert is_there(victim.told["keeper"])


# Without a keeper: what the plugin's own runtime does when its host is lost.


def test_idle_plugin_goes_at_once_without_a_keeper() -> None:
    with Victim(["steady"]) as victim:
        assert victim.seconds_until_gone(victim.kill_with_keeper()) < LISTENS_WITHIN_S


@pytest.mark.parametrize("command", ["sleep", "sleep_async"])
def test_running_handler_has_half_a_second_without_a_keeper(tmp_path: Path, command: str) -> None:
    handlers = """
    import asyncio, time

    @plugin.command("sleep")
    def sleep(ctx, path):
        open(path, "w").close()
        time.sleep(600)

    @plugin.command("sleep_async")
    async def sleep_async(ctx, path):
        open(path, "w").close()
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                pass
    """
    flag = tmp_path / "runs"
    code = f"""
    call = asyncio.ensure_future(host.call("sleeper", {command!r}, {{"path": {str(flag)!r}}}))
    while not Path({str(flag)!r}).exists():
        await asyncio.sleep(0.01)
    """
    with Victim(["sleeper"], [write_plugin(tmp_path, "sleeper", handlers)], code) as victim:
        took = victim.seconds_until_gone(victim.kill_with_keeper())
        assert 0.4 < took < LISTENS_WITHIN_S


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "terminal"])
@pytest.mark.parametrize("program", ["sleep 600", STUBBORN], ids=["ordinary", "stubborn"])
def test_programs_of_sessions_go_with_the_plugin_without_a_keeper(
    folder: Path, tty: bool, program: str
) -> None:
    code = f"""
    session = await host.exec("doer", ["sh", "-c", {program!r}], tty={tty}, detached=True)
    told["others"] = [session.info.pid]
    """
    with Victim(["doer"], [folder], code) as victim:
        assert is_there(victim.told["others"][0])
        assert victim.seconds_until_gone(victim.kill_with_keeper()) < LISTENS_WITHIN_S
