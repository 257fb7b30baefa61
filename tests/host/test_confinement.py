"""Plugins that want too much, held on this machine and on one without cgroups; nothing stays behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from plugin_host import cgroup, tree
from plugin_host.candidate import Candidate
from plugin_host.confinement import confine
from plugin_host.errors import SpawnError
from plugin_host.launchspec import process_spec
from plugin_host.machine import Machine, Place
from plugin_host.manifest import convert
from plugin_host.process import DUMP_FD
from tests.host.confined import (
    HERE,
    MIB,
    WITHOUT,
    Confined,
    groups_left,
    here_or_without,
    manifest,
    need,
    nothing_left,
    token,
)
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = [pytest.mark.edges, pytest.mark.usefixtures("nothing_left")]

__all__ = ["nothing_left"]

WAIT = "import os, signal, sys\nsys.stderr.write('ready\\n'); sys.stderr.flush()\nsignal.pause()\n"
HOG = "have = []\nwhile True: have.append(b'x' * (1 << 20))\n"
BOMB = """
import os, signal, sys
made = refused = 0
for _ in range(60):
    try:
        if not os.fork():
            signal.pause()
        made += 1
    except BlockingIOError:
        refused += 1
sys.stderr.write(f"made {made} refused {refused}\\n"); sys.stderr.flush()
"""


@here_or_without
def test_memory_hog_is_killed_and_its_limit_named(run: Run, machine: Machine) -> None:
    async def body() -> None:
        async with Confined(HOG, machine, memory_bytes=80 * MIB) as one:
            words = await one.verdict()
            assert words is not None
            if one.how("memory_bytes") == "sampling":
                assert words.startswith("ended by the host: its memory limit of 80 MiB was exceeded")
                assert one.excesses[0].seen > 80 * MIB
            else:
                killer = "killed by the kernel's out-of-memory killer"
                assert words == f"{killer}: its memory limit of 80 MiB was reached"
            peak = one.confinement.peak_memory()
            assert peak is not None
            assert peak >= 79 * MIB

    run(body())


@here_or_without
def test_children_count_for_the_memory_of_their_plugin(
    run: Run, wait_until: WaitUntil, machine: Machine
) -> None:
    code = f"import os\nfor _ in range(3): os.fork()\nhave = b'x' * (20 * {MIB})\n" + WAIT
    single = f"have = b'x' * (20 * {MIB})\n" + WAIT

    async def body() -> None:
        async with Confined(single, machine, memory_bytes=90 * MIB) as alone:
            async with Confined(code, machine, memory_bytes=90 * MIB) as eight:
                if eight.how("memory_bytes") == "sampling":
                    assert "its memory limit of 90 MiB" in (await eight.verdict() or "")
                else:
                    group = eight.confinement._group
                    assert group is not None
                    await wait_until.aio(lambda: group.oom_kills)
                    assert group.is_out_of_memory
            assert alone.process.status is None

    run(body())


@here_or_without
def test_fork_bomb_is_held(run: Run, machine: Machine) -> None:
    async def body() -> None:
        # What is only looked at has to be there to be seen.
        end = "os._exit(5)" if machine.places.get("pids") else WAIT
        async with Confined(BOMB + end, machine, processes=10) as one:
            words = await one.verdict()
            if one.how("processes") == "sampling":
                assert words is not None
                assert words.startswith("ended by the host: its limit of 10 processes was exceeded")
            else:
                assert one.lines == ["made 9 refused 51"]
                assert words == (
                    "exited with status 5; before, its limit of 10 processes was reached "
                    "(new ones refused: 51)"
                )

    run(body())


def test_plugin_at_its_limit_of_processes_lives_on(run: Run, wait_until: WaitUntil) -> None:
    need("pids")

    async def body() -> None:
        async with Confined(BOMB + WAIT, processes=10) as one:
            await wait_until.aio(one.said("ready"))
            assert one.process.status is None
            assert len(tree.snapshot(one.process.identity)) == 10

    run(body())


@pytest.mark.deadline(60)
@pytest.mark.parametrize(
    ("ignores", "words"),
    [
        ("", "killed by SIGXCPU: its cpu limit of 1 s of processor time was used up"),
        (
            "import signal; signal.signal(signal.SIGXCPU, lambda *_: None)\n",
            "killed by SIGKILL: its cpu limit of 1 s of processor time was used up, "
            "and it did not end at SIGXCPU",
        ),
    ],
)
def test_cpu_hog_is_killed_and_its_limit_named(run: Run, ignores: str, words: str) -> None:
    async def body() -> None:
        async with Confined(ignores + "while True: pass", cpu_s=1) as one:
            assert await one.verdict() == words

    run(body())


def test_open_files_are_bounded_and_named(run: Run) -> None:
    code = "have = []\nwhile True: have.append(open('/dev/null'))"

    async def body() -> None:
        async with Confined(code, open_files=30) as one:
            words = await one.verdict()
            assert words == (
                "exited with status 1; by its last lines, its limit of 30 open files was reached"
            )

    run(body())


def test_address_space_is_bounded_and_named(run: Run) -> None:
    async def body() -> None:
        async with Confined("x = bytearray(1 << 30)", address_space_bytes=500 * MIB) as one:
            assert "its address space limit of 500 MiB was reached" in (await one.verdict() or "")

    run(body())


def test_bound_of_the_host_is_never_raised(run: Run) -> None:
    code = "import resource, sys; sys.stderr.write(str(resource.getrlimit(resource.RLIMIT_NOFILE)) + '\\n')"

    hard = HERE.ceilings["open_files"]
    if hard is None:
        pytest.skip("the host itself may open any number of files here")

    async def body() -> None:
        async with Confined(code, open_files=2**63 - 1) as one:
            await one.ended()
            assert one.lines == [str((hard, hard))]

    run(body())


def test_program_is_in_its_cgroup_before_its_first_instruction(run: Run) -> None:
    code = "import sys; sys.stderr.write(open('/proc/self/cgroup').read())"

    async def body() -> None:
        async with Confined(code, memory_bytes=200 * MIB, processes=20) as one:
            await one.ended()
            own = [line for line in one.lines if one.token.replace("/", ".") in line]
            kinds = {line.split(":")[1] for line in own}
            wanted = {name for name, place in HERE.places.items() if place.version == 1}
            assert wanted <= kinds
            assert "" in kinds or not any(place.version == 2 for place in HERE.places.values())
            assert bool(own) == bool(HERE.places or HERE.killer)

    run(body())


def test_nothing_of_the_program_runs_before_the_gate(
    run: Run, wait_until: WaitUntil, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"

    async def body() -> None:
        one = Confined(["touch", str(mark)], memory_bytes=50 * MIB)
        one.start()
        if one.confinement.folders:
            # All that may run before it: the shim's own interpreter, until it sleeps at the gate.
            await wait_until.aio(lambda: at_the_gate(one.process.pid))
            assert not mark.exists()
        await one.confinement.admit(one.process.pid, one.spec)
        assert (await one.ended()).ok
        assert mark.exists()
        await one.__aexit__()

    run(body())


def at_the_gate(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as state, open(f"/proc/{pid}/cmdline") as what:
        return ") S " in state.read() and "shim" in what.read()


@here_or_without
def test_program_that_is_not_there_is_told_as_ever(run: Run, machine: Machine) -> None:
    async def body() -> None:
        with pytest.raises(SpawnError, match=r"^cannot start 'no-such-tool': it is in no folder of PATH"):
            async with Confined(["no-such-tool"], machine, memory_bytes=50 * MIB, open_files=20):
                pass

    run(body())


def test_end_of_a_launch_takes_the_daemon_that_left_it(run: Run, wait_until: WaitUntil) -> None:
    """One that shed its session, its parent and its environment is still in its cgroup."""
    if HERE.killer is None:
        pytest.skip("no cgroup is killed in one step here")
    code = f"""
