"""What can happen to a plugin, as one table: how it is brought about, and what has to come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from signal import SIGABRT, SIGKILL, SIGSEGV, SIGSTOP, SIGTERM
from typing import TYPE_CHECKING, Any

from . import note
from .part import MEMORY_BYTES

if TYPE_CHECKING:
    from .target import Target

__all__ = ["FAULTS", "SWAP", "Fate", "Fault"]

SWAP = "hot swap"
"""After that the old process goes on until it has done what it had."""

_MEGABYTES = MEMORY_BYTES // (1024 * 1024) + 20
_HELD_S = 2.5  # longer than who only looks now and then takes to see it
_GENERATIONS = 4  # 3 + 9 + 27 + 81 processes
_FLOOD_S = 0.5


class Fate(Enum):
    """What becomes of the process: it dies, or is ended by the host; it lives on; either; or it is
    replaced because somebody asked for that."""

    DIES = "dies"
    LIVES = "lives"
    EITHER = "either"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Fault:
    """`inflict` brings it about. The death that follows is told within `told_s`, and its words match
    `words`. One that `taints` writes into what the plugin
    answers; one that `meets_limit` is for plugins that have limits."""

    name: str
    inflict: Callable[[Target], Awaitable[None]]
    fate: Fate = Fate.DIES
    words: str = ""
    told_s: float = 8.0
    taints: bool = False
    meets_limit: bool = False


_UNRESPONSIVE = "unresponsive"
_BROKEN = "broke the protocol"
_HANG_S = 15.0


def _signal(number: int) -> Callable[[Target], Awaitable[None]]:
    async def inflict(target: Target) -> None:
        target.kill(number)

    return inflict


def _begin(command: str, **params: Any) -> Callable[[Target], Awaitable[None]]:
    async def inflict(target: Target) -> None:
        target.begin(command, **params)

    return inflict


def _ask(command: str, **params: Any) -> Callable[[Target], Awaitable[None]]:
    async def inflict(target: Target) -> None:
        await target.ask(command, timeout=10.0, **params)

    return inflict


def _corrupt(name: str, how: str) -> Fault:
    """Bytes on the wire that are not of the protocol, or are and should not be."""
    words = f"{_BROKEN}|{_UNRESPONSIVE}"  # a long message keeps the wire from answering
    return Fault(name, _begin("corrupt", how=how), words=words, told_s=_HANG_S, taints=True)


async def _die_again(target: Target) -> None:
    """The next start fails as well."""
    note.leave(target.folder, note.DIE)
    target.kill(SIGKILL)


async def _hang_at_start(target: Target) -> None:
    note.leave(target.folder, note.HANG)
    target.kill(SIGKILL)


async def _deadlock(target: Target) -> None:
    """Two calls hang for good and others go on; only somebody who knows better ends it."""
    target.begin("deadlock_left")
    target.begin("deadlock_right")
    await target.ask("nap", seconds=0.05, value=0)
    await target.scene.host.restart(target.part.id)


async def _slow_to_stop(target: Target) -> None:
    await target.ask("stay")
    await target.scene.host.restart(target.part.id)


async def _restart(target: Target) -> None:
    await target.scene.host.restart(target.part.id)


async def _stop_and_start(target: Target) -> None:
    await target.scene.host.stop(target.part.id)
    await asyncio.sleep(target.chance.uniform(0, 0.2))
    await target.scene.host.start(target.part.id)


async def _swap(target: Target) -> None:
    await target.scene.host.reload(target.part.id)


async def _fork_bomb(target: Target) -> None:
    """Somebody holds it: whoever refuses the next process, or who ends them all."""
    refused = await target.ask("fork_bomb", timeout=10.0, generations=_GENERATIONS)
    if refused == 0:
        target.violate("it had as many processes as it wanted")


async def _leave_daemon(target: Target) -> None:
    """A process that nothing ties to the plugin but the mark in its environment."""
    pid = await target.ask("daemonise")
    target.left += [pid] if pid else []
    target.kill(SIGKILL)


async def _leave_stderr_open(target: Target) -> None:
    """Nobody may wait for the end of a pipe that somebody else holds."""
    pid = await target.ask("hold_stderr")
    target.left += [pid] if pid else []
    target.begin("leave", status=5)


def _hang(name: str, inflict: Callable[[Target], Awaitable[None]], *others: str) -> Fault:
    """Only silence tells of it; `others` are words of deaths that may come first."""
    return Fault(name, inflict, words="|".join((_UNRESPONSIVE, *others)), told_s=_HANG_S)


_LEAK = _begin("leak", megabytes=_MEGABYTES, hold_s=_HELD_S)
_ENDED_ITSELF = "exited with status|closed its connection|broke the protocol"

FAULTS: tuple[Fault, ...] = (
    Fault("hang at import", _hang_at_start, words="SIGKILL, not by us|did not answer"),
    _hang("SIGSTOP", _signal(SIGSTOP)),
    _hang("sleep in C with the interpreter's lock", _begin("sleep_in_c")),
    _hang("blocked event loop", _begin("block_loop")),
    _corrupt("half a message", "half"),
    _hang("wire that leads nowhere", _begin("replace_wire"), _ENDED_ITSELF),
    _hang("descriptors closed", _begin("close_descriptors"), _ENDED_ITSELF),
    _corrupt("oversized message", "oversized"),
    Fault("memory leak", _LEAK, words="memory limit", told_s=_HANG_S, meets_limit=True),
    Fault("fork bomb", _fork_bomb, Fate.EITHER, words=r"limit of \d+ processes", meets_limit=True),
    Fault("SIGKILL", _signal(SIGKILL), words="SIGKILL, not by us"),
    Fault("SIGSEGV", _signal(SIGSEGV), words="SIGSEGV"),
    Fault("SIGABRT", _signal(SIGABRT), words="SIGABRT"),
    Fault("SIGTERM", _signal(SIGTERM), words="SIGTERM"),
    Fault("SIGKILL, and the next start fails", _die_again, words="SIGKILL, not by us|exited with status 1"),
    Fault("deadlock of two calls", _deadlock, Fate.REPLACED),
    Fault("slow to stop", _slow_to_stop, Fate.REPLACED),
    Fault("restart by hand", _restart, Fate.REPLACED),
    Fault("stop and start by hand", _stop_and_start, Fate.REPLACED),
    Fault(SWAP, _swap, Fate.REPLACED),
    Fault("exit 0 in a call", _begin("leave", status=0), words="exited with status 0"),
    Fault("exit 7 in a call", _begin("leave", status=7), words="exited with status 7"),
    _corrupt("garbage", "garbage"),
    _corrupt("answer to an id never asked", "unasked"),
    _corrupt("bottomless nesting", "nested"),
    _corrupt("frame of a stream never opened", "stream"),
    Fault("daemon left behind", _leave_daemon, words="SIGKILL, not by us"),
    Fault("stderr held by a grandchild", _leave_stderr_open, words="exited with status 5"),
    Fault("flood of log records", _ask("flood_log", seconds=_FLOOD_S), Fate.LIVES),
    Fault("flood of stderr", _ask("flood_stderr", seconds=_FLOOD_S), Fate.LIVES),
    Fault("flood of progress", _ask("flood_progress", seconds=_FLOOD_S), Fate.LIVES),
    Fault("stray prints", _ask("print_astray"), Fate.LIVES),
)
"""Those that take longest come first."""
