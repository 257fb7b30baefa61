"""Hostile bytes cost no more memory than honest ones: every limit holds before the memory is spent."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import msgpack
import pytest

from plugin_host_sdk.connection import HOST, Connection
from plugin_host_sdk.events import Event, Failed, NotificationReceived, RequestRefused
from plugin_host_sdk.protocol import FRAME_BYTES, MESSAGE_BYTES, PENDING_REQUESTS
from plugin_host_sdk.wire import Decoder
from tests.pair import ConnectionPair

pytestmark = pytest.mark.edges

MIB = 1024 * 1024
READ_BYTES = FRAME_BYTES


class Peak:
    """The most memory that was held at once inside `measured`."""

    bytes = 0


@contextmanager
def measured() -> Iterator[Peak]:
    peak = Peak()
    gc.collect()
    tracemalloc.start()
    try:
        yield peak
        peak.bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def receive(connection: Connection, data: bytes) -> list[Event]:
    """Feed `data` in reads as a driver makes them."""
    view = memoryview(data)
    events = []
    for at in range(0, len(data), READ_BYTES):
        events += connection.receive_data(view[at : at + READ_BYTES])
    return events


def array32(count: int) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big")


# What the bytes are: the bytes, and the MiB that they may cost.
INCOMPLETE = {
    "nested lists that claim a million items each": (array32(MIB) * 1000, 80),
    "nested lists that claim 65,535 items each": (b"\xdc\xff\xff" * 1000, 80),
    "half of a text": (b"\xdb" + (MESSAGE_BYTES - 5).to_bytes(4, "big") + b"x" * 8 * MIB, 30),
}
REFUSED = {
    "a list that claims 4 Gi items": (b"\x93\x02\xa1x" + array32(2**32 - 1), 1),
    "a map that claims 4 Gi items": (b"\x93\x02\xa1x\xdf\xff\xff\xff\xff", 1),
    "a text of 4 GiB": (b"\x93\x02\xa1x\xdb\xff\xff\xff\xff" + b"x" * 17 * MIB, 1),
    "bytes of 4 GiB": (b"\x93\x02\xa1x\xc6\xff\xff\xff\xff" + b"x" * 17 * MIB, 1),
    "an extension value of 4 GiB": (b"\x93\x02\xa1x\xc9\xff\xff\xff\xff\x05" + b"x" * MIB, 1),
    "a byte over 16 MiB": (b"\xc6" + MESSAGE_BYTES.to_bytes(4, "big") + bytes(MESSAGE_BYTES), 1),
    "lists in lists without end": (b"\x91" * MIB, 2),
    "maps in maps without end": (b"\x81\xc0" * MIB, 2),
    "100,001 lists": (array32(100_001) + b"\x90" * 100_001, 14),
    "100,001 maps": (array32(100_001) + b"\x80" * 100_001, 14),
    "100,001 extension values": (array32(100_001) + b"\xd4\x05x" * 100_001, 26),
    "16 MiB of empty lists in one list": ((array32(MIB) + b"\x90" * (MIB - 1)) * 16, 24),
    "16 MiB of empty lists, a message each": (b"\x90" * 16 * MIB, 10),
    "random opcodes": (bytes(range(256)) * 65_536, 2),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_bytes_are_refused_in_bounded_memory(name: str) -> None:
    data, most_mib = REFUSED[name]
    connection = Connection(HOST, raw=True)
    with measured() as peak:
        events = receive(connection, data)
    assert [type(event) for event in events] == [Failed]
    assert peak.bytes < most_mib * MIB


@pytest.mark.parametrize("name", INCOMPLETE)
def test_beginning_of_a_message_takes_bounded_memory(name: str) -> None:
    data, most_mib = INCOMPLETE[name]
    connection = Connection(HOST, raw=True)
    with measured() as peak:
        assert receive(connection, data) == []
    assert peak.bytes < most_mib * MIB
    assert [type(event) for event in connection.receive_data(b"")] == [Failed]


@pytest.mark.parametrize("name", REFUSED)
def test_failed_connection_keeps_nothing_of_what_it_refused(name: str) -> None:
    connection = Connection(HOST, raw=True)
    gc.collect()
    gc.disable()  # so that a reference cycle is seen
    try:
        with measured():
            events = receive(connection, REFUSED[name][0])
            kept = tracemalloc.get_traced_memory()[0]
    finally:
        gc.enable()
    assert [type(event) for event in events] == [Failed]
    assert kept < 100_000


def test_refused_message_is_let_go_wherever_it_broke_the_protocol() -> None:
    payload = b"x" * 4 * MIB
    for message in ([5, payload], [2, payload, [{}]], [1, 9, None, payload], [2, "x", payload]):
        host = ConnectionPair().initialize().host
        data = msgpack.packb(message)
        gc.collect()
        gc.disable()
        try:
            with measured():
                (event,) = receive(host, data)
                kept = tracemalloc.get_traced_memory()[0]
        finally:
            gc.enable()
        assert isinstance(event, Failed)
        assert kept < 200_000, message[0]


def test_good_message_of_the_limit_takes_a_few_times_its_size() -> None:
    size = MESSAGE_BYTES - 100
    data = b"\x93\x02\xa1x\x91\xc6" + size.to_bytes(4, "big") + bytes(size)
    connection = Connection(HOST, raw=True)
    with measured() as peak:
        (event,) = receive(connection, data)
    assert isinstance(event, NotificationReceived)
    assert peak.bytes < 4 * MESSAGE_BYTES


def test_room_of_large_messages_is_given_back() -> None:
    pair = ConnectionPair().initialize()
    with measured():
        for _ in range(3):
            pair.to_plugin(pair.host.send_notification("failure", {"data": bytes(8 * MIB)}))
        kept = tracemalloc.get_traced_memory()[0]
    assert kept < MIB


@pytest.mark.parametrize("size", [10_000, 50_000])  # the unpacker has room for either
def test_pieces_of_a_message_are_let_go_when_it_is_complete(size: int) -> None:
    decoder = Decoder()
    data = msgpack.packb([2, "x", [{"a": b"x" * size}]])
    with measured() as peak:
        messages = decoder.feed(data[:6000])
        for at in range(6000, len(data), READ_BYTES):
            messages += decoder.feed(data[at : at + READ_BYTES])
        assert len(messages) == 1
        del messages
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0]
    assert kept < 5000 < peak.bytes


def test_long_method_names_are_not_remembered() -> None:
    pair = ConnectionPair().initialize()
    with measured():
        for number in range(300):
            method = f"{number}" * 10_000
            (event,) = pair.to_plugin(msgpack.packb([2, method, [{}]]))
            assert isinstance(event, NotificationReceived)
            event = None  # type: ignore[assignment]
        kept = tracemalloc.get_traced_memory()[0]
    assert kept < MIB


def test_number_of_remembered_method_names_is_bounded() -> None:
    pair = ConnectionPair().initialize()
    with measured():
        for number in range(20_000):
            pair.to_plugin(msgpack.packb([2, f"method.{number}", [{}]]))
        kept = tracemalloc.get_traced_memory()[0]
    assert kept < MIB // 2


def test_flood_of_stops_for_streams_that_were_never_opened_is_bounded() -> None:
    pair = ConnectionPair().initialize()
    with measured():
        for stream in range(1, 40_001, 2):
            assert pair.to_host(msgpack.packb([2, "stream.stop", [stream, "x" * 1000]])) == []
        kept = tracemalloc.get_traced_memory()[0]
    assert kept < MIB


def test_flood_of_requests_is_refused_beyond_the_limit() -> None:
    pair = ConnectionPair().initialize()
    refused = 0
    for msgid in range(PENDING_REQUESTS + 1000):
        (event,) = pair.to_plugin(msgpack.packb([0, msgid, "command.call", [{}]]))
        if isinstance(event, RequestRefused):
            pair.plugin.send_error(event.msgid, event.error)
            refused += 1
    assert refused == 1000
    assert len(pair.plugin.incoming) == PENDING_REQUESTS
