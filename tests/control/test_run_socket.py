"""The control socket of `plugin-host run`: where it is, who may connect, and what becomes of it."""

from __future__ import annotations

import asyncio
import grp
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from plugin_host.control import connect
from tests.host.cli_plugin import plugins
from tests.host.cli_run import COMMAND, Background, Cli, cli
from tests.host.test_localsocket import error_as_nobody
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

__all__ = ["cli", "plugins"]

LAUNCHER = """
import os, socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="control")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


async def status_at(path: str) -> dict[str, Any]:
    async with await connect(path, timeout=10) as client:
        return await client.status()


def is_up(run: Background) -> bool:
    return '"ready"' in run.out and '"event": "ready"' in run.out


def test_the_default_is_for_its_user_alone(
    cli: Cli, plugins: Path, own_socket: str, wait_until: WaitUntil, run: Run
) -> None:
    with cli.background("run", "--json", "--plugin-dir", plugins) as host:
        wait_until(lambda: is_up(host))
        assert stat.S_IMODE(os.stat(own_socket).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(own_socket)).st_mode) == 0o700
        assert run(status_at(own_socket))["pid"] == host.process.pid
        assert error_as_nobody(Path(own_socket)) != 0
        second = cli("run", "--plugin-dir", plugins)
        assert second.status == 3
        assert f"process {host.process.pid}" in second.err
        assert "--socket" in second.err
        host.send(signal.SIGTERM)
        assert host.end().status == 0
    assert not os.path.lexists(own_socket)


def test_a_group_is_let_in_where_the_configuration_says_so(
    cli: Cli, plugins: Path, wait_until: WaitUntil
) -> None:
    group = grp.getgrgid(65534)
    place = tempfile.mkdtemp(prefix="ph-", dir="/tmp")  # others cannot enter the folder of other sockets
    os.chmod(place, 0o755)
    path = f"{place}/hosts/shared.sock"
    cli.config.write_text(
        f'entry_points = false\n[control]\nsocket = "{path}"\ngroup = "{group.gr_name}"\nmode = 0o660\n'
    )
    del cli.env["PLUGIN_HOST_SOCKET"]
    with cli.background("run", "--json", "--plugin-dir", plugins) as host:
        wait_until(lambda: is_up(host))
        shown = os.stat(path)
        assert (stat.S_IMODE(shown.st_mode), shown.st_gid) == (0o660, group.gr_gid)
        assert stat.S_IMODE(os.stat(f"{place}/hosts").st_mode) == 0o710
        assert error_as_nobody(Path(path), group.gr_gid) == 0
        host.send(signal.SIGTERM)
        assert host.end().status == 0
    shutil.rmtree(place)


def test_two_hosts_serve_side_by_side_and_one_comes_back_over_a_stale_socket(
    cli: Cli, plugins: Path, own_socket: str, wait_until: WaitUntil, run: Run
) -> None:
    other = f"{own_socket}.2"
    words = ("run", "--json", "--plugin-dir", plugins)
    with cli.background(*words) as one, cli.background(*words, "--socket", other) as two:
        wait_until(lambda: is_up(one) and is_up(two))
        assert run(status_at(own_socket))["pid"] == one.process.pid
        assert run(status_at(other))["pid"] == two.process.pid
        one.send(signal.SIGKILL)
        one.process.wait()
        assert os.path.lexists(own_socket), "a killed host cannot remove it"
        with cli.background(*words) as again:
            wait_until(lambda: is_up(again))
            assert run(status_at(own_socket))["pid"] == again.process.pid
            assert run(status_at(other))["pid"] == two.process.pid


def test_a_path_that_is_too_long_is_explained(cli: Cli, plugins: Path) -> None:
    ended = cli("run", "--plugin-dir", plugins, "--socket", "/tmp/" + "x" * 120)
    assert ended.status == 3
    assert "107" in ended.err
    assert "--socket" in ended.err


def test_a_socket_of_the_service_manager_is_used_and_it_is_told_when_all_is_ready(
    cli: Cli, plugins: Path, tmp_path: Path, own_socket: str, wait_until: WaitUntil, run: Run
) -> None:
    os.makedirs(os.path.dirname(own_socket), exist_ok=True)
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.settimeout(20)
    notices.bind(f"{own_socket}.n")
    handed = f"{own_socket}.h"
    env = {**cli.env, "NOTIFY_SOCKET": f"{own_socket}.n"}
    words = [*COMMAND[1:], "run", "--json", "--plugin-dir", str(plugins)]
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, handed, *words], env=env, stdout=subprocess.DEVNULL
    ) as host:
        try:
            said = notices.recv(4096).decode()
            assert "READY=1" in said
            status = run(status_at(handed))
            assert (status["pid"], status["socket"]) == (host.pid, handed)
            environ = Path(f"/proc/{_a_plugin(run, handed)}/environ").read_bytes()
            assert b"LISTEN_" not in environ
            assert os.path.exists(f"{os.path.splitext(handed)[0]}.commands/host"), "not beside another socket"
            host.send_signal(signal.SIGTERM)
            while "STOPPING=1" not in said:
                said = notices.recv(4096).decode()
            assert host.wait(20) == 0
        finally:
            if host.poll() is None:
                host.kill()
            notices.close()
    assert os.path.lexists(handed), "what was handed over is not the host's to remove"


def _a_plugin(run: Run, path: str) -> int:
    async def ask() -> int:
        async with await connect(path) as client:
            return next(int(one["pid"]) for one in await client.plugins() if one["pid"])

    return run(ask())


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_clients_are_told_when_it_stops(
    signum: signal.Signals, cli: Cli, plugins: Path, own_socket: str, wait_until: WaitUntil, run: Run
) -> None:
    async def body(host: Background) -> None:
        async with await connect(own_socket) as client:
            host.send(signum)
            async with asyncio.timeout(15):
                await client.wait_closed()

    with cli.background("run", "--json", "--plugin-dir", plugins) as host:
        wait_until(lambda: is_up(host))
        run(body(host))
        assert host.end().status == 0


def test_a_host_whose_plugins_were_all_stopped_waits_for_them_to_be_started_again(
    cli: Cli, plugins: Path, own_socket: str, wait_until: WaitUntil, run: Run
) -> None:
    async def body() -> None:
        async with await connect(own_socket) as client:
            ids = [one["id"] for one in await client.plugins() if one["state"] == "ready"]
            assert ids
            for id in ids:
                await client.stop(id)
            for id in ids:
                assert (await client.start(id))["state"] == "ready"

    with cli.background("run", "--json", "--plugin-dir", plugins) as host:
        wait_until(lambda: is_up(host))
        run(body())
        host.send(signal.SIGTERM)
        assert host.end().status == 0
