"""Why a plugin hangs, from stacks and thread states that the test makes up."""

from __future__ import annotations

from typing import Any

import pytest

from plugin_host.hangcause import explain, matched
from plugin_host.stack import Frame, Stack
from plugin_host.threadstate import ProcessState, ThreadState

WAIT = Frame("/usr/lib/python3.11/threading.py", 331, "wait")
RUNTIME = Frame("/x/plugin_host_sdk/runtime/crew.py", 130, "Crew._live")
LOOP = Frame("/usr/lib/python3.11/asyncio/base_events.py", 607, "BaseEventLoop.run_forever")


def own(line: int, function: str, source: str = "") -> Frame:
    return Frame("/demo.py", line, function, source)


def state(tid: int = 1, **values: Any) -> ThreadState:
    return ThreadState(**{"tid": tid, "name": "python", "state": "S", "started": tid, **values})


LOCK, SLEEP, TURN = {"place": "futex_do_wait"}, {"place": "hrtimer_nanosleep"}, {"turns": 1800}
COMPUTE = {"state": "R", "share": 0.98}


def told(*every: tuple[Stack, ThreadState | None], tasks: Any = (), answered: bool = True) -> str:
    states = tuple(one for _, one in every if one is not None)
    return explain(every, tasks, ProcessState(states or (state(),)), answered=answered)


LEADER = Stack("worker-1", (RUNTIME,), 1), state(1)
NAP = Stack("worker-2", (own(17, "nap", "sleep(9)"),), 2, call="nap")
LEFT = Stack("worker-3", (own(20, "left", "with second:"),), 3, call="left")
RIGHT = Stack("worker-4", (own(27, "right", "with first:"),), 4, call="right")
UNNAMED = Stack("", (own(17, "nap"),), 255)


def test_busy_thread_is_named_with_its_place_and_share() -> None:
    assert told(LEADER, (NAP, state(2, **COMPUTE))) == (
        "busy: thread worker-2, in the call `nap`, computes at /demo.py:17 in nap (`sleep(9)`), "
        "with 98% of a processor"
    )


def test_who_computes_is_named_before_who_waits() -> None:
    text = told((LEFT, state(3, **LOCK)), (NAP, state(2, **COMPUTE)))
    assert "worker-2" in text
    assert "worker-3" not in text


def test_threads_that_all_wait_for_locks_are_a_deadlock() -> None:
    assert told(LEADER, (LEFT, state(3, **LOCK)), (RIGHT, state(4, **LOCK))) == (
        "a deadlock, as it seems: none of 2 threads goes on: "
        "thread worker-3, in the call `left`, waits for a lock at /demo.py:20 in left (`with second:`); "
        "thread worker-4, in the call `right`, waits for a lock at /demo.py:27 in right (`with first:`)"
    )


@pytest.mark.parametrize("other", [SLEEP, {"place": "anon_pipe_read"}, None], ids=repr)
def test_no_deadlock_where_one_waits_for_something_else(other: Any) -> None:
    text = told((LEFT, state(3, **LOCK)), (RIGHT, None if other is None else state(4, **other)))
    assert "deadlock" not in text
    assert "thread worker-3, in the call `left`, waits for a lock at /demo.py:20" in text


def test_one_thread_that_waits_for_a_lock_is_told_as_that() -> None:
    assert told(LEADER, (LEFT, state(3, **LOCK))) == (
        "thread worker-3, in the call `left`, waits for a lock at /demo.py:20 in left (`with second:`)"
    )


def test_place_is_the_plugins_own_and_the_library_inside_is_named() -> None:
    stack = Stack("worker-3", (own(20, "left"), WAIT), 3)
    assert told((stack, state(3, **LOCK))) == (
        "thread worker-3 waits for a lock at /demo.py:20 in left, inside wait"
    )


def test_call_without_a_frame_of_its_own_is_named_by_the_innermost() -> None:
    stack = Stack("worker-3", (RUNTIME,), 3, call="sleep")
    assert told((stack, state(3, **SLEEP))) == (
        "thread worker-3, in the call `sleep`, sleeps "
        "at /x/plugin_host_sdk/runtime/crew.py:130 in Crew._live"
    )


def test_blocked_loop_is_named_before_anything_else() -> None:
    stack = Stack("asyncio", (LOOP, own(9, "slow", "time.sleep(60)")), 5, call="slow")
    assert told((stack, state(5, **SLEEP)), (NAP, state(2, **COMPUTE))) == (
        "its event loop is blocked: thread asyncio, in the call `slow`, sleeps at /demo.py:9 in slow "
        "(`time.sleep(60)`)"
    )


def test_loop_that_waits_for_its_tasks_is_at_rest_and_the_tasks_are_named() -> None:
    loop = Stack("asyncio", (LOOP, Frame("/usr/lib/python3.11/selectors.py", 468, "select")), 5)
    task = Stack("Task-1", (own(3, "fetch", "await reply"),), call="fetch")
    assert told(LEADER, (loop, state(5)), tasks=(task,)) == (
        "nothing of it runs, but for what waits on its event loop: "
        "task Task-1, in the call `fetch`, waits at /demo.py:3 in fetch (`await reply`)"
    )


