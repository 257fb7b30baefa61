"""One session: what is said of it, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from plugin_host_sdk.errors import MessageTooLarge, SessionClosed, SessionNotFound
from plugin_host_sdk.exec.session import ENDED, ENDING, RUNNING, STARTING
from plugin_host_sdk.later import Later
from plugin_host_sdk.testing import StreamEnd
from plugin_host_sdk.types.session import AttachedStream, Exit, SessionFailure, Stored
from tests.sdk.sitting import OutputPipe, Sit

if TYPE_CHECKING:
    pass


def place(base: int, start: int, end: int, evicted: int = 0) -> AttachedStream:
    return AttachedStream(base=base, start=start, end=end, evicted=evicted)


# States.

STATES = [STARTING, RUNNING, ENDING, ENDED]
ALLOWED = {(STARTING, RUNNING), (STARTING, ENDED), (RUNNING, ENDING), (ENDING, ENDED)}


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_states_move_by_the_table_alone(sit: Sit, before: str, after: str) -> None:
    session = sit().session
    session._state = before
    if (before, after) in ALLOWED:
        session._move(after)
        assert session.state == after
    else:
        with pytest.raises(AssertionError, match=f"session s cannot go from {before} to {after}"):
            session._move(after)
        assert session.state == before


def test_session_starts_runs_and_ends(sit: Sit) -> None:
    sitting = sit()
    session, states = sitting.session, [sitting.session.info().state]
    output = sitting.run()
    states.append(session.info().state)
    session.body_exited(code=0)
    sitting.reactor.settle()
    states.append(session.info().state)
    output.hang_up()
    sitting.reactor.settle()
    states.append(session.info().state)
    assert states == STATES
    assert sitting.ended == [session]


def test_repr_tells_the_state(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    assert repr(sitting.session) == "<Session s running viewers=0>"


def test_info_is_what_was_asked_for_and_how_it_is(sit: Sit) -> None:
    sitting = sit(labels={"team": "x"}, params={"n": 1}, command=("bash",))
    sitting.run()
    sitting.session.feed("stdout", b"12345")
    info = sitting.session.info()
    assert (info.id, info.handler, info.command, info.tty) == ("s", "demo/local", ("bash",), True)
    assert (info.rows, info.cols, info.created_at) == (27, 72, sitting.clock.time())
    assert (info.labels, info.params, info.viewers, info.attached) == ({"team": "x"}, {"n": 1}, 0, False)
    assert (info.pid, info.exit, info.output) == (4711, None, {"stdout": Stored(0, 5)})
    info.labels["team"] = "y"
    assert sitting.session.info().labels == {"team": "x"}


def test_pipes_have_no_size_and_two_outputs(sit: Sit) -> None:
    info = sit(tty=False).session.info()
    assert (info.rows, info.cols) == (None, None)
    assert list(info.output) == ["stdout", "stderr"]


def test_size_is_that_of_the_last_resize(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    later = Later()
    sitting.body.resize_answer = later
    assert sitting.session.resize(50, 132) is later
    assert sitting.body.calls == [("resize", 50, 132)]
    sitting.session.note_size(50, 132)
    info = sitting.session.info()
    assert (info.rows, info.cols) == (50, 132)


# The end.


def test_exit_is_told_once_with_all_there_is_to_say(sit: Sit) -> None:
    sitting = sit(tty=False)
    sitting.run()
    sitting.attach()
    sitting.outputs["stdout"].write(b"abc")
    sitting.outputs["stderr"].write(b"x")
    sitting.clock.advance(2.5)
    sitting.session.body_exited(code=3, reason="exited with 3")
    sitting.session.body_exited(code=4, reason="a later word")
    sitting.hang_up()
    sitting.reactor.settle()
    assert sitting.sink.notifications == [
        (
            "exec.exited",
            {
                "session": "s",
                "exit": {
                    "code": 3,
                    "signal": None,
                    "reason": "exited with 3",
                    "duration": 2.5,
                    "error": None,
                },
                "totals": {"stdout": 3, "stderr": 1},
                "kept_s": 0.0,
            },
        )
    ]
    assert sitting.session.info().exit == Exit(code=3, reason="exited with 3", duration=2.5)
    assert (sitting.sink.end_of(4), sitting.sink.end_of(6)) == (StreamEnd(3, None), StreamEnd(1, None))
    assert (sitting.body.calls, sitting.ended) == ([("release",)], [sitting.session])
    sitting.session.body_exited(code=5)
    sitting.reactor.settle()
    assert len(sitting.sink.notifications) == 1


def test_signal_and_failure_travel(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    failure = SessionFailure(title="No pod", message="it is gone", retry_commands=("get pods",))
    sitting.session.body_exited(signal="SIGKILL", reason="killed", error=failure)
    sitting.hang_up()
    sitting.reactor.settle()
    exit = sitting.sink.notifications[0][1]["exit"]
    assert (exit["code"], exit["signal"]) == (None, "SIGKILL")
    assert exit["error"] == {
        "title": "No pod",
        "message": "it is gone",
        "suggestion": "",
        "retryable": True,
        "retry_commands": ("get pods",),
    }


def test_who_closed_it_is_part_of_the_reason(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    sitting.session.closed_by = "the host closed the session"
    sitting.session.body_exited(signal="SIGHUP", reason="hung up")
    sitting.hang_up()
    sitting.reactor.settle()
    assert sitting.exit.reason == "hung up; the host closed the session"


def test_exit_comes_behind_the_last_byte_and_before_the_end_of_streams_that_wait(sit: Sit) -> None:
    sitting = sit()
    output = sitting.run()
    sitting.attach(window=3)
    output.write(b"abcdef")
    output.hang_up()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    assert [event for event in sitting.told if event != "flush"] == ["open 4", "send 4", "notify"]
    assert sitting.sink.notifications[0][1]["totals"] == {"stdout": 6}
    assert sitting.sink.end_of(4) is None
    sitting.sink.credit(4, 100)
    sitting.reactor.settle()
    assert sitting.sink.output(4) == b"abcdef"
    assert sitting.sink.end_of(4) == StreamEnd(6, None)


def test_what_was_queued_is_flushed_at_the_end(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    sitting.session.body_exited(code=0)
    sitting.hang_up()
    sitting.reactor.settle()
    assert sitting.told[-2:] == ["notify", "flush"]


def test_output_that_ends_first_ends_nothing_but_is_told_to_the_body(sit: Sit) -> None:
    sitting = sit(tty=False)
    sitting.run()
    sitting.outputs["stdout"].hang_up()
    sitting.reactor.settle()
    assert sitting.body.calls == []
    sitting.outputs["stderr"].hang_up()
    sitting.reactor.settle()
    assert sitting.body.calls == [("outputs_ended",)]
    assert (sitting.session.state, sitting.session.has_no_output) == (RUNNING, True)
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    assert sitting.session.state == ENDED


def test_last_output_of_a_process_is_read_without_waiting_for_viewers(sit: Sit) -> None:
    sitting = sit()
    output = sitting.run()
    sitting.attach(window=1)
    output.write(b"abc")
    sitting.reactor.settle()
    output.write(b"the rest")
    sitting.reactor.settle()
    assert sitting.session.info().output["stdout"].end == 3
    sitting.session.body_exited(code=0)
    output.hang_up()
    sitting.reactor.settle()
    assert (sitting.session.state, sitting.session.info().output["stdout"]) == (ENDED, Stored(0, 11))
    sitting.sink.credit(4, 100)
    sitting.reactor.settle()
    assert sitting.sink.output(4) == b"abcthe rest"


def test_last_output_is_kept_for_the_first_viewer_beyond_the_ring(sit: Sit) -> None:
    sitting = sit(replay_bytes=4)
    output = sitting.run()
    output.write(b"0123456789")
    sitting.reactor.settle()
    sitting.session.body_exited(code=0)
    output.hang_up()
    sitting.reactor.settle()
    assert sitting.session.info().output["stdout"] == Stored(0, 10)
    attached = sitting.attach()
    assert attached.stdout == place(0, 0, 10, 0)
    assert sitting.sink.output(4) == b"0123456789"
    assert sitting.attach().stdout == place(6, 6, 10, 6)  # the second has the ring


def test_grandchild_that_keeps_the_output_open_is_read_for_half_a_second(sit: Sit) -> None:
    sitting = sit()
    output = sitting.run()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    output.write(b"by the grandchild")
    sitting.reactor.pass_time(0.499)
    assert sitting.session.state == ENDING
    assert sitting.sink.notifications == []
    sitting.reactor.pass_time(0.001)
    assert sitting.session.state == ENDED
    assert sitting.sink.notifications[0][1]["totals"] == {"stdout": 17}
    with pytest.raises(BrokenPipeError):
        output.write(b"too late")


def test_cut_off_that_is_due_after_the_end_does_nothing(sit: Sit) -> None:
    sitting = sit()
    output = sitting.run()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    output.hang_up()
    sitting.reactor.settle()
    sitting.reactor.pass_time(5)
    assert len(sitting.sink.notifications) == 1


def test_input_takes_no_more_once_the_body_has_exited(sit: Sit) -> None:
    sitting = sit()
    sitting.session.input.open(2, 100)
    sitting.run()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    assert sitting.sink.stops() == [2]


@pytest.mark.parametrize("is_over", [False, True])
def test_ended_session_takes_nothing_and_says_why(sit: Sit, is_over: bool) -> None:
    sitting = sit()
    sitting.run()
    sitting.session.check_runs()
    sitting.session.body_exited(code=1, reason="exited with 1")
    if is_over:
        sitting.hang_up()
    sitting.reactor.settle()
    assert sitting.session.state == (ENDED if is_over else ENDING)
    with pytest.raises(SessionClosed, match="it has ended: exited with 1"):
        sitting.session.check_runs()
    with pytest.raises(SessionClosed):
        sitting.session.resize(10, 10)


def test_ended_session_is_read_and_ends_at_once(sit: Sit) -> None:
    sitting = sit()
    output = sitting.run()
    output.write(b"kept")
    output.hang_up()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    attached = sitting.attach(window=2)
    assert (attached.session.state, attached.session.viewers) == (ENDED, 1)
    assert sitting.sink.output(4) == b"ke"
    sitting.sink.credit(4, 2)
    sitting.reactor.settle()
    assert (sitting.sink.output(4), sitting.sink.end_of(4)) == (b"kept", StreamEnd(4, None))
    assert not sitting.session.is_watched


def test_last_look_is_noted(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    sitting.hang_up()
    sitting.clock.advance(1)
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    assert sitting.session.last_seen == sitting.session.ended_at == 1001
    sitting.clock.advance(5)
    sitting.attach()
    assert (sitting.session.ended_at, sitting.session.last_seen) == (1001, 1006)


def test_session_that_never_ran_forgets_its_input(sit: Sit) -> None:
    sitting = sit()
    sitting.session.input.open(2, 100)
    sitting.session.abandon()
    assert sitting.session.state == ENDED
    with pytest.raises(KeyError):
        sitting.sink.consumed_bytes(2)
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    assert (sitting.sink.notifications, sitting.ended) == ([], [])


def test_exit_that_cannot_travel_is_told_without_its_words(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    notify = sitting.sink.notify

    def refuse_many_words(method: str, params: dict[str, Any]) -> None:
        if params["exit"]["error"] is not None:
            raise MessageTooLarge("a message of 9 bytes is over the peer's limit of 8")
        notify(method, params)

    sitting.sink.notify = refuse_many_words  # type: ignore[method-assign]
    sitting.session.body_exited(code=None, reason="long", error=SessionFailure(message="x" * 1000))
    sitting.hang_up()
    sitting.reactor.settle()
    ((_, params),) = sitting.sink.notifications
    assert "over the peer's limit" in params["exit"]["reason"]
    assert "over the peer's limit" in sitting.exit.reason
    assert sitting.ended == [sitting.session]


def test_forgotten_session_keeps_nothing_but_what_its_viewers_wait_for(sit: Sit) -> None:
    sitting = sit()
    output = sitting.run()
    output.write(b"kept")
    output.hang_up()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    sitting.attach(window=2)
    sitting.session.forget_output()
    assert sitting.session._record.stored("stdout") == Stored(0, 0)
    with pytest.raises(SessionNotFound, match="it was forgotten just now"):
        sitting.attach()
    sitting.sink.credit(4, 2)
    sitting.reactor.settle()
    assert (sitting.sink.output(4), sitting.sink.end_of(4)) == (b"kept", StreamEnd(4, None))


def test_session_that_is_forgotten_while_it_runs_still_tells_its_exit(sit: Sit) -> None:
    sitting = sit()
    output = sitting.run()
    sitting.attach()
    sitting.session.forget_output()
    output.write(b"to the end")
    output.hang_up()
    sitting.reactor.settle()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    assert sitting.sink.notifications[0][1]["totals"] == {"stdout": 10}
    assert sitting.sink.output(4) == b"to the end"
    assert sitting.session._record.stored("stdout") == Stored(0, 0)


# Another body.


def test_another_body_takes_the_place_of_the_first(sit: Sit) -> None:
    sitting = sit()
    first = sitting.run()
    sitting.attach()
    first.write(b"one ")
    first.hang_up()
    sitting.reactor.settle()
    second = OutputPipe(sitting, "stdout")
    body = sitting.body.twin(4712)
    sitting.session.replace_body(body, [second.output])
    second.write(b"two")
    sitting.reactor.settle()
    assert sitting.sink.output(4) == b"one two"
    assert sitting.session.info().pid == 4712
    sitting.session.body_exited(code=7)
    sitting.reactor.settle()
    second.hang_up()
    sitting.reactor.settle()
    assert (sitting.exit.code, body.calls) == (7, [("release",)])


def test_ended_session_takes_no_other_body(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    sitting.hang_up()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    with pytest.raises(SessionClosed):
        sitting.session.replace_body(sitting.body.twin(1), [])
    assert sitting.session.body is sitting.body


def test_all_byte_values_reach_the_viewer(sit: Sit) -> None:
    sitting = sit()
    output = sitting.run()
    sitting.attach()
    output.write(bytes(range(256)))
    sitting.reactor.settle()
    assert sitting.sink.output(4) == bytes(range(256))
