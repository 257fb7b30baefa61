"""Byte streams: opened by requests alone, within credit, without holes, and never reused."""

from __future__ import annotations

from collections.abc import Callable

import msgpack
import pytest

from plugin_host_sdk.errors import LocalProtocolError
from plugin_host_sdk.events import CreditReceived, DataReceived, EndReceived, GapReceived, StopReceived
from plugin_host_sdk.handshake import Limits
from plugin_host_sdk.protocol import FRAME_BYTES, HOST, PEER_OF, PLUGIN, WINDOW_BYTES
from tests.pair import ConnectionPair, only

each_sender = pytest.mark.parametrize("sender", [HOST, PLUGIN])


@pytest.fixture(params=[False, True], ids=["whole", "byte_at_a_time"])
def pair(request: pytest.FixtureRequest) -> ConnectionPair:
    """Two connections in READY."""
    return ConnectionPair(byte_at_a_time=request.param).initialize()


def test_ids_of_the_host_are_even_and_of_the_plugin_odd_and_rise(pair: ConnectionPair) -> None:
    assert [pair.host.streams.reserve() for _ in range(4)] == [2, 4, 6, 8]
    assert [pair.plugin.streams.reserve() for _ in range(4)] == [1, 3, 5, 7]


@each_sender
def test_bytes_arrive_at_their_offsets(pair: ConnectionPair, sender: str) -> None:
    stream = pair.open_stream(sender, 1000)
    streams = pair.end(sender).streams
    parts = [b"one", b"twotwo", bytes(300)]
    events = [event for part in parts for event in pair.deliver(sender, streams.send_data(stream, part))]
    assert events == [
        DataReceived(stream, 0, b"one"),
        DataReceived(stream, 3, b"twotwo"),
        DataReceived(stream, 9, bytes(300)),
    ]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_payload_is_not_copied(pair: ConnectionPair, kind: Callable[[bytes], bytes]) -> None:
    stream = pair.open_stream(HOST, 1000)
    payload = kind(b"payload")
    header, sent = pair.host.streams.send_data(stream, payload)
    assert sent is payload
    assert pair.to_plugin([header, sent]) == [DataReceived(stream, 0, b"payload")]


@each_sender
def test_end_carries_the_total_and_is_the_last_frame(pair: ConnectionPair, sender: str) -> None:
    stream = pair.open_stream(sender, 1000)
    streams = pair.end(sender).streams
    pair.deliver(sender, streams.send_data(stream, b"12345"))
    assert pair.deliver(sender, streams.send_end(stream)) == [EndReceived(stream, 5, None)]
    for send in (
        lambda: streams.send_data(stream, b"x"),
        lambda: streams.send_gap(stream, 1),
        lambda: streams.send_end(stream),
    ):
        with pytest.raises(LocalProtocolError, match=f"stream {stream} is not open for sending"):
            send()
    assert not streams.sending
    assert not pair.end(PEER_OF[sender]).streams.receiving


def test_end_of_a_stream_without_bytes_carries_zero(pair: ConnectionPair) -> None:
    stream = pair.open_stream(HOST, 1000)
    assert pair.to_plugin(pair.host.streams.send_end(stream)) == [EndReceived(stream, 0)]


def test_end_may_carry_an_error(pair: ConnectionPair) -> None:
    stream = pair.open_stream(PLUGIN, 1000)
    error = {"name": "exec.died", "message": "gone"}
    assert pair.to_host(pair.plugin.streams.send_end(stream, error)) == [EndReceived(stream, 0, error)]


def test_gap_counts_into_offsets_and_total_and_costs_no_credit(pair: ConnectionPair) -> None:
    stream = pair.open_stream(PLUGIN, 10)
    streams = pair.plugin.streams
    assert pair.to_host(streams.send_gap(stream, 2**40)) == [GapReceived(stream, 0, 2**40)]
    assert pair.to_host(streams.send_data(stream, bytes(10))) == [DataReceived(stream, 2**40, bytes(10))]
    assert pair.to_host(streams.send_gap(stream, 5)) == [GapReceived(stream, 2**40 + 10, 5)]
    assert pair.to_host(streams.send_end(stream)) == [EndReceived(stream, 2**40 + 15)]


@pytest.mark.parametrize("size", [0, -1])
def test_gap_without_bytes_is_refused(pair: ConnectionPair, size: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"a gap of {size} bytes"):
        pair.host.streams.send_gap(pair.open_stream(HOST, 10), size)


