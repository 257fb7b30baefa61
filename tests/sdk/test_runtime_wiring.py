"""The wire as threads share it: order, lanes, log records, and a host that is gone."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from plugin_host_sdk import Plugin
from plugin_host_sdk.errors import CallFailed
from plugin_host_sdk.events import NotificationReceived
from plugin_host_sdk.runtime.channel import Channel
from plugin_host_sdk.runtime.wiring import Wiring
from tests.served import HostEnd, serving
from tests.wait import WaitUntil


@pytest.fixture
def ends() -> Iterator[tuple[HostEnd, Wiring]]:
    """A host's end and a wiring that has just answered `initialize`."""
    ours, theirs = socket.socketpair()
    fd = theirs.detach()
    channel = Channel(fd, fd)
    wiring = Wiring(channel)
    host = HostEnd(ours)
    try:
        yield host, wiring
    finally:
        ours.close()
        channel.close()


def make_ready(host: HostEnd, wiring: Wiring) -> None:
    from plugin_host_sdk.handshake import Limits, initialize_params

    params = initialize_params(plugin="demo", host={"name": "test"}, limits=Limits())
    host.send(host.connection.send_initialize(params))
    answer: dict[str, Any] = {"protocol": 1, "plugin": {"id": "demo"}, "sdk": {}, "capabilities": {}}
    select.select([wiring.channel.read_fd], [], [], 5)
    with wiring.mutex:
        (asked,) = wiring.connection.receive_data(wiring.channel.read())
        wiring.answer(asked.msgid, answer)  # type: ignore[attr-defined]
        wiring.put_early_logs()
    wiring.flush()


def test_log_records_before_ready_are_kept_and_sent_in_order(ends: tuple[HostEnd, Wiring]) -> None:
    host, wiring = ends
    for number in range(1005):
        wiring.log("info", "early", f"{number}", {})
    starter = threading.Thread(target=make_ready, args=[host, wiring])
    starter.start()
    messages = [host.notification("log")["message"] for _ in range(1000)]
    starter.join(5)
    wiring.log("info", "late", "after", {})
    assert messages == [str(number) for number in range(1000)]
    assert host.notification("log")["message"] == "after"


def test_notification_before_ready_is_not_sent(ends: tuple[HostEnd, Wiring]) -> None:
    host, wiring = ends
    wiring.notify("command.changed", {"commands": []})
    wiring.progress(1, 1, None, "")
    make_ready(host, wiring)
    host.read(0.05)
    assert [event for event in host.events if isinstance(event, NotificationReceived)] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"thing": object()},
        {"big": 2**70},
        {"deep": {"set": {1}}},
        {"bytes": b"x" * (17 << 20)},
        {"half": "\ud800"},
        {5: 1, "thing": object()},
    ],
    ids=["object", "big", "set", "huge", "half", "key"],
)
def test_record_that_cannot_travel_is_sent_as_text(
    ends: tuple[HostEnd, Wiring], fields: dict[str, Any]
) -> None:
    host, wiring = ends
    make_ready(host, wiring)
    sender = threading.Thread(target=wiring.log, args=["error", "odd", "the message", fields])
    sender.start()
    record = host.notification("log")
    sender.join(5)
    assert (record["level"], record["message"]) == ("error", "the message")
    assert record["fields"].keys() == {str(name) for name in fields}
    assert all(len(text) <= 64 * 1024 for text in record["fields"].values())


def test_value_whose_text_cannot_be_had_does_not_fail_the_logger(ends: tuple[HostEnd, Wiring]) -> None:
    host, wiring = ends
    make_ready(host, wiring)

    class Mute:
        def __repr__(self) -> str:
            raise ValueError("no words")

    wiring.log("error", "odd", "the message", {"thing": Mute()})
    record = host.notification("log")
    assert record["message"] == "the message"
    assert record["fields"] == {"thing": "(Mute whose text cannot be had: ValueError)"}


def test_text_that_is_no_utf_8_is_sent_in_words(ends: tuple[HostEnd, Wiring]) -> None:
    host, wiring = ends
    make_ready(host, wiring)
    wiring.log("info", "\udcff", "half \ud800 a pair", {})
    record = host.notification("log")
    assert (record["logger"], record["message"]) == (r"\udcff", r"half \ud800 a pair")


def test_fields_beyond_all_bounds_are_left_out(ends: tuple[HostEnd, Wiring]) -> None:
    host, wiring = ends
    make_ready(host, wiring)
    wiring.log("info", "odd", "the message", {f"field{n}": "x" * 60_000 for n in range(300)})
    record = host.notification("log")
    assert record == {"level": "info", "logger": "odd", "message": "the message"}


