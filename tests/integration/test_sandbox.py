"""Plugins in a sandbox: what they reach and what not, that they work, and that they end as others do."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import PluginDied, PluginHost
from plugin_host.configuration import convert
from plugin_host.tree import identify, sandboxed_program
from tests.otheruser import lend_copies, needs_root, open_folder, reachable_python
from tests.run import Run
from tests.session import read
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

__all__ = ["open_folder"]

pytestmark = pytest.mark.edges

CODE = """
    import os, signal, socket, sys, time

    sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[sdk.exec.Handler("local")]))

    @plugin.command("hang")
    def hang(ctx):
        import ctypes
        ctypes.PyDLL(None).sleep(100)  # without letting go of the interpreter

    @plugin.command("write")
    def write(ctx, path):
        try:
            with open(path, "w") as stream:
                stream.write("written")
        except OSError as error:
            return error.strerror
        return "written"

    @plugin.command("exists")
    def exists(ctx, paths):
        return [path for path in paths if os.path.exists(path)]

    @plugin.command("connect")
    def connect(ctx, address):
        kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        with socket.socket(kind) as one:
            one.settimeout(5)
            try:
                one.connect(address if isinstance(address, str) else tuple(address))
            except OSError as error:
                return error.strerror
            return "connected"

    @plugin.command("facts")
    def facts(ctx):
        with open("/proc/self/status") as status:
            lines = {name: value.strip() for name, _, value in (line.partition(":") for line in status)}
        others = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return {
            "uid": os.getuid(),
            "cwd": os.getcwd(),
            "capabilities": int(lines["CapEff"], 16) | int(lines["CapPrm"], 16),
            "no_new_privs": lines["NoNewPrivs"] == "1",
            "processes": len(others),
            "tmpdir": os.environ.get("TMPDIR"),
            "modules": [sys.modules["plugin_host_sdk"].__file__],
        }

    @plugin.command("end")
    def end(ctx, how):
        if how < 0:
            os.kill(os.getpid(), -how)
            time.sleep(10)
        os._exit(how)

    @plugin.command("leave_child")
    def leave_child(ctx):
        pid = os.fork()
        if pid == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        return pid
"""


@dataclass
class Scene:
    """A plugin to be put into a sandbox, run as the tests' own user or as nobody."""

    folder: Path
    user: str | None

    def host(self, sandbox: dict[str, Any], **entry: Any) -> PluginHost:
        entry = {"sandbox": sandbox, "env": {"PH_SCENE": str(self.folder)}, **entry}
        if self.user is not None:
            entry["user"] = self.user
        config = convert({"plugins": {"boxed": entry}}, file="test")
        return stage("boxed", dirs=[self.folder / "plugins"], config=config)

    def carriers(self) -> list[psutil.Process]:
        """The processes that run in this scene, wherever they went."""
        mark = f"PH_SCENE={self.folder}".encode()
        return [one for one in psutil.process_iter() if mark in _environ(one.pid)]


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


@pytest.fixture(params=["own", pytest.param("nobody", marks=needs_root)])
def scene(request: pytest.FixtureRequest, open_folder: Path) -> Iterator[Scene]:
    launch: dict[str, Any] = {}
    user = None
    if request.param == "nobody":
        lent = open_folder / "lent"
        lend_copies(lent)
        launch = {"interpreter": reachable_python(), "env": {"PYTHONPATH": str(lent)}}
        user = "nobody"
    write_plugin(open_folder / "plugins", "boxed", CODE, launch=launch)
    made = Scene(open_folder, user)
    yield made
    assert made.carriers() == []


def writable(folder: Path) -> str:
    folder.mkdir()
    folder.chmod(0o777)
    return str(folder)


