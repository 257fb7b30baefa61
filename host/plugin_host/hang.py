"""Finding out where a plugin hangs, while it still does: ask its reader, else have faulthandler write.

This is where the process, the link and what both say of one plugin meet. Bounded in time and size whatever
the plugin does; it is neither stopped, nor continued, nor killed here.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from plugin_host_sdk.errors import CallError

from . import dumptext, stack, threadstate, tree
from .hangcause import explain, matched

if TYPE_CHECKING:
    from .link import Link
    from .process import PluginProcess
    from .stack import Stack
    from .threadstate import ProcessState
    from .tree import ProcessIdentity

__all__ = ["ANSWER_S", "DUMP_S", "HangReport", "examine"]

ANSWER_S = 1.0
DUMP_S = 1.0
_PAUSE_S = 0.02
_MOST_LINES = 500

# There are real-time signals on Linux only. The SDK registers the same.
_DUMP_SIGNAL: int | None = signal.SIGRTMIN + 1 if hasattr(signal, "SIGRTMIN") else None


@dataclass(frozen=True, slots=True)
class HangReport:
    """Where a plugin hung. `summary` is one sentence; `state` is what the kernel said of the process.

    `source` is who gave the stacks: the plugin's `reader` (threads and tasks), its `faulthandler` (threads
    only), or `none`; `note` says what that leaves open.
    """

    summary: str
    source: Literal["reader", "faulthandler", "none"]
    state: str
    note: str = ""
    threads: tuple[Stack, ...] = ()
    tasks: tuple[Stack, ...] = ()

    def render(self) -> str:
        """All of it for a log or a terminal: the summary, then the stacks of all that is at work."""
        lines = [self.summary, f"  process: {self.state}"]
        if self.note:
            lines.append(f"  note: {self.note}")
        for one in (*self.threads, *self.tasks):
            if one.works:
                lines += [f"  {line}" for line in one.lines()]
        resting = sum(not one.works for one in self.threads)
        if resting:
            lines.append(f"  threads at rest: {resting}")
        return "\n".join(lines[:_MOST_LINES])


async def examine(process: PluginProcess, link: Link | None) -> HangReport:
    """Where the plugin hangs, within some 2.5 s. `link` is None when there is nobody to ask."""
    if process.status is not None:
        return _from_kernel(threadstate.ProcessState())
    program = _program_of(process)
    first = threadstate.look(program.pid)
    if first.is_dead or first.is_stopped:
        return _from_kernel(first)
    can_ask = link is not None and not link.is_over and "stacks" in link.features
    async with asyncio.TaskGroup() as group:
        observing = group.create_task(threadstate.observe(program.pid))
        asking = group.create_task(_ask(link)) if link is not None and can_ask else None
    answer, state = asking.result() if asking is not None else None, observing.result()
    if answer is not None:
        return _from_reader(answer, state)
    if state.is_stopped:  # meanwhile
        return _from_kernel(state)
    text, why = await _dump(process, program)
    return _from_dump(text, why, state, was_asked=can_ask)


def _from_kernel(state: ProcessState) -> HangReport:
    """Of a process that can run nothing."""
    note = "a process that is stopped cannot say where it is" if state.is_stopped else ""
    return HangReport(explain((), (), state, answered=False), "none", state.describe(), note)


def _from_reader(answer: Any, state: ProcessState) -> HangReport:
    threads, tasks, left_out = stack.from_wire(answer)
    seen = matched(threads, state, newest_first=False)
    return HangReport(
        summary=explain(seen, tasks, state, answered=True),
        source="reader",
        state=state.describe(),
        note=f"{left_out} more threads or tasks were left out" if left_out else "",
        threads=tuple(thread for thread, _ in seen),
        tasks=tasks,
    )


def _from_dump(text: str, why: str, state: ProcessState, *, was_asked: bool) -> HangReport:
    threads = dumptext.parse(text)
    seen = matched(threads, state, newest_first=True)
    note = f"its reading thread did not answer within {ANSWER_S:g} s" if was_asked else "it cannot be asked"
    return HangReport(
        summary=explain(seen, (), state, answered=False if was_asked else None),
        source="faulthandler" if threads else "none",
        state=state.describe(),
        note=f"{note}: threads only, and no tasks" if threads else f"{note}, and {why}",
        threads=tuple(thread for thread, _ in seen),
    )


async def _ask(link: Link) -> Any:
    """The reader's answer to `stacks`; None when there was none in time."""
    try:
        msgid, future = link.request("stacks", {}, name="")
    except CallError:
        return None
    try:
        async with asyncio.timeout(ANSWER_S):
            return await future
    except (TimeoutError, CallError):
        return None
    finally:
        link.abandon(msgid)


def _program_of(process: PluginProcess) -> ProcessIdentity:
    """The plugin's own process, which of a sandboxed one is not the process that was started."""
    try:
        inside = tree.sandboxed_program(process.identity) if process.sandboxed else None
    except OSError:  # no descriptor left to look with
        inside = None
    return inside or process.identity


async def _dump(process: PluginProcess, program: ProcessIdentity) -> tuple[str, str]:
    """What faulthandler wrote, and why it wrote nothing."""
    dump = process.dump
    if dump is None or dump.fd < 0:
        return "", "this program is not served by the SDK"
    # By default the signal would end the process.
    if _DUMP_SIGNAL is None or threadstate.catches(program.pid, _DUMP_SIGNAL) is False:
        return "", "it takes no signal to write its stacks"
    dump.empty()
    if not tree.signal_all((program,), _DUMP_SIGNAL):
        return "", "it could not be sent a signal"
    loop = asyncio.get_running_loop()
    deadline, seen = loop.time() + DUMP_S, -1
    while loop.time() < deadline and dump.fd >= 0:
        size = dump.size()
        if size and size == seen:
            break
        seen = size
        await asyncio.sleep(_PAUSE_S)
    return (dump.read() if dump.fd >= 0 else ""), "it wrote no stacks either"
