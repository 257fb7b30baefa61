"""Where the time of calls and of output goes, by samples of both processes; needs py-spy.

    python -m benchmarks.sampling          writes docs/speed/profile-call.txt and profile-output.txt
    python -m benchmarks.sampling call     the first alone

Unlike a profiler that counts calls, samples make nothing dearer than it is, and also see the kernel and C.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from plugin_host import Output

from . import affinity, machine
from .flatprofile import flat, largest, lines
from .flow import child
from .ours import open_host
from .page import FOLDER
from .session_host import closing, plugin_pid
from .session_host import open_host as open_session_host
from .workload import IN_FLIGHT, SMALL, WARM_UP

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Callable, Coroutine

    from plugin_host import Viewer

__all__ = ["main"]

_SECONDS, _RATE, _PATIENCE_S = 5, 100, 60

Sides = dict[str, "Counter[str]"]


async def _sampled(
    pid: int, work: Callable[[], Coroutine[None, None, None]], pinned: bool = False
) -> Sides:
    """Samples of this process and of the plugin's while `work` is done over and over."""
    (affinity.pin if pinned else affinity.unpin)(os.getpid())
    sides = {}
    with tempfile.TemporaryDirectory() as folder:
        for side, of in (("host", os.getpid()), ("plugin", pid)):  # one stops what it looks at for a moment
            with _spy(of, f"{folder}/{side}") as spy:
                affinity.unpin(spy.pid)
                end = time.monotonic() + _PATIENCE_S
                while spy.poll() is None:
                    if time.monotonic() > end:
                        spy.kill()
                        raise TimeoutError(f"py-spy has not ended after {_PATIENCE_S} s")
                    await work()
            sides[side] = _read(f"{folder}/{side}")
    affinity.unpin(os.getpid())
    return sides


def _spy(pid: int, file: str) -> subprocess.Popen[bytes]:
    command = [_program() or "py-spy", "record", "--native", "--format", "raw", "--rate", str(_RATE)]
    command += ["--duration", str(_SECONDS), "--output", file, "--pid", str(pid)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _read(file: str) -> Counter[str]:
    return flat(Path(file).read_text(encoding="utf-8").splitlines())


def _program() -> str | None:
    return shutil.which("py-spy", path=sysconfig.get_path("scripts")) or shutil.which("py-spy")


async def _calls() -> AsyncIterator[tuple[str, Sides]]:
    ours = await open_host()
    try:

        async def single() -> None:
            for _ in range(WARM_UP):
                await ours.call(SMALL)

        async def many() -> None:
            await asyncio.gather(*(single() for _ in range(IN_FLIGHT)))

        await single()
        yield f"{IN_FLIGHT} calls in flight", await _sampled(ours.pid, many)
        yield "one call at a time, both processes on one processor", await _sampled(ours.pid, single, True)
    finally:
        await ours.close()


async def _output() -> AsyncIterator[tuple[str, Sides]]:
    async with open_session_host() as host:
        for title, mode, tty in (("pipe output", "blocks", False), ("terminal output, raw", "raw", True)):
            session = closing(host, child(mode), tty=tty)
            async with session as opened, await opened.attach() as viewer:
                read = functools.partial(_read_some, viewer)
                await read()
                yield title, await _sampled(plugin_pid(host), read)


async def _read_some(viewer: Viewer) -> None:
    for _ in range(WARM_UP):
        assert isinstance(await anext(viewer), Output)


_SUBJECTS: dict[str, Callable[[], AsyncIterator[tuple[str, Sides]]]] = {"call": _calls, "output": _output}


async def _text(subject: str) -> str:
    parts, head = [], []
    async for title, sides in _SUBJECTS[subject]():
        head += [f"The three largest costs, {title}:", *largest(sides), ""]
        for side, found in sides.items():
            parts += [f"{title}: {side}, {found.total()} samples in which it worked", *lines(found), ""]
    here = machine.source(machine.describe(os.getloadavg(), 1, False))
    note = f"Samples of {_SECONDS} s by py-spy; waiting is left out. Made by python -m benchmarks.sampling."
    return "\n".join([*head, note, here, "", *parts])


def main(arguments: list[str]) -> int:
    """0, or 1 without py-spy."""
    if _program() is None:
        print("py-spy is not installed (pip install py-spy)", file=sys.stderr)
        return 1
    for subject in arguments or _SUBJECTS:
        path = FOLDER / f"profile-{subject}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(asyncio.run(_text(subject)), encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