def test_only_listed_paths_can_be_written(run: Run, scene: Scene) -> None:
    inside = writable(scene.folder / "inside")
    outside = writable(scene.folder / "outside")

    async def body() -> None:
        async with scene.host({"writable": [inside]}) as host:
            assert await host.call("boxed", "write", {"path": f"{inside}/file"}) == "written"
            # In what the sandbox hides, an unlisted path is not even there; elsewhere it cannot be written.
            assert await host.call("boxed", "write", {"path": f"{outside}/file"}) == os.strerror(2)
            for path in ("/etc/boxed", "/usr/boxed", "/boxed", f"{scene.folder}/plugins/boxed/new"):
                said = await host.call("boxed", "write", {"path": path})
                assert said in (os.strerror(30), os.strerror(13)), path

    run(body())
    assert (Path(inside) / "file").read_text() == "written"
    assert not os.listdir(outside)
    assert not Path("/etc/boxed").exists()


@pytest.mark.parametrize("key", ["writable", "readable"])
def test_root_that_is_listed_leaves_it_its_own_devices(run: Run, scene: Scene, key: str) -> None:
    async def body() -> None:
        async with scene.host({key: ["/"]}) as host:
            assert await host.call("boxed", "write", {"path": "/dev/null"}) == "written"

    run(body())


def test_temporary_folders_are_its_own_and_empty(run: Run, scene: Scene) -> None:
    async def body() -> None:
        async with scene.host({}) as host:
            assert await host.call("boxed", "write", {"path": "/tmp/ph-boxed"}) == "written"
            assert await host.call("boxed", "exists", {"paths": ["/tmp/ph-boxed"]}) == ["/tmp/ph-boxed"]
            assert (await host.call("boxed", "facts"))["tmpdir"] is None

    run(body())
    assert not Path("/tmp/ph-boxed").exists()


def test_it_has_no_rights_to_leave_by(run: Run, scene: Scene) -> None:
    async def body() -> None:
        async with scene.host({}) as host:
            facts = await host.call("boxed", "facts")
            assert (facts["capabilities"], facts["no_new_privs"], facts["cwd"]) == (0, True, "/")
            assert facts["processes"] < 5  # its own

    run(body())


def test_whole_file_system_is_readable_unless_folders_are_named(run: Run, scene: Scene) -> None:
    shown = writable(scene.folder / "shown")
    paths = ["/etc/passwd", "/usr", shown, "/var/lib", "/root", "/home"]

    async def body() -> None:
        async with scene.host({}) as host:
            assert set(await host.call("boxed", "exists", {"paths": paths})) >= {"/usr", "/var/lib"}
        async with scene.host({"readable": [shown]}) as host:
            seen = await host.call("boxed", "exists", {"paths": paths})
            assert "/var/lib" not in seen
            assert "/home" not in seen
            assert {"/etc/passwd", "/usr", shown} <= set(seen)
            for path in (f"{shown}/file", "/file"):
                assert await host.call("boxed", "write", {"path": path}) == os.strerror(30)

    run(body())


@pytest.fixture
def listener() -> Iterator[list[Any]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield list(server.getsockname())


def test_no_network_unless_it_is_granted(run: Run, scene: Scene, listener: list[Any]) -> None:
    async def body() -> None:
        async with scene.host({}) as host:
            assert await host.call("boxed", "connect", {"address": listener}) == "Connection refused"
        async with scene.host({"network": True}) as host:
            assert await host.call("boxed", "connect", {"address": listener}) == "connected"

    run(body())


def test_sockets_in_hidden_folders_cannot_be_reached(run: Run, scene: Scene) -> None:
    address = str(scene.folder / "socket")

    async def body() -> None:
        async with scene.host({"network": True}) as host:
            assert await host.call("boxed", "connect", {"address": address}) == os.strerror(2)
        async with scene.host({"readable": [address]}) as host:
            assert await host.call("boxed", "connect", {"address": address}) == "connected"

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        os.chmod(address, 0o777)
        server.listen()
        run(body())


# The Python that nobody may run is perhaps not of the version that msgspec was compiled for here.
@pytest.mark.parametrize("scene", ["own"], indirect=True)
@pytest.mark.parametrize("tty", [False, True])
def test_sessions_run_in_it(run: Run, scene: Scene, tty: bool) -> None:
    async def body() -> None:
        async with scene.host({}) as host:
            words = ["sh", "-c", "echo in the box; touch /usr/boxed || exit 7"]
            session = await host.exec("boxed", words, tty=tty)
            reader = await read(session)
            exit = await session.wait()
            assert b"in the box" in reader.stdout
            assert exit.code == 7

    run(body())


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (3, "exited with status 3"),
        (0, "exited with status 0"),
        (-signal.SIGSEGV, "killed by SIGSEGV (segmentation fault)"),
        (-signal.SIGKILL, "killed by SIGKILL, not by us"),
    ],
)
def test_death_report_is_that_of_the_program_inside(run: Run, scene: Scene, how: int, words: str) -> None:
    async def body() -> None:
        async with scene.host({}) as host:
            with pytest.raises(PluginDied) as caught:
                await host.call("boxed", "end", {"how": how})
            assert words in str(caught.value)

    run(body())