# Credit.


def test_no_credit_exists_before_the_answer_names_it(pair: ConnectionPair) -> None:
    stream = pair.host.streams.reserve()
    outbound = pair.host.streams.open_send(stream)
    with pytest.raises(LocalProtocolError, match="credit for 0"):
        pair.host.streams.send_data(stream, b"x")
    outbound.window.add(1)
    pair.host.streams.send_data(stream, b"x")


def test_sender_cannot_spend_beyond_its_credit(pair: ConnectionPair) -> None:
    stream = pair.open_stream(HOST, 10)
    pair.to_plugin(pair.host.streams.send_data(stream, bytes(6)))
    with pytest.raises(LocalProtocolError, match="5 bytes to send and credit for 4"):
        pair.host.streams.send_data(stream, bytes(5))
    last = pair.host.streams.send_data(stream, b"last")
    assert pair.to_plugin(last) == [DataReceived(stream, 6, b"last")]


def test_reader_grants_when_half_a_window_was_consumed(pair: ConnectionPair) -> None:
    stream = pair.open_stream(HOST, 100)
    pair.to_plugin(pair.host.streams.send_data(stream, bytes(100)))
    assert pair.plugin.streams.consume(stream, 49) == b""
    grant = pair.plugin.streams.consume(stream, 1)
    assert pair.to_host(grant) == [CreditReceived(stream, 50)]
    pair.to_plugin(pair.host.streams.send_data(stream, bytes(50)))
    with pytest.raises(LocalProtocolError, match="credit for 0"):
        pair.host.streams.send_data(stream, b"x")


def test_reading_what_came_of_an_ended_stream_grants_nothing(pair: ConnectionPair) -> None:
    stream = pair.open_stream(HOST, 100)
    pair.to_plugin(pair.host.streams.send_data(stream, bytes(100)))
    pair.to_plugin(pair.host.streams.send_end(stream))
    assert pair.plugin.streams.consume(stream, 100) == b""


def test_grant_that_crosses_the_end_is_dropped(pair: ConnectionPair) -> None:
    stream = pair.open_stream(HOST, 10)
    pair.to_plugin(pair.host.streams.send_data(stream, bytes(10)))
    grant = pair.plugin.streams.consume(stream, 10)
    end = pair.host.streams.send_end(stream)
    assert pair.to_host(grant) == []
    assert pair.host.streams.dropped == 1
    assert pair.to_plugin(end) == [EndReceived(stream, 10)]


def test_frame_carries_at_most_what_the_peer_takes(pair: ConnectionPair) -> None:
    stream = pair.open_stream(HOST, WINDOW_BYTES)
    for size in (0, FRAME_BYTES + 1):
        with pytest.raises(LocalProtocolError, match=f"carries 1 to {FRAME_BYTES} bytes, not {size}"):
            pair.host.streams.send_data(stream, bytes(size))
    assert len(pair.to_plugin(pair.host.streams.send_data(stream, bytes(FRAME_BYTES)))) == 1


def test_window_is_at_most_what_this_side_said_it_takes() -> None:
    pair = ConnectionPair(plugin_limits=Limits(window_bytes=4096)).initialize()
    pair.plugin.streams.open_receive(2, 4096)
    with pytest.raises(LocalProtocolError, match="a window of 4097 bytes is over"):
        pair.plugin.streams.open_receive(4, 4097)
    with pytest.raises(LocalProtocolError, match="would never let anything through"):
        pair.plugin.streams.open_receive(6, 0)
    assert list(pair.plugin.streams.receiving) == [2]


# Stop.


@each_sender
def test_stopped_sender_sends_only_the_end(pair: ConnectionPair, sender: str) -> None:
    stream = pair.open_stream(sender, 1000)
    ours, theirs = pair.end(sender).streams, pair.end(PEER_OF[sender]).streams
    pair.deliver(sender, ours.send_data(stream, b"before"))
    stop = theirs.send_stop(stream, "enough")
    assert pair.deliver(PEER_OF[sender], stop) == [StopReceived(stream, "enough")]
    for send in (lambda: ours.send_data(stream, b"x"), lambda: ours.send_gap(stream, 1)):
        with pytest.raises(LocalProtocolError, match=f"the peer has stopped stream {stream}"):
            send()
    assert pair.deliver(sender, ours.send_end(stream)) == [EndReceived(stream, 6)]