def test_nobody_at_work_is_told_with_the_state_of_the_process() -> None:
    assert told(LEADER, LEADER) == "nothing of it runs; all 2 threads sleep"


def test_no_more_than_three_are_named() -> None:
    every = [(NAP, state(n, **SLEEP)) for n in range(10)]
    text = told(*every)
    assert text.count("worker-2") == 3
    assert text.endswith("; 7 more")


# When the reader does not answer.


def test_who_sleeps_with_the_interpreter_is_told_from_who_wants_it() -> None:
    every = (LEFT, state(3, **TURN)), (UNNAMED, state(2, **SLEEP)), (LEADER[0], state(1, **TURN))
    assert told(*every, answered=False) == (
        "its interpreter is held: thread 0xff sleeps in C at /demo.py:17 in nap"
    )


def test_who_may_have_it_is_named_as_a_choice() -> None:
    every = (UNNAMED, state(2, **SLEEP)), (LEFT, state(3, **SLEEP)), (LEADER[0], state(1, **TURN))
    assert told(*every, answered=False) == (
        "its interpreter is held: thread 0xff sleeps in C at /demo.py:17 in nap; "
        "or thread worker-3, in the call `left`, sleeps in C at /demo.py:20 in left (`with second:`)"
    )


def test_who_computes_with_the_interpreter_is_named() -> None:
    every = (LEFT, state(3, **LOCK)), (UNNAMED, state(2, **COMPUTE)), (LEADER[0], state(1, **TURN))
    assert told(*every, answered=False) == (
        "its interpreter is held: thread 0xff computes in C at /demo.py:17 in nap, with 98% of a processor"
    )


def test_without_states_everybody_at_work_may_hold_it() -> None:
    assert told((UNNAMED, None), (LEADER[0], None), answered=False) == (
        "its interpreter is held: thread 0xff is at /demo.py:17 in nap"
    )


def test_reader_is_stuck_where_nobody_wants_the_interpreter() -> None:
    assert told((UNNAMED, state(2, **LOCK)), LEADER, answered=False) == (
        "its reader is stuck: thread 0xff waits for a lock at /demo.py:17 in nap"
    )


def test_without_stacks_the_process_is_told() -> None:
    process = ProcessState((state(1, **COMPUTE),))
    assert explain((), (), process, answered=False) == (
        "it does not answer, and where it hangs cannot be seen; busy: one thread uses 98% of a processor"
    )
    assert explain((), (), ProcessState(is_known=False), answered=False).endswith("; unknown")
    assert explain((), (), process, answered=None) == (
        "where it is cannot be seen; busy: one thread uses 98% of a processor"
    )


def test_who_was_not_asked_is_not_said_to_be_stuck() -> None:
    every = ((UNNAMED, state(2, **SLEEP)), LEADER)
    text = explain(every, (), ProcessState((state(1), state(2))), answered=None)
    assert text == "thread 0xff sleeps at /demo.py:17 in nap"


@pytest.mark.parametrize("answered", [True, False])
def test_stopped_and_ended_come_before_all(answered: bool) -> None:
    stopped = ProcessState((state(1, state="T"),))
    assert explain((LEADER,), (), stopped, answered=answered) == (
        "it is stopped by a signal such as SIGSTOP"
    )
    assert explain((LEADER,), (), ProcessState(), answered=answered) == "it has ended"


# Whose state is whose.


def test_threads_of_the_reader_are_known_by_their_number() -> None:
    stacks = [Stack("a", (), 1, native=12), Stack("b", (), 2, native=11), Stack("c", (), 3)]
    process = ProcessState((state(11, **SLEEP), state(12, **LOCK), state(13)))
    seen = matched(stacks, process, newest_first=False)
    assert [one and one.tid for _, one in seen] == [12, 11, None]
    assert [stack.state for stack, _ in seen] == ["waits for a lock", "sleeps", ""]


def test_number_that_the_kernel_does_not_know_is_nobody() -> None:
    seen = matched([Stack("a", (), 1, native=99)], ProcessState((state(11),)), newest_first=False)
    assert seen == [(Stack("a", (), 1, native=99), None)]


def test_threads_of_a_dump_are_known_by_the_order_of_their_start() -> None:
    stacks = [Stack("", (), 3), Stack("", (), 2), Stack("", (), 1)]
    # Numbers come round: the thread that was started last need not have the highest.
    process = ProcessState((state(5, started=30), state(40, started=10), state(41, started=10)))
    seen = matched(stacks, process, newest_first=True)
    assert [one and one.tid for _, one in seen] == [5, 41, 40]
    assert [stack.native for stack, _ in seen] == [5, 41, 40]


def test_threads_of_a_dump_are_nobody_where_the_kernel_has_others_too() -> None:
    stacks = [Stack("", (), 2), Stack("", (), 1)]
    seen = matched(stacks, ProcessState((state(1), state(2), state(3))), newest_first=True)
    assert [one for _, one in seen] == [None, None]
