"""Why a plugin hangs, in a sentence: from the stacks of its threads and what the kernel says of them.

Pure. Names the place in the plugin's own code: who computes, who sleeps in C and lets nobody else run,
who waits for whom, what blocks the event loop. Says no more than can be seen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .stack import Stack
    from .threadstate import ProcessState, ThreadState

    Seen = tuple[Stack, ThreadState | None]

__all__ = ["explain", "matched"]

_NAMED = 3  # threads that a sentence names; the others are counted


def matched(stacks: Sequence[Stack], process: ProcessState, *, newest_first: bool) -> list[Seen]:
    """Each stack with the kernel's view of its thread, where it can be told which that is.

    By the number that the kernel gave a thread. A dump has none (`newest_first`): there, by the order in
    which threads were started, provided that it has as many as the kernel.
    """
    by_number = {thread.tid: thread for thread in process.threads}
    if newest_first and len(stacks) == len(process.threads):
        order = sorted(process.threads, key=lambda thread: (thread.started, thread.tid), reverse=True)
        return [
            (replace(stack, native=thread.tid, state=thread.describe()), thread)
            for stack, thread in zip(stacks, order, strict=True)
        ]
    seen: list[Seen] = []
    for stack in stacks:
        thread = by_number.get(stack.native) if stack.native is not None else None
        seen.append((replace(stack, state=thread.describe()) if thread else stack, thread))
    return seen


def explain(
    seen: Sequence[Seen], tasks: Sequence[Stack], process: ProcessState, *, answered: bool | None
) -> str:
    """What is wrong, as far as it can be seen. `answered`: whether its reader did; None: nobody asked."""
    if process.is_stopped:
        return f"it is {process.describe()}"
    if process.is_dead or (process.is_known and not process.threads):
        return process.describe()
    working = [one for one in seen if one[0].works]
    if not working:
        return _nobody_works(seen, tasks, process, answered=answered)
    if answered is False:
        return _who_holds(working, is_contended=_is_contended(seen))
    blocked = [one for one in working if _runs_loop(one[0])]
    if blocked:
        return f"its event loop is blocked: {_told(blocked)}"
    computing = [one for one in working if one[1] is not None and one[1].computes]
    if computing:
        return f"busy: {_told(computing)}"
    if len(working) > 1 and all(state is not None and state.waits_for_lock for _, state in working):
        return f"a deadlock, as it seems: none of {len(working)} threads goes on: {_told(working)}"
    return _told(working)


def _is_contended(seen: Sequence[Seen]) -> bool:
    """Whether threads are seen to wait for the interpreter's lock, or this cannot be seen at all."""
    states = [state for _, state in seen if state is not None]
    return not states or any(state.waits_for_turn for state in states)


def _who_holds(working: Sequence[Seen], *, is_contended: bool) -> str:
    """The reader could not run, most likely because another thread does not give the interpreter away."""
    holding = [one for one in working if one[1] is None or not one[1].waits_for_turn] or working
    computing = [one for one in holding if one[1] is not None and one[1].computes]
    if not is_contended:
        return f"its reader is stuck: {_told(computing or holding)}"
    # A sleep that gave the interpreter away looks the same from outside.
    return f"its interpreter is held: {_told(computing or holding, in_c=True, joint='; or ')}"


def _nobody_works(
    seen: Sequence[Seen], tasks: Sequence[Stack], process: ProcessState, *, answered: bool | None
) -> str:
    waiting = [(task, None) for task in tasks if task.works]
    if waiting:
        return f"nothing of it runs, but for what waits on its event loop: {_told(waiting)}"
    if answered is False:
        return f"it does not answer, and where it hangs cannot be seen; {process.describe()}"
    what = "nothing of it runs" if seen or answered else "where it is cannot be seen"
    return f"{what}; {process.describe()}"


def _runs_loop(stack: Stack) -> bool:
    return any(
        frame.file.endswith("/asyncio/base_events.py") and frame.function.endswith("run_forever")
        for frame in stack.frames
    )


def _told(every: Iterable[Seen], *, in_c: bool = False, joint: str = "; ") -> str:
    every = list(every)
    texts = [_tell(stack, state, in_c=in_c) for stack, state in every[:_NAMED]]
    if len(every) > _NAMED:
        texts.append(f"{len(every) - _NAMED} more")
    return joint.join(texts)


def _tell(stack: Stack, state: ThreadState | None, *, in_c: bool) -> str:
    """`thread worker-1, in the call `nap`, sleeps in C at demo.py:17 in nap`."""
    if state is None:
        does = "is" if stack.ident else "waits"
    else:
        does = ("computes" if state.computes else state.describe()) + (" in C" if in_c else "")
    text = stack.label + ("," if stack.call else "") + f" {does}"
    frame = stack.own_frame or (stack.frames[-1] if stack.frames else None)
    if frame is not None:
        text += f" at {frame.describe()}"
        if frame is not stack.frames[-1] and not in_c:
            text += f", inside {stack.frames[-1].function}"
    if state is not None and state.computes:
        text += f", with {state.share:.0%} of a processor"
    return text