def test_what_crosses_a_stop_is_counted_and_dropped_and_its_total_still_checked(
    pair: ConnectionPair,
) -> None:
    stream = pair.open_stream(PLUGIN, 1000)
    data = pair.plugin.streams.send_data(stream, b"12345")
    gap = pair.plugin.streams.send_gap(stream, 3)
    stop = pair.host.streams.send_stop(stream)
    assert pair.to_host(data) == []
    assert pair.to_host(gap) == []
    assert pair.host.streams.dropped == 2
    assert pair.host.streams.consume(stream, 5) == b""
    assert pair.to_plugin(stop) == [StopReceived(stream)]
    assert pair.to_host(pair.plugin.streams.send_end(stream)) == [EndReceived(stream, 8)]


def test_stopped_stream_is_granted_nothing_more(pair: ConnectionPair) -> None:
    stream = pair.open_stream(PLUGIN, 100)
    pair.to_host(pair.plugin.streams.send_data(stream, bytes(100)))
    pair.host.streams.send_stop(stream)
    assert pair.host.streams.consume(stream, 100) == b""


def test_stop_that_crosses_the_end_does_nothing(pair: ConnectionPair) -> None:
    stream = pair.open_stream(PLUGIN, 1000)
    stop, end = pair.host.streams.send_stop(stream), pair.plugin.streams.send_end(stream)
    assert pair.to_plugin(stop) == []
    assert pair.to_host(end) == [EndReceived(stream, 0)]


def test_stop_may_overtake_the_opening_of_its_stream(pair: ConnectionPair) -> None:
    stream = pair.host.streams.reserve()
    pair.host.streams.open_receive(stream, 1000)
    assert pair.to_plugin(pair.host.streams.send_stop(stream)) == []
    assert pair.plugin.streams.open_send(stream, 1000).stopped
    with pytest.raises(LocalProtocolError, match="has stopped"):
        pair.plugin.streams.send_data(stream, b"x")
    assert pair.to_host(pair.plugin.streams.send_end(stream)) == [EndReceived(stream, 0)]


def test_stop_of_a_stream_that_is_never_opened_does_nothing(pair: ConnectionPair) -> None:
    stream = pair.host.streams.reserve()
    assert pair.to_plugin(pair.host.streams.send_stop(stream)) == []
    assert pair.to_plugin(pair.host.streams.send_stop(stream)) == []
    assert pair.plugin.state == "ready"


def test_any_number_of_streams_may_be_stopped_that_are_never_opened() -> None:
    pair = ConnectionPair().initialize()
    for _ in range(5000):
        stream = pair.host.streams.reserve()
        assert pair.to_plugin(pair.host.streams.send_stop(stream)) == []
    assert pair.plugin.streams.open_send(stream).stopped
    assert not pair.plugin.streams.open_send(2).stopped  # long forgotten


def test_end_of_nothing_with_an_error_may_overtake_the_opening_of_its_stream(pair: ConnectionPair) -> None:
    stream = pair.plugin.streams.reserve()
    pair.plugin.streams.open_send(stream, 0)
    assert pair.to_host(pair.plugin.streams.send_end(stream, {"name": "rpc.cancelled"})) == []
    with pytest.raises(LocalProtocolError, match="is or was open"):
        pair.host.streams.open_receive(stream, 1000)
    assert pair.host.state == "ready"
    for _ in range(5000):
        stream = pair.plugin.streams.reserve()
        pair.plugin.streams.open_send(stream, 0)
        assert pair.to_host(pair.plugin.streams.send_end(stream, {})) == []
    assert len(pair.host.streams._ended[1]) <= 4096


# Ids.


def test_id_is_never_used_again(pair: ConnectionPair) -> None:
    stream = pair.open_stream(HOST, 10)
    for end in (pair.host.streams, pair.plugin.streams):
        with pytest.raises(LocalProtocolError, match=f"stream {stream} is or was open"):
            end.open_receive(stream, 10)
        with pytest.raises(LocalProtocolError, match=f"stream {stream} is or was open"):
            end.open_send(stream, 10)
    pair.to_plugin(pair.host.streams.send_end(stream))
    for end in (pair.host.streams, pair.plugin.streams):
        with pytest.raises(LocalProtocolError, match=f"stream {stream} is or was open"):
            end.open_send(stream, 10)


