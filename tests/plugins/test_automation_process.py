"""The automation plugin through a real host: every action once, and what happens when it is killed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import Configuration, PluginHost, action
from plugin_host.configuration import PluginConfiguration
from plugin_host.errors import ActionRefused, PluginDied
from plugin_host.state import State
from plugin_host_automation.replacement import part_name
from tests.effort import by_effort
from tests.otheruser import NOBODY, needs_root, open_folder
from tests.session import is_alive

__all__ = ["open_folder"]  # fixture

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
MIB = 1 << 20
UPLOAD_MIB = by_effort(96, 1024)


@asynccontextmanager
async def automation(tmp_path: Path, **settings: Any) -> AsyncIterator[PluginHost]:
    """A host with this plugin alone."""
    given = {"state_dir": str(tmp_path / "state"), "script_dir": str(tmp_path), **settings}
    config = Configuration(plugins={"automation": PluginConfiguration(settings=given)})
    async with PluginHost(
        plugin_dirs=[PLUGINS], entry_points=False, only=["automation"], config=config
    ) as host:
        assert host.plugins["automation"].state is State.READY, host.plugins["automation"].error
        yield host


async def done(host: PluginHost, request: Any, data: Any = None) -> Any:
    return await (await host.actions.trigger("automation", request, data)).result()


async def until(what: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = what()
            if found is True or (found is not False and await found):
                return
            await asyncio.sleep(0.01)


def test_every_action_through_a_host(tmp_path: Path) -> None:
    async def body() -> None:
        key_file = tmp_path / "registration-key"
        key_file.write_text("let me in")
        key_file.chmod(0o600)
        (tmp_path / "first").write_text("echo first run")
        settings = {
            "allow_reboot": True,
            "reboot_command": ["touch", str(tmp_path / "rebooted")],
            "registration_key_file": str(key_file),
            "first_run": [{"name": "first", "file": str(tmp_path / "first")}],
        }
        async with automation(tmp_path, **settings) as host:
            script = action.RunScript(data=b"echo out; echo error >&2; exit 3", run_as=action.RunAs())
            result = await done(host, script)
            assert (result.code, result.stdout, result.stderr) == (3, b"out\n", b"error\n")

            path, data = tmp_path / "made" / "file", os.urandom(300_000)
            upload = action.UploadFile(path=str(path), mode="640", parents=True)
            result = await done(host, upload, data)
            assert result.sha256 == hashlib.sha256(data).hexdigest()
            assert path.read_bytes() == data
            assert stat.S_IMODE(path.stat().st_mode) == 0o640

            registered = await done(host, action.Register(key="let me in"))
            assert registered.scripts[0].result.stdout == b"first run\n"
            offered = await done(host, action.UpdateKey(phase="offer", key="a new key of the machine"))
            proof = action.key_proof("a new key of the machine", offered.nonce)
            await done(host, action.UpdateKey(phase="prove", proof=proof))
            await done(host, action.UpdateKey(phase="drop"))
            assert (tmp_path / "state" / "key").read_text() == "a new key of the machine\n"

            beat = await done(host, action.Heartbeat(nonce="n"))
            assert (beat.nonce, beat.properties.hostname) == ("n", os.uname().nodename)
            assert await done(host, action.ReloadConfig()) == action.ReloadResult()

            with pytest.raises(ActionRefused) as caught:
                await done(host, action.Shutdown())
            assert caught.value.option == "allow_shutdown"
            await done(host, action.Reboot())
            await until((tmp_path / "rebooted").exists)

            before = host.plugins["automation"].pid
            await done(host, action.UploadFileAndExit(path=str(path)), b"new")
            assert path.read_bytes() == b"new"
            await until(lambda: host.plugins["automation"].pid not in (before, None))
            # Its state was let go of, and is taken over by the one that was started anew.
            await until(lambda: host.plugins["automation"].state is State.READY)
            await done(host, action.UpdateKey(phase="withdraw"))

    asyncio.run(body())


@pytest.mark.edges
@needs_root
def test_a_script_of_another_user_is_cancelled_with_all_that_it_started(
    tmp_path: Path, open_folder: Path
) -> None:
    async def body() -> None:
        async with automation(tmp_path, script_dir=str(open_folder)) as host:
            text = b"trap '' TERM; id -u; setsid sleep 600 & sleep 600 & echo $! $$; wait; wait; sleep 600"
            script = action.RunScript(data=text, run_as=action.RunAs(uid=NOBODY.pw_uid))
            run = await host.actions.trigger("automation", script)
            said = b""
            async for piece in run.output():
                said += piece.data
                if said.count(b"\n") == 2:
                    break
            uid, *pids = (int(word) for word in said.split())
            assert uid == NOBODY.pw_uid
            assert {psutil.Process(pid).uids().real for pid in pids} == {NOBODY.pw_uid}
            assert await run.cancel("enough", grace=0.1) == "cancelling"
            result = await run.result()
            assert result.signal == "SIGKILL"
            assert not any(is_alive(pid) for pid in pids)
            assert await run.cancel() == "not_running"
            assert os.listdir(open_folder) == []

    asyncio.run(body())


@pytest.mark.edges
def test_a_plugin_that_is_killed_in_an_upload_leaves_the_old_file_whole(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "file"
        path.write_text("old")
        enough = asyncio.Event()

        async def data() -> AsyncIterator[bytes]:
            for _ in range(4):
                yield bytes(MIB)
            enough.set()
            await asyncio.sleep(600)

        async with automation(tmp_path) as host:
            upload = action.UploadFile(path=str(path))
            run = await host.actions.trigger("automation", upload, data())
            await enough.wait()
            before = host.plugins["automation"].pid
            assert before is not None
            psutil.Process(before).kill()
            with pytest.raises(PluginDied):
                await run.result()
            assert path.read_text() == "old"
            assert part_name("file") in os.listdir(tmp_path)
            await until(lambda: host.plugins["automation"].pid not in (before, None))
            await done(host, upload, b"new")
            assert path.read_text() == "new"
            assert part_name("file") not in os.listdir(tmp_path)

    asyncio.run(body())


@pytest.mark.edges
@pytest.mark.deadline(by_effort(120, 300))
def test_a_large_file_is_written_in_little_memory(tmp_path: Path) -> None:
    piece = os.urandom(MIB)
    digest = hashlib.sha256()

    def data() -> Any:
        for _ in range(UPLOAD_MIB):
            digest.update(piece)
            yield piece

    async def body() -> None:
        async with automation(tmp_path) as host:
            await done(host, action.UploadFile(path=str(tmp_path / "small")), piece)
            plugin = psutil.Process(host.plugins["automation"].pid)
            before, own = plugin.memory_info().rss, psutil.Process().memory_info().rss
            most = most_own = 0
            began = time.monotonic()
            run = await host.actions.trigger(
                "automation", action.UploadFile(path=str(tmp_path / "large")), data()
            )
            result = asyncio.ensure_future(run.result())
            while not result.done():
                most = max(most, plugin.memory_info().rss)
                most_own = max(most_own, psutil.Process().memory_info().rss)
                await asyncio.wait({result}, timeout=0.02)
            found = await result
            seconds = time.monotonic() - began
            print(f"{UPLOAD_MIB} MiB in {seconds:.1f} s, {most - before} and {most_own - own} bytes more")
            assert (found.size, found.sha256) == (UPLOAD_MIB * MIB, digest.hexdigest())
            assert most - before < 16 * MIB
            assert most_own - own < 32 * MIB

    try:
        asyncio.run(body())
    finally:
        (tmp_path / "large").unlink(missing_ok=True)


@pytest.mark.edges
def test_many_scripts_at_once_each_end_once(tmp_path: Path) -> None:
    async def one(host: PluginHost, number: int) -> tuple[int, bytes]:
        text = f"for i in 1 2 3; do echo {number}; done; exit {number}"
        run = await host.actions.trigger("automation", action.RunScript(data=text.encode()))
        said = b"".join([piece.data async for piece in run.output()])
        return (await run.result()).code, said

    async def body() -> None:
        async with automation(tmp_path) as host:
            found = await asyncio.gather(*(one(host, number) for number in range(20)))
            assert found == [(number, f"{number}\n".encode() * 3) for number in range(20)]
            assert os.listdir(tmp_path) == []  # the files of the scripts are gone

    asyncio.run(body())