def test_flood_of_records_waits_for_the_host_and_is_not_stored(
    ends: tuple[HostEnd, Wiring], wait_until: WaitUntil
) -> None:
    host, wiring = ends
    make_ready(host, wiring)
    sent: list[int] = []

    def flood() -> None:
        for number in range(200):
            wiring.log("info", "flood", "x" * 50_000, {})
            sent.append(number)

    threads = [threading.Thread(target=flood) for _ in range(3)]
    for thread in threads:
        thread.start()
    seen = -1
    while seen != len(sent):  # until nobody gets on any more
        seen = len(sent)
        select.select([], [], [], 0.2)
    assert seen < 300
    assert wiring.outbox.bulk_bytes < 4 << 20
    for _ in range(600):
        host.notification("log")
    for thread in threads:
        thread.join(5)
    assert len(sent) == 600


def test_answer_overtakes_the_records_that_wait(ends: tuple[HostEnd, Wiring]) -> None:
    host, wiring = ends
    make_ready(host, wiring)
    with wiring.mutex:
        for number in range(10):
            wiring._put_log({"level": "info", "logger": "a", "message": str(number)})
        wiring.put(wiring.connection.send_notification("command.changed", {"commands": ["first"]}))
    wiring.flush()
    names: list[str] = []
    while len(names) < 11:
        host.read(5)
        names += [event.method for event in host.events if isinstance(event, NotificationReceived)]
        host.events.clear()
    assert names == ["command.changed", *["log"] * 10]


def test_messages_of_many_threads_arrive_whole_and_each_threads_in_order(
    ends: tuple[HostEnd, Wiring],
) -> None:
    host, wiring = ends
    make_ready(host, wiring)

    def send(name: str) -> None:
        for number in range(300):
            wiring.notify(
                "command.changed", {"from": name, "number": number, "pad": "x" * (number % 7 * 999)}
            )
            wiring.flush()

    threads = [threading.Thread(target=send, args=[f"t{n}"]) for n in range(4)]
    for thread in threads:
        thread.start()
    got: dict[str, list[int]] = {f"t{n}": [] for n in range(4)}
    for _ in range(1200):
        params = host.notification("command.changed")
        got[params["from"]].append(params["number"])
    for thread in threads:
        thread.join(5)
    assert all(numbers == list(range(300)) for numbers in got.values())


def test_host_that_is_gone_is_noticed_and_what_waits_is_forgotten(ends: tuple[HostEnd, Wiring]) -> None:
    host, wiring = ends
    make_ready(host, wiring)
    host.sock.close()
    wiring.notify("command.changed", {"commands": []})
    wiring.flush()
    assert wiring.is_broken
    assert not wiring.outbox
    wiring.notify("command.changed", {"commands": []})
    wiring.log("info", "a", "to nobody", {})
    wiring.progress(1, 1, None, "")
    wiring.fail(CallFailed("why", name="rpc.protocol"))
    assert not wiring.outbox


def test_answer_to_nobody_is_not_sent(ends: tuple[HostEnd, Wiring]) -> None:
    host, wiring = ends
    make_ready(host, wiring)
    with wiring.mutex:
        wiring.answer(77, "nobody asked")
        wiring.refuse(77, CallFailed("nobody asked"))
    assert not wiring.outbox


def test_forked_child_has_no_wire(capfd: pytest.CaptureFixture[str]) -> None:
    """A child that an author forks must neither answer nor log over its parent's connection."""
    plugin = Plugin("demo", version="1.0.0")

    @plugin.command("echo")
    def echo(ctx: Any, value: Any = None) -> Any:
        return value

    with serving(plugin) as host:
        wiring = host.server.wiring
        pid = os.fork()
        if pid == 0:
            try:
                wiring.disown()
                wiring.log("warning", "child", "said by the child", {})
                wiring.notify("command.changed", {"commands": ["by the child"]})
                with wiring.mutex:
                    wiring.answer(0, "answered by the child")
                wiring.flush()
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert host.call("echo", {"value": 1}) == 1
        assert host.hears_nothing()
    assert "warning child: said by the child" in capfd.readouterr().err


def test_draining_waits_for_what_another_thread_makes_and_writes(ends: tuple[HostEnd, Wiring]) -> None:
    host, wiring = ends
    make_ready_in_turn(host, wiring)
    made, drained = threading.Event(), threading.Event()

    def make() -> None:
        with wiring.mutex:
            made.set()
            assert not drained.wait(0.1)
            wiring.put(wiring.connection.send_notification("command.changed", {"commands": []}))

    def drain() -> None:
        made.wait(5)
        wiring.drain()
        drained.set()

    threads = [threading.Thread(target=make), threading.Thread(target=drain)]
    for thread in threads:
        thread.start()
    assert host.notification("command.changed") == {"commands": []}
    for thread in threads:
        thread.join(5)
    assert drained.is_set()


def make_ready_in_turn(host: HostEnd, wiring: Wiring) -> None:
    starter = threading.Thread(target=make_ready, args=[host, wiring])
    starter.start()
    starter.join(5)