def test_id_of_this_side_must_have_been_reserved(pair: ConnectionPair) -> None:
    for end, unreserved in ((pair.host.streams, 2), (pair.plugin.streams, 1)):
        with pytest.raises(LocalProtocolError, match=f"stream {unreserved} was never reserved"):
            end.open_send(unreserved, 10)
        with pytest.raises(LocalProtocolError, match=f"stream {unreserved} was never reserved"):
            end.open_receive(unreserved, 10)
        assert end.reserve() == unreserved
        end.open_send(unreserved, 10)


def test_frames_for_a_forgotten_stream_are_counted_and_dropped(pair: ConnectionPair) -> None:
    stream = pair.open_stream(PLUGIN, 1000)
    data = pair.plugin.streams.send_data(stream, b"x")
    gap = pair.plugin.streams.send_gap(stream, 1)
    end = pair.plugin.streams.send_end(stream)
    pair.host.streams.forget(stream)
    assert pair.to_host(b"".join([*data, gap, end])) == []
    assert pair.host.streams.dropped == 3
    with pytest.raises(LocalProtocolError, match="is or was open"):
        pair.host.streams.open_receive(stream, 10)


def test_forgetting_an_early_stop_leaves_nothing_behind(pair: ConnectionPair) -> None:
    stream = pair.host.streams.reserve()
    pair.to_plugin(pair.host.streams.send_stop(stream))
    pair.plugin.streams.forget(stream)
    assert pair.to_plugin(pair.host.streams.send_stop(stream)) == []
    with pytest.raises(LocalProtocolError, match="is or was open"):
        pair.plugin.streams.open_send(stream)


def test_forgetting_an_id_that_this_side_has_still_to_give_out_does_not_take_it_away(
    pair: ConnectionPair,
) -> None:
    pair.host.streams.forget(4)  # as a plugin might have named it
    assert [pair.host.streams.reserve() for _ in range(2)] == [2, 4]
    pair.host.streams.open_send(4, 10)


@each_sender
def test_thousands_of_ended_streams_take_no_id_from_the_others(sender: str) -> None:
    pair = ConnectionPair().initialize()
    oldest, waiting = pair.open_stream(sender, 10), pair.end(sender).streams.reserve()
    for _ in range(10_000):
        stream = pair.open_stream(sender, 10)
        pair.deliver(sender, pair.end(sender).streams.send_end(stream))
    other = pair.open_stream(PEER_OF[sender], 10)
    data = pair.end(PEER_OF[sender]).streams.send_data(other, b"x")
    assert pair.deliver(PEER_OF[sender], data) == [DataReceived(other, 0, b"x")]
    data = pair.end(sender).streams.send_data(oldest, b"y")
    assert pair.deliver(sender, data) == [DataReceived(oldest, 0, b"y")]
    assert pair.deliver(sender, pair.end(sender).streams.send_end(oldest)) == [EndReceived(oldest, 1)]
    for ended in (stream, oldest):
        with pytest.raises(LocalProtocolError, match="is or was open"):
            pair.end(sender).streams.open_send(ended)
    # Behind 4096 others, an id that was reserved and not opened counts as ended.
    with pytest.raises(LocalProtocolError, match="is or was open"):
        pair.end(sender).streams.open_send(waiting)


def test_old_streams_that_end_late_make_no_other_one_unknown() -> None:
    pair = ConnectionPair().initialize()
    old = [pair.open_stream(PLUGIN, 10) for _ in range(4000)]
    recent = [pair.open_stream(PLUGIN, 10) for _ in range(8000)]
    for stream in recent + old:
        pair.to_host(pair.plugin.streams.send_end(stream))
    late = msgpack.packb([2, "stream.data", [recent[len(recent) // 2], 0, b"x"]])
    assert pair.to_host(late) == []
    assert pair.host.streams.dropped == 1


def test_streams_show_their_state(pair: ConnectionPair) -> None:
    stream = pair.open_stream(HOST, 10)
    pair.to_plugin(pair.host.streams.send_data(stream, b"abc"))
    sending = "{2: OutboundStream(offset=3, credit=7, stopped=False)}"
    assert repr(pair.host.streams) == f"StreamTable(sending={sending}, receiving={{}}, dropped=0)"
    assert "receiving={2: InboundStream(offset=3, credit=7, stopped=False)}" in repr(pair.plugin.streams)
    assert repr(pair.host) == "<Connection host ready pending=0 incoming=0 streams=1>"
    only(pair.to_plugin(pair.host.streams.send_end(stream)), EndReceived)
