"""Whole lives of a connection, step by step against a model: calls, cancels, progress and streams.

Both ends act at any time while bytes are under way, so answers cross cancels and grants cross ends.
What arrives must be exactly what the model says, in the order in which it was sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from plugin_host_sdk.errors import LocalProtocolError
from plugin_host_sdk.events import (
    CancelReceived,
    Closed,
    ErrorReceived,
    Event,
    NotificationReceived,
    ProgressReceived,
    RequestReceived,
    ResponseReceived,
)
from plugin_host_sdk.protocol import HOST, PEER_OF, PLUGIN, READY, STOPPING
from tests.effort import examples
from tests.wires import Model, Wires

CALLS = {HOST: "command.call", PLUGIN: "host.echo"}
ROLES = (HOST, PLUGIN)
STREAM_EVENTS = ("DataReceived", "GapReceived", "EndReceived", "CreditReceived", "StopReceived")

roles = st.sampled_from(ROLES)
some = st.integers(0, 99)
values = st.none() | st.integers(-5, 5) | st.text(max_size=5) | st.lists(st.booleans(), max_size=3)


class Calls(Wires):
    """The wires, with what is expected of everything that is no stream."""

    def __init__(self) -> None:
        super().__init__()
        self.expected: dict[str, deque[Callable[[], Event | None]]] = {HOST: deque(), PLUGIN: deque()}
        self.pending: dict[str, list[int]] = {HOST: [], PLUGIN: []}
        self.abandoned: dict[str, list[int]] = {HOST: [], PLUGIN: []}
        self.incoming: dict[str, list[int]] = {HOST: [], PLUGIN: []}
        self.late = {HOST: 0, PLUGIN: 0}

    def say(self, role: str, data: bytes, expected: Callable[[], Event | None]) -> None:
        """Send a message; `expected` says, when it arrives, which event it makes."""
        assert data
        self.push(role, data)
        self.expected[PEER_OF[role]].append(expected)

    def check(self, receiver: str, event: Event) -> None:
        if type(event).__name__ in STREAM_EVENTS:
            super().check(receiver, event)
            return
        # Messages that make no event arrived before this one, if they are still expected.
        for _ in range(len(self.expected[receiver])):
            expected = self.expected[receiver].popleft()()
            if expected is not None:
                assert event == expected
                return
        pytest.fail(f"{event} was not expected by the {receiver}")

    def arrive_silently(self) -> None:
        """Everything has arrived: what is still expected makes no event."""
        for role in ROLES:
            while self.expected[role]:
                assert self.expected[role].popleft()() is None


class Life(RuleBasedStateMachine):
    """The rules: what either side may do at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.wires = Calls()
        self.is_stopping = False

    @initialize(window=st.integers(1, 4096))
    def begin(self, window: int) -> None:
        for role in ROLES:
            self.wires.open(role, window)

    # Calls.

    @rule(role=roles, value=values)
    def ask(self, role: str, value: Any) -> None:
        wires, method = self.wires, CALLS[role]
        msgid, data = wires.end_of(role).send_request(method, {"value": value})
        assert msgid not in wires.pending[role] + wires.abandoned[role]
        wires.pending[role].append(msgid)

        def expected() -> Event:
            wires.incoming[PEER_OF[role]].append(msgid)
            return RequestReceived(msgid, method, {"value": value})

        wires.say(role, data, expected)

    @rule(role=roles, which=some, value=values, good=st.booleans())
    def answer(self, role: str, which: int, value: Any, good: bool) -> None:
        wires, caller = self.wires, PEER_OF[role]
        if not wires.incoming[role]:
            return
        msgid = wires.incoming[role].pop(which % len(wires.incoming[role]))
        good = good or value is None
        send = wires.end_of(role).send_response if good else wires.end_of(role).send_error

        def expected() -> Event | None:
            if msgid in wires.pending[caller]:
                wires.pending[caller].remove(msgid)
                return ResponseReceived(msgid, value) if good else ErrorReceived(msgid, value)
            wires.abandoned[caller].remove(msgid)
            wires.late[caller] += 1
            return None

        wires.say(role, send(msgid, value), expected)

    @rule(role=roles, which=some)
    def cancel(self, role: str, which: int) -> None:
        wires, callee = self.wires, PEER_OF[role]
        if not wires.pending[role]:
            return
        msgid = wires.pending[role].pop(which % len(wires.pending[role]))
        wires.abandoned[role].append(msgid)
        data = wires.end_of(role).send_cancel(msgid)
        assert wires.end_of(role).send_cancel(msgid) == b""
        wires.say(role, data, lambda: CancelReceived(msgid) if msgid in wires.incoming[callee] else None)

    @rule(role=roles, which=some, done=st.integers(0, 9), total=st.none() | st.integers(0, 9))
    def progress(self, role: str, which: int, done: int, total: int | None) -> None:
        wires, caller = self.wires, PEER_OF[role]
        if not wires.incoming[role]:
            assert wires.end_of(role).send_progress(which, done, total, "") == b""
            return
        msgid = wires.incoming[role][which % len(wires.incoming[role])]
        data = wires.end_of(role).send_progress(msgid, done, total, "so far")
        event = ProgressReceived(msgid, done, total, "so far")
        wires.say(role, data, lambda: event if msgid in wires.pending[caller] else None)

    @rule(role=roles, value=values)
    def notify(self, role: str, value: Any) -> None:
        params = {"value": value}
        data = self.wires.end_of(role).send_notification("demo.event", params)
        self.wires.say(role, data, lambda: NotificationReceived("demo.event", params))

    @rule(role=roles, which=some)
    def refuse_to_answer_twice(self, role: str, which: int) -> None:
        if which not in self.wires.incoming[role]:
            with pytest.raises(LocalProtocolError, match="is not open"):
                self.wires.end_of(role).send_response(which, None)

    @precondition(lambda self: not self.is_stopping)
    @rule()
    def shut_down(self) -> None:
        wires = self.wires
        msgid, data = wires.end_of(HOST).send_request("shutdown", {})
        wires.pending[HOST].append(msgid)
        self.is_stopping = True

        def expected() -> Event:
            wires.incoming[PLUGIN].append(msgid)
            return RequestReceived(msgid, "shutdown", {})

        wires.say(HOST, data, expected)

    # Streams.

    def stream(self, which: int) -> Model:
        models = list(self.wires.models.values())
        return models[which % len(models)]

    @rule(role=roles, window=st.integers(1, 4096))
    def open(self, role: str, window: int) -> None:
        self.wires.open(role, window)

    @rule(which=some, size=st.integers(1, 1024))
    def send(self, which: int, size: int) -> None:
        self.wires.send(self.stream(which), size)

    @rule(which=some, size=st.integers(1, 4096))
    def consume(self, which: int, size: int) -> None:
        self.wires.consume(self.stream(which), size)

    @rule(which=some, size=st.integers(1, 1000))
    def leave_out(self, which: int, size: int) -> None:
        self.wires.gap(self.stream(which), size)

    @rule(which=some)
    def end(self, which: int) -> None:
        self.wires.end(self.stream(which))

    @rule(which=some)
    def stop(self, which: int) -> None:
        self.wires.stop(self.stream(which))

    # The wire.

    @rule(role=roles, size=st.integers(1, 30) | st.integers(1, 3000))
    def deliver(self, role: str, size: int) -> None:
        self.wires.deliver(role, size)

    @rule(role=roles)
    def deliver_all(self, role: str) -> None:
        self.wires.deliver(role, 1 << 30)

    @invariant()
    def both_ends_hold_what_the_model_holds(self) -> None:
        wires = self.wires
        wires.check_all()
        for role in ROLES:
            connection = wires.end_of(role)
            assert sorted(connection.pending) == sorted(wires.pending[role])
            assert connection.state in (READY, STOPPING)
        assert wires.end_of(HOST).state == (STOPPING if self.is_stopping else READY)

    def teardown(self) -> None:
        wires = self.wires
        wires.settle()
        wires.arrive_silently()
        for role in ROLES:
            for msgid in list(wires.end_of(role).incoming):
                assert msgid in wires.incoming[role]
                self.answer(role, wires.incoming[role].index(msgid), None, True)
        for role in ROLES:
            wires.deliver(role, 1 << 30)
        wires.arrive_silently()
        for role in ROLES:
            connection = wires.end_of(role)
            assert connection.pending == connection.incoming == {}
            assert wires.pending[role] == wires.abandoned[role] == []
            assert connection.late_answers == wires.late[role]
            assert connection.receive_data(b"") == [Closed()]


def test_lives_of_a_connection_are_as_the_model_says() -> None:
    run_state_machine_as_test(Life, settings=settings(max_examples=examples(25), stateful_step_count=50))
