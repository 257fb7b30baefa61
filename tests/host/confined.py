"""Programs under limits, as the host starts them: a plan, a shim, a cgroup where this machine has them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from plugin_host import ladder
from plugin_host.cgroup import PREFIX, Group
from plugin_host.confinement import Confinement, confine
from plugin_host.environment import build_environment, run_token
from plugin_host.exitstatus import ExitStatus
from plugin_host.limit import How
from plugin_host.machine import Controller, Machine, survey
from plugin_host.manifest import Manifest, convert
from plugin_host.process import PluginProcess, ProcessSpec
from plugin_host.usage import Excess, Sampler

__all__ = [
    "HERE",
    "MIB",
    "WITHOUT",
    "Confined",
    "groups_left",
    "here_or_without",
    "need",
    "nothing_left",
    "token",
]

MIB = 1024 * 1024
RUN = f"tests-{os.getpid()}"
HERE = survey()
WITHOUT = Machine(lacking=dict.fromkeys(("memory", "pids"), "this test has none"), ceilings=HERE.ceilings)

here_or_without = pytest.mark.parametrize("machine", [HERE, WITHOUT], ids=["here", "without"])
"""For what holds on this machine, with whatever it has, and on one that has no cgroups."""

_numbers = count(1)


def token() -> str:
    """A launch's token that no other test has."""
    return run_token(RUN, "child", next(_numbers))


def need(controller: Controller) -> None:
    """Skips a test where this machine has no cgroup with this controller."""
    if controller not in HERE.places:
        assert HERE.lacking[controller]
        pytest.skip(f"no cgroup bounds {controller} here: {HERE.lacking[controller]}")


def groups_left() -> list[str]:
    """The folders of groups that this process made."""
    places = {*HERE.places.values(), *([HERE.killer] if HERE.killer else [])}
    name = f"{PREFIX}{RUN}."
    folders = [folder for place in places for folder in Path(place.folder).iterdir()]
    return [str(folder) for folder in folders if folder.name.startswith(name)]


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fails a test that leaves a cgroup behind, and takes it away: the next test shall not suffer."""
    yield
    left = groups_left()
    for folder in left:
        group = Group({}, folder)
        group.kill()
        with asyncio.Runner() as runner:
            runner.run(group.remove())
    assert left == []


def manifest(argv: Sequence[str], **limits: Any) -> Manifest:
    raw = {"id": "child", "version": "1", "launch": {"argv": list(argv)}, "limits": limits}
    return convert(raw, file="a test")


class Confined:
    """One program under limits; `async with` starts it, lets it go on, and clears up."""

    def __init__(
        self,
        code: str | Sequence[str],
        machine: Machine = HERE,
        *,
        env: dict[str, str] | None = None,
        extra: Sequence[str] = (),
        killable: bool = False,
        **limits: Any,
    ) -> None:
        self.argv = [sys.executable, "-S", "-c", code] if isinstance(code, str) else list(code)
        self.machine = machine
        self.limits = limits
        self.extra = extra
        self.killable = killable
        self.token = token()
        self.env = build_environment(os.environ, token=self.token) if env is None else env
        self.lines: list[str] = []
        self.excesses: list[Excess] = []
        self.confinement: Confinement
        self.process: PluginProcess
        self.spec: ProcessSpec

    async def __aenter__(self) -> Confined:
        try:
            self.start()
        except BaseException:
            await self.confinement.release()
            raise
        try:
            await self.confinement.admit(self.process.pid, self.spec)
        except BaseException:
            await self.__aexit__()
            raise
        sampler = Sampler(interval_s=0.02)
        self.confinement.watch(sampler, self.process.identity, self._end_it)
        return self

    def start(self) -> None:
        """Spawn it and leave it before its gate."""
        what = manifest(self.argv, **self.limits)
        self.confinement = confine(what, self.token, self.machine, extra=self.extra, killable=self.killable)
        self.spec = ProcessSpec(
            self.argv, None, self.env, "pipes", self.confinement.prefix, self.confinement.pass_fds
        )
        self.process = PluginProcess.spawn(self.spec, on_stderr=self.lines.append)

    async def __aexit__(self, *_: object) -> None:
        await ladder.stop(self.process, polite=None, timeout_s=0, mark=self.token)
        self.process.close()
        await self.confinement.release()

    async def ended(self) -> ExitStatus:
        status = await self.process.wait()
        assert status is not None
        return status

    async def verdict(self) -> str | None:
        """What is said of its end."""
        status = await self.ended()
        return self.confinement.verdict(status, self.process.stderr.tail)

    def how(self, limit: str) -> How | None:
        """How a limit of it is held."""
        (one,) = (one for one in self.confinement.enforcements if one.limit == limit)
        return one.how

    def said(self, line: str) -> Callable[[], bool]:
        return lambda: line in self.lines

    def _end_it(self, excess: Excess) -> None:
        self.excesses.append(excess)
        self.process.send_signal(9)