import os, sys
if not os.fork():
    os.setsid()
    if not os.fork():
        few = {{"TMPDIR": os.environ["TMPDIR"]}}
        os.execve(sys.executable, [sys.executable, "-S", "-c", {WAIT!r}], few)
    os._exit(0)
os.wait()
"""

    async def body() -> None:
        async with Confined(code + WAIT, killable=True) as one:
            assert one.confinement.folders
            await wait_until.aio(lambda: one.lines.count("ready") == 2)
            pids = cgroup_pids(one)
            assert len(pids) == 2
        await wait_until.aio(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))

    run(body())


def cgroup_pids(one: Confined) -> frozenset[int]:
    assert one.confinement._group is not None
    return one.confinement._group.pids()


def test_plugin_without_limits_has_nothing_around_it(run: Run) -> None:
    async def body() -> None:
        async with Confined(["true"]) as one:
            found = one.confinement
            assert (found.options, found.prefix, found.pass_fds, found.folders) == ([], [], (), ())
            assert not found.kill()
            assert (await one.ended()).ok
            assert await one.verdict() is None

    run(body())


def test_options_of_others_go_through_the_shim_too(run: Run) -> None:
    code = "import os, sys; sys.stderr.write(oct(os.umask(0)) + '\\n')"

    async def body() -> None:
        async with Confined(code, WITHOUT, extra=["--umask", "027"]) as one:
            await one.ended()
            assert one.lines == ["0o27"]

    run(body())


def test_group_that_cannot_be_made_is_replaced_by_looking(run: Run, tmp_path: Path) -> None:
    machine = Machine(places={"memory": Place(1, str(tmp_path / "gone"))}, ceilings=HERE.ceilings)

    async def body() -> None:
        async with Confined(HOG, machine, memory_bytes=80 * MIB) as one:
            (enforcement,) = one.confinement.enforcements
            assert enforcement.how == "sampling"
            assert "no cgroup could be made for it: No such file or directory" in enforcement.reason
            assert "its memory limit of 80 MiB was exceeded" in (await one.verdict() or "")

    run(body())


def test_group_that_does_not_take_the_process_is_replaced_by_looking(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(self: cgroup.Group, pid: int) -> None:
        raise PermissionError(13, "Permission denied", "cgroup.procs")

    monkeypatch.setattr(cgroup.Group, "add", add)

    async def body() -> None:
        async with Confined(HOG, memory_bytes=80 * MIB) as one:
            assert one.how("memory_bytes") == "sampling"
            assert "its memory limit of 80 MiB was exceeded" in (await one.verdict() or "")

    run(body())


def test_launch_that_is_given_up_before_its_spawn_leaves_nothing(run: Run) -> None:
    async def body() -> None:
        found = confine(manifest(["true"], memory_bytes=50 * MIB, processes=3), token(), HERE)
        assert bool(found.folders) == bool(HERE.places)
        assert len(groups_left()) == len(found.folders)
        await found.release()
        assert groups_left() == []
        await found.release()
        assert found.folders == ()

    run(body())


def test_shim_that_cannot_be_made_leaves_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    need("memory")

    def pipe() -> tuple[int, int]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pipe", pipe)
    with pytest.raises(OSError, match="Too many open files"):
        confine(manifest(["true"], memory_bytes=50 * MIB), token(), HERE)
    assert groups_left() == []


def test_counts_outlive_the_group(run: Run) -> None:
    need("pids")

    async def body() -> None:
        async with Confined(BOMB + "os._exit(5)", processes=10) as one:
            status = await one.ended()
            before = one.confinement.verdict(status)
            assert before is not None
        assert one.confinement.verdict(status) == before

    run(body())


def test_plugin_without_limits_that_memory_ran_out_on_is_told_from_the_hosts_own_group(run: Run) -> None:
    need("memory")
    around = cgroup.make_group(HERE, token(), memory_bytes=60 * MIB, killable=False)
    version = HERE.places["memory"].version
    machine = Machine(own_memory=Place(version, around.folders[0]))
    gated = "import sys\nsys.stdin.read(1)\n" + HOG

    async def body() -> None:
        async with Confined(gated, machine) as one:
            around.add(one.process.pid)
            one.process.channel.send(b"x")
            assert await one.verdict() == "killed by the kernel's out-of-memory killer"
        assert await around.remove()

    run(body())


def test_command_line_of_a_python_plugin_begins_with_its_restraints(run: Run) -> None:
    raw = {
        "id": "child",
        "version": "1",
        "launch": {"entry_point": "a:b"},
        "limits": {"processes": 9, "cpu_s": 0.2, "memory_bytes": MIB},
    }
    what = convert(raw, file="a test")
    candidate = Candidate(id="child", source="here", manifest=what, sys_path=("/x",))

    async def body() -> None:
        found = confine(what, token(), HERE, extra=["--umask", "027"])
        spec = process_spec(candidate, what, "token", {}, found)
        gate = ["--gate", "0"] if HERE.places else []
        restraints = [*gate, "--umask", "027", "--limit", "cpu_s=1"]
        rest = ["--stacks-fd", DUMP_FD, "--path", "/x", "a:b"]
        assert spec.argv[4:] == [*restraints, *rest]
        assert (list(spec.prefix), spec.pass_fds) == ([], ())
        await found.release()
        assert process_spec(candidate, what, "token", {}).argv[4:] == rest

    run(body())
