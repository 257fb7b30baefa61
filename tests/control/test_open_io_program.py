"""The C program of `docs/raw-io.md`, and the command that gives it its token, against real hosts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from plugin_host.control import connect, open_descriptors
from tests.control.arena import arena
from tests.host.cli_run import Cli
from tests.run import Run
from tests.session import DESK, sh
from tests.source import ROOT
from tests.stage import write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

COMMAND = [sys.executable, "-m", "plugin_host"]
SOAK_BYTES = 64 << 20


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The compiled program; warnings are errors."""
    made = str(tmp_path_factory.mktemp("c") / "open_io")
    source = str(ROOT / "docs" / "open_io.c")
    strict = ["-Wall", "-Wextra", "-Werror", "-O2"]
    done = subprocess.run(["cc", *strict, "-o", made, source], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return made


async def execute(*command: str, given: bytes | Path = b"") -> tuple[int, bytes, str]:
    """Status, output and errors of a command."""

    def block() -> tuple[int, bytes, str]:
        if isinstance(given, Path):
            with given.open("rb") as file:
                done = subprocess.run(command, stdin=file, capture_output=True, timeout=60)
        else:
            done = subprocess.run(command, input=given, capture_output=True, timeout=60)
        return done.returncode, done.stdout, done.stderr.decode()

    return await asyncio.to_thread(block)


async def token(session: str, *options: str) -> str:
    """What `plugin-host open-io` prints."""
    status, out, error = await execute(*COMMAND, "open-io", session, *options)
    assert (status, error) == (0, "")
    return out.decode().strip()


@pytest.mark.deadline(60)
def test_64_mib_go_both_ways_and_no_bit_changes(
    program: str, tmp_path: Path, own_socket: str, run: Run
) -> None:
    given = tmp_path / "given"
    block = os.urandom(1 << 20)
    given.write_bytes(b"".join(block[i:] + block[:i] for i in range(SOAK_BYTES >> 20)))

    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", ["cat"], tty=False)
            shown = await token(session.id)
            status, out, error = await execute(program, f"{own_socket}.io", shown, given=given)
            assert (status, error) == (0, "")
            assert hashlib.sha256(out).digest() == hashlib.sha256(given.read_bytes()).digest()
            assert (await session.wait()).code == 0
            assert await session.totals() == {"stdout": SOAK_BYTES, "stderr": 0}

    run(body())


def test_one_two_and_three_descriptors_serve(
    program: str, tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            for streams, errors in ((["stdio"], ""), (["stdin", "stdout", "stderr"], "aside\n")):
                session = await client.exec("desk", sh("cat; echo aside >&2"), tty=False)
                ticket = await client.open_io(session, streams)
                done = await execute(program, ticket.socket, ticket.token, given=b"through\n")
                assert done == (0, b"through\n", errors)

    run(body())


def test_a_refusal_is_told_and_nothing_is_copied(
    program: str, tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            status, out, error = await execute(program, f"{own_socket}.io", "made-up", given=b"x")
            assert (status, out) == (2, b"")
            assert "open_io: [" not in error
            assert "no such token" in error
            session = await (await scene.client()).exec("desk", ["cat"], tty=False)
            cases = (
                ([session.id, "--streams", "stdin,stdlog"], 1, "there is no stream 'stdlog'"),
                ([session.id, "--socket", "/nowhere.sock"], 3, "no host listens there"),
            )
            runs = (execute(*COMMAND, "open-io", *arguments) for arguments, _, _ in cases)
            for (_, status, words), ended in zip(cases, await asyncio.gather(*runs), strict=True):
                assert ended[:2] == (status, b""), ended
                assert words in ended[2]

    run(body())


def test_with_json_everything_is_told_that_a_client_needs(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            session = await (await scene.client()).exec("desk", sh("echo hi; echo ho >&2"), tty=False)
            await session.wait()
            streams: Sequence[str] = ["stderr", "stdout"]
            told = json.loads(
                await token(session.id, "--json", "--streams", ",".join(streams), "--offset", "1")
            )
            assert told | {"token": ""} == {
                "token": "",
                "socket": f"{own_socket}.io",
                "expires_s": 30,
                "streams": streams,
            }
            fds = await asyncio.to_thread(open_descriptors, told["socket"], told["token"])
            assert [await asyncio.to_thread(os.read, fd, 100) for fd in fds] == [b"ho\n", b"i\n"]
            for fd in fds:
                os.close(fd)

    run(body())


def test_a_host_that_is_killed_is_not_taken_for_the_end_of_the_output(
    program: str, tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    folder = write_plugin(tmp_path / "plugins", "desk", DESK)
    config = tmp_path / "none.toml"
    config.write_text("entry_points = false\n")
    command = [*COMMAND, "run", "--plugin-dir", str(folder), "--config", str(config)]

    async def body() -> None:
        host = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            await wait_until.aio(lambda: os.path.exists(own_socket))
            client = await connect(own_socket)
            await client.start("desk")  # the socket is there before its plugins are ready
            session = await client.exec("desk", sh("echo before; cat"), tty=False)
            ticket = await client.open_io(session, ["stdin", "stdout"])
            copying = await asyncio.create_subprocess_exec(
                program, ticket.socket, ticket.token, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert copying.stdout is not None
            assert await copying.stdout.readline() == b"before\n"
            host.send_signal(signal.SIGKILL)
            assert await copying.stdout.read() == b""
            assert await copying.wait() == 1
            await client.close()
        finally:
            if host.returncode is None:
                host.kill()
            await host.wait()

    run(body())


def test_line_of_the_page_works_where_no_socket_is_named(
    program: str, tmp_path: Path, sockets: str, wait_until: WaitUntil
) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    page = (ROOT / "docs" / "raw-io.md").read_text()
    (line,) = (one for one in page.splitlines() if one.startswith("./open_io "))
    cli = Cli(tmp_path)
    del cli.env["PLUGIN_HOST_SOCKET"]
    cli.env["XDG_RUNTIME_DIR"] = sockets
    plugins = write_plugin(tmp_path / "plugins", "desk", DESK)
    with cli.background("run", "--json", "--plugin-dir", plugins) as host:
        wait_until(host.says('"event": "ready"'))
        id = cli("exec", "-d", "-i", "desk", "cat").out.strip()
        (tmp_path / "input").write_text("there and back\n")
        os.symlink(program, tmp_path / "open_io")
        script = line.replace("SESSION", id)
        subprocess.run(["sh", "-ec", script], cwd=tmp_path, env=cli.env, check=True, timeout=30)
        assert (tmp_path / "output").read_text() == "there and back\n"
        host.send(signal.SIGTERM)
        assert host.end().status == 0
