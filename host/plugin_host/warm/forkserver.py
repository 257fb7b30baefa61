"""The host's way to warm launches: when a forkserver is started, replaced, given up, and left aside.

One for each host; belongs to the loop that it is first used in. Invariant: nobody pays for it. Whatever it
lacks, cannot do or loses, a launch that gets nothing here is made as if there were no forkserver.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING

from plugin_host.environment import build_environment, run_token
from plugin_host.undertaking import all_done

from .fitness import unfit
from .helper import Helper
from .posture import posture
from .startupfiles import StartupFiles, site_folders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from plugin_host.exitstatus import ExitStatus
    from plugin_host.process import ProcessSpec

    from .posture import Posture
    from .spare import Spare
    from .startupfiles import Look
    from .switch import Switch

__all__ = ["COLD_FIRST", "HEALTHY_S", "MOST_RETIRED", "PAUSES_S", "Forkserver"]

COLD_FIRST = 2
"""So many launches of a host are no reason to start it: it takes longer than one of them."""

PAUSES_S = (0.0, 0.5, 2.0, 8.0)
"""How long the host does without after one that died, for each that died in a row; then for good."""

HEALTHY_S = 60.0
"""One that lived for so long does not count as another in a row."""

MOST_RETIRED = 8
"""So many that were replaced may stay for the plugins they had started; then launches do without."""

# No plugin can have it as its id.
_NAME = "(forkserver)"
# How long a launch waits before it goes its own way: for one that is being started, for a child.
_START_S, _SPARE_S = 0.25, 0.5
# Who wants it always would rather wait.
_LONG_S = 5.0

_log = logging.getLogger("plugin_host.warm")


class Forkserver:
    """`run` is the host's id in PLUGIN_HOST_RUN, `switch` when it forks, `imports` what is loaded besides
    the SDK, `outer` the environment that plugins inherit from."""

    def __init__(
        self,
        run: str,
        switch: Switch = "never",
        imports: Sequence[str] = (),
        outer: Mapping[str, str] | None = None,
    ) -> None:
        self._run = run
        self._is_wanted = switch != "never" and _is_possible()
        self._patience = _LONG_S if switch == "always" else None
        self._imports = tuple(imports)
        self._outer = os.environ if outer is None else outer
        self._launches = COLD_FIRST if switch == "always" else 0
        self._helper: Helper | None = None
        self._late: Helper | None = None
        self._startup = StartupFiles(site_folders(), os.path.join(sys.prefix, "pyvenv.cfg"))
        self._begun_with: tuple[Posture, Look] | None = None  # of the last that was started
        self._retired: dict[Helper, asyncio.Task[None]] = {}
        self._started = 0
        self._deaths = 0
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return None if self._helper is None else self._helper.pid

    async def take(self, spec: ProcessSpec) -> Spare | None:
        """A process that can become `spec`, within half a second; None when there is to be a new one."""
        if not self._is_wanted or not spec.is_forkable:
            return None
        self._launches += 1
        if self._launches <= COLD_FIRST:
            return None
        helper = self._ready_helper()
        if helper is None or not await self._is_up(helper):
            return None
        if why := unfit(spec, helper.environ, helper.room):
            _log.debug("%s is not forked: %s", spec.argv[-1], why)
            return None
        return await helper.spare(self._patience or _SPARE_S)

    async def close(self) -> None:
        """End the process, and those that were retired; every plugin should have been stopped."""
        self._is_wanted = False
        self._retire()
        loop = asyncio.get_running_loop()
        ends = [loop.create_task(helper.close()) for helper in self._retired]
        await all_done([*ends, *self._retired.values()], hurries=False)

    def _ready_helper(self) -> Helper | None:
        """The one there is, or a new one, if there may be one now."""
        try:
            now = (posture(), self._startup.look())
            if self._helper is not None and self._begun_with != now:
                _log.debug("what a plugin begins with has changed: another forkserver is started")
                self._retire()
            self._begun_with = now
            if self._helper is None and self._may_start():
                self._start()
        except OSError as error:  # no descriptor or process left: the next launch tries again
            _log.debug("no forkserver can be started: %s", error)
            return None
        return self._helper

    def _may_start(self) -> bool:
        is_time = asyncio.get_running_loop().time() >= self._not_before
        return is_time and len(self._retired) < MOST_RETIRED

    def _start(self) -> None:
        self._started += 1
        environ = build_environment(self._outer, token=run_token(self._run, _NAME, self._started))
        self._helper = Helper(environ, self._imports, on_line=_tell, on_end=self._ended)
        self._helper.up.add_done_callback(self._judge)

    async def _is_up(self, helper: Helper) -> bool:
        if not helper.up.done() and helper is not self._late:
            await asyncio.wait((helper.up,), timeout=self._patience or _START_S)
            if not helper.up.done():
                self._late = helper  # nobody waits for it again
        return helper.is_sound and helper is self._helper

    def _judge(self, up: asyncio.Future[bool]) -> None:
        """It is up, and perhaps not fit for anything; or it has ended."""
        helper = self._helper
        if helper is None or helper.up is not up:
            return
        for problem in helper.problems:
            _log.warning("a module that plugins share could not be imported ahead: %s", problem)
        if helper.room == 0:
            self._give_up("a forked process cannot show its own environment on this system", logging.INFO)
        elif helper.threads > 1:
            words = f"importing {', '.join(self._imports)}" if self._imports else "starting an interpreter"
            level = logging.WARNING if self._imports else logging.INFO
            self._give_up(f"{words} starts threads, after which a process cannot be forked safely", level)

    def _give_up(self, why: str, level: int = logging.WARNING) -> None:
        _log.log(level, "plugins are started without a forkserver: %s", why)
        self._is_wanted = False
        self._retire()

    def _retire(self) -> None:
        """Do without it from now on; it stays for the plugins that it has started, to tell how they end."""
        helper, self._helper = self._helper, None
        if helper is not None:
            helper.retire()
            task = asyncio.get_running_loop().create_task(_see_off(helper), name="end of a forkserver")
            self._retired[helper] = task
            task.add_done_callback(lambda _: self._retired.pop(helper))

    def _ended(self, helper: Helper, status: ExitStatus) -> None:
        if helper is not self._helper:
            return
        loop = asyncio.get_running_loop()
        if loop.time() - helper.started >= HEALTHY_S:
            self._deaths = 0
        self._deaths += 1
        story = f"the forkserver {helper.pid} ended: {status.describe()}"
        self._retire()
        if self._deaths > len(PAUSES_S):
            self._give_up(f"{story}, as {len(PAUSES_S)} did before it")
            return
        self._not_before = loop.time() + PAUSES_S[self._deaths - 1]
        _log.warning("%s; plugins that it had started go on, and another is started when needed", story)


async def _see_off(helper: Helper) -> None:
    await asyncio.wait((helper.childless,))
    await helper.close()


def _is_possible() -> bool:
    """Whether this system and this program can have one at all."""
    is_known = bool(sys.executable) and not getattr(sys, "frozen", False)
    return sys.platform == "linux" and hasattr(os, "pidfd_open") and is_known


def _tell(line: str) -> None:
    _log.info("forkserver: %s", line)
