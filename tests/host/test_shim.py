"""Programs started through the shim: the same surroundings and the same failures as without it."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plugin_host.errors import SpawnError
from plugin_host.process import PluginProcess, ProcessSpec
from plugin_host.shim import Shim
from tests.host.confined import WITHOUT, Confined
from tests.run import Run
from tests.wait import WaitUntil

SURROUNDINGS = """
import json, os, signal, sys
kinds = [str(signal.getsignal(number)) for number in signal.valid_signals() if number < 32]
status = open("/proc/self/status").read()
masks = [line for line in status.splitlines() if line.startswith(("SigIgn", "SigBlk"))]
environ = open("/proc/self/environ", "rb").read()
json.dump({
    "argv": sys.argv, "cwd": os.getcwd(), "environ": sorted(map(str, environ.split(b"\\0"))),
    "masks": masks, "fds": sorted(os.listdir("/proc/self/fd")),
    "blocking": [os.get_blocking(fd) for fd in (0, 1, 2)], "umask": os.umask(0),
    "session": os.getsid(0) == os.getpid(), "kinds": [os.fstat(fd).st_mode for fd in (0, 1, 2)],
}, sys.stderr)
sys.stderr.write("\\n")
"""


async def surroundings(spec: ProcessSpec, shim: Shim | None) -> dict[str, Any]:
    lines: list[str] = []
    process = PluginProcess.spawn(spec, on_stderr=lines.append)
    if shim is not None:
        shim.open_gate()
        await shim.exchanged(spec)
        shim.close()
    status = await process.wait(15)
    assert status is not None, lines
    process.close()
    assert status.ok, lines
    found = json.loads(lines[0])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "env",
    [{}, {"LC_ALL": "C"}, {"LC_CTYPE": "C"}, {"LANG": "C.UTF-8", "EMPTY": "", "TWO": "a=b\nc"}],
    ids=["empty", "C", "ctype", "rich"],
)
def test_program_finds_the_surroundings_it_would_have_had(
    run: Run, tmp_path: Path, env: dict[str, str]
) -> None:
    argv = [sys.executable, "-I", "-S", "-c", SURROUNDINGS, "a b", "", "--", "--limit", "\udcff"]
    plain = ProcessSpec(argv, str(tmp_path), {**env, "TMPDIR": os.environ["TMPDIR"]}, "pipes")

    async def body() -> None:
        shim = Shim(is_gated=True)
        shimmed = replace(plain, prefix=shim.command([]), pass_fds=shim.pass_fds)
        through, without = await surroundings(shimmed, shim), await surroundings(plain, None)
        assert stat.S_ISFIFO(through["kinds"][0])
        assert through == without

    run(body())


async def failure(
    argv: Sequence[str], cwd: str | None, env: dict[str, str], *, shimmed: bool
) -> SpawnError:
    spec = ProcessSpec(list(argv), cwd, {"TMPDIR": os.environ["TMPDIR"], **env}, "pipes")
    shim = Shim(is_gated=False) if shimmed else None
    try:
        if shim is not None:
            spec = replace(spec, prefix=shim.command([]), pass_fds=shim.pass_fds)
        process = PluginProcess.spawn(spec, on_stderr=print)
        assert shim is not None, "it could be started"
        try:
            await shim.exchanged(spec)
        finally:
            await process.wait(15)
            process.close()
    except SpawnError as error:
        return error
    finally:
        if shim is not None:
            shim.close()
    raise AssertionError("it could be started")


def program(path: Path, content: bytes, mode: int = 0o755) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def faults(folder: Path) -> dict[str, tuple[list[str], str | None, dict[str, str]]]:
    """Commands that cannot be started, by why not."""
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    closed = program(folder / "one/tool", b"#!/bin/true\n", 0o644)
    script = program(folder / "script", b"#!/no/such/interpreter -u\n")
    two = f"{folder}/one:{folder}/two"
    return {
        "nowhere": (["no-such-tool"], None, {"PATH": two}),
        "no path": (["no-such-tool"], None, {}),
        "missing": ([f"{folder}/gone/tool"], None, {}),
        "not a folder": ([f"{script}/tool"], None, {}),
        "not executable": ([closed], None, {}),
        "not executable in PATH": (["tool"], None, {"PATH": two}),
        "no interpreter": ([script], None, {}),
        "empty": ([program(folder / "empty", b"")], None, {}),
        "text": ([program(folder / "text", b"hello\n")], None, {}),
        "folder": ([str(folder)], None, {}),
        "no cwd": (["true"], f"{folder}/gone", {}),
        "relative": (["./tool"], str(folder), {}),
        "nul": (["true", "a\0b"], None, {}),
        "too long": (["/bin/true", "x" * 300_000], None, {}),
    }


REASONS = [
    "nowhere",
    "no path",
    "missing",
    "not a folder",
    "not executable",
    "not executable in PATH",
    "no interpreter",
    "empty",
    "text",
    "folder",
    "no cwd",
    "relative",
    "nul",
    "too long",
]


@pytest.mark.parametrize("why", REASONS)
def test_program_that_cannot_be_started_is_told_in_the_same_words(
    run: Run, tmp_path: Path, why: str
) -> None:
    argv, cwd, env = faults(tmp_path)[why]

    async def body() -> None:
        through = await failure(argv, cwd, env, shimmed=True)
        without = await failure(argv, cwd, env, shimmed=False)
        assert str(through) == str(without)
        assert (through.file, through.hint) == (without.file, without.hint)

    run(body())


def test_path_is_searched_in_its_order(run: Run, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    program(tmp_path / "one/tool", b"#!/bin/sh\necho one >&2\n", 0o644)
    program(tmp_path / "two/tool", b"#!/bin/sh\necho two >&2\n")
    program(tmp_path / "three/tool", b"#!/bin/sh\necho three >&2\n")
    path = ":".join(str(tmp_path / name) for name in ("gone", "one", "two", "three"))

    async def body() -> None:
        env = {"PATH": path, "TMPDIR": os.environ["TMPDIR"]}
        async with Confined(["tool"], WITHOUT, env=env, open_files=50) as one:
            await one.ended()
            assert one.lines == ["two"]

    run(body())


def test_interpreter_of_the_shim_that_is_gone_is_what_is_named(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        gone = str(tmp_path / "python")
        spec = ProcessSpec(["true"], None, {}, "pipes", prefix=[gone, "--"])
        with pytest.raises(SpawnError, match="does not exist") as caught:
            PluginProcess.spawn(spec, on_stderr=print)
        assert caught.value.file == gone

    run(body())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--limit", "open_files=3"], "--limit open_files=3: at least 16 are needed to start at all"),
        (["--limit", "colour=3"], "--limit colour=3: 'colour'"),
        (["--limit", "cpu_s=many"], "--limit cpu_s=many: invalid literal"),
        (["--umask", "9"], "--umask 9: invalid literal"),
    ],
)
def test_what_the_shim_cannot_do_is_reported(run: Run, options: list[str], words: str) -> None:
    async def body() -> None:
        with pytest.raises(SpawnError) as caught:
            async with Confined(["true"], WITHOUT, extra=options):
                pass
        assert str(caught.value).startswith(f"cannot start 'true': {words}")

    run(body())


def test_new_privileges_can_be_forbidden(run: Run) -> None:
    code = "import sys; sys.stderr.write(open('/proc/self/status').read())"

    async def body() -> None:
        for extra, found in ((["--no-new-privs"], "1"), (["--umask", "022"], "0")):
            async with Confined(code, WITHOUT, extra=extra) as one:
                await one.ended()
                assert f"NoNewPrivs:\t{found}" in one.lines

    run(body())


def test_shim_that_dies_leaves_the_end_to_its_status(run: Run) -> None:
    async def body() -> None:
        one = Confined(["sleep", "60"], WITHOUT, open_files=50)
        one.start()
        one.process.send_signal(signal.SIGKILL)
        await one.confinement.admit(one.process.pid, one.spec)
        assert (await one.ended()).signal == signal.SIGKILL
        await one.__aexit__()

    run(body())


def test_start_that_is_given_up_at_the_gate_leaves_no_descriptor(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        shim = Shim(is_gated=True)
        spec = ProcessSpec(["true"], None, dict(os.environ), "pipes", shim.command([]), shim.pass_fds)
        process = PluginProcess.spawn(spec, on_stderr=print)
        shim.close()  # its end of file opens the gate as well
        status = await process.wait(15)
        assert status is not None
        process.close()

    run(body())