def test_polite_stop_ends_it_with_its_own_status(
    run: Run, scene: Scene, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with scene.host({}) as host:
            await host.stop("boxed")

    run(body())
    assert "plugin boxed stopped: exited with status 0" in logged.text
    assert "(step: polite request)" in logged.text


def test_what_left_its_session_inside_is_killed_with_it(run: Run, scene: Scene) -> None:
    async def body() -> None:
        async with scene.host({}) as host:
            await host.call("boxed", "leave_child")
            assert len(scene.carriers()) == 4  # the sandbox's two, the plugin, its child

    run(body())
    assert scene.carriers() == []


def test_sandbox_that_is_killed_leaves_nothing_and_the_plugin_can_start_again(
    run: Run, scene: Scene, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with scene.host({}) as host:
            pid = host.plugins["boxed"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await wait_until.aio(lambda: host.plugins["boxed"].pid is None)
            await host.start("boxed")
            assert await host.call("boxed", "exists", {"paths": ["/usr"]}) == ["/usr"]
            assert len(scene.carriers()) == 3

    run(body())


def test_program_inside_is_told_from_its_sandbox(run: Run, scene: Scene) -> None:
    async def body() -> None:
        async with scene.host({}) as host:
            outer = identify(host.plugins["boxed"].pid or 0)
            assert outer is not None
            program = sandboxed_program(outer)
            assert program is not None
            assert psutil.Process(program.pid).cmdline()[-1] == "boxed_plugin:plugin"
            assert outer.name == "bwrap"

    run(body())
    this = identify(os.getpid())
    assert this is not None
    assert sandboxed_program(this) is None


def test_deaf_program_gets_sigterm_and_its_time(
    run: Run, open_folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    """A raw peer has no polite request; this one cleans up when it is asked by signal."""
    said = writable(open_folder / "said")
    script = f"trap 'sleep 0.7; echo clean >{said}/end; exit 5' TERM; while :; do sleep 0.05; done"
    launch = {"argv": ["sh", "-c", script], "stop_timeout_s": 3}
    write_plugin(open_folder / "plugins", "peer", protocol="msgpack-rpc", launch=launch)
    config = convert({"plugins": {"peer": {"sandbox": {"writable": [said]}}}}, file="test")

    async def body() -> None:
        async with stage("peer", dirs=[open_folder / "plugins"], config=config):
            await asyncio.sleep(0)

    run(body())
    assert (Path(said) / "end").read_text() == "clean\n"
    assert "plugin peer stopped: exited with status 5" in logged.text
    assert "(step: SIGTERM)" in logged.text


@pytest.mark.deadline(60)
def test_hang_inside_is_found_and_its_line_named(run: Run, scene: Scene) -> None:
    async def body() -> None:
        health = {"interval_s": 0.3, "timeout_s": 0.5, "misses": 2}
        async with scene.host({}, health=health) as host:
            with pytest.raises(PluginDied) as caught:
                await host.call("boxed", "hang")
            report = caught.value.report
            assert report is not None
            assert "was unresponsive" in report.how
            assert report.hang is not None
            assert "in hang" in report.hang

    run(body())
