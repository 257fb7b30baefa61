"""The order of what waits to be written: control first, streams by turns, each stream in its order."""

from __future__ import annotations

from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.lane import Outbox


def take(outbox: Outbox) -> bytes | None:
    piece = outbox.take()
    return None if piece is None else b"".join(piece)


def take_all(outbox: Outbox) -> list[bytes]:
    taken = []
    while (piece := take(outbox)) is not None:
        taken.append(piece)
    return taken


def test_empty_outbox_has_nothing_to_write() -> None:
    outbox = Outbox()
    assert not outbox
    assert outbox.take() is None


def test_control_messages_come_together_in_their_order() -> None:
    outbox = Outbox()
    for data in (b"one", b"two", b"three"):
        outbox.put(data)
    assert outbox
    assert outbox.control_bytes == 11
    assert take(outbox) == b"onetwothree"
    assert not outbox
    assert outbox.control_bytes == 0


def test_single_control_message_is_not_copied() -> None:
    outbox, data = Outbox(), bytes(1000)
    outbox.put(data)
    piece = outbox.take()
    assert piece is not None
    assert piece[0] is data


def test_no_bytes_are_no_message() -> None:
    outbox = Outbox()
    outbox.put(b"")
    assert not outbox
    assert outbox.take() is None


def test_control_overtakes_bulk() -> None:
    outbox = Outbox()
    outbox.put_bulk(2, (b"bulk 1",))
    outbox.put_bulk(3, (b"bulk 2",))
    outbox.put(b"key")
    assert take(outbox) == b"key"
    assert take(outbox) == b"bulk 1"
    outbox.put(b"key")
    assert take_all(outbox) == [b"key", b"bulk 2"]


def test_stream_that_is_alone_is_taken_four_frames_at_a_time() -> None:
    outbox = Outbox()
    for number in range(6):
        outbox.put_bulk(2, (b"header", bytes([number]) * (65_536 - 6)))
    piece = outbox.take()
    assert piece is not None
    assert [data[0] for data in piece[1::2]] == [0, 1, 2, 3]
    assert outbox.bulk_bytes == 2 * 65_536
    outbox.put_bulk(4, (b"other",))
    assert take(outbox) == b"header" + bytes([4]) * (65_536 - 6), "and by turns when it is not"
    assert take_all(outbox) == [b"other", b"header" + bytes([5]) * (65_536 - 6)]
    assert (outbox.bulk_bytes, bool(outbox)) == (0, False)


def test_keystroke_waits_for_one_frame_among_many_streams() -> None:
    outbox = Outbox()
    for stream in range(50):
        for _ in range(16):
            outbox.put_bulk(stream, (b"header", bytes(65_536)))
    assert len(take(outbox) or b"") == 6 + 65_536
    outbox.put(b"key")
    assert take(outbox) == b"key"


def test_streams_take_turns_one_piece_each() -> None:
    outbox = Outbox()
    for piece in (b"a1", b"a2", b"a3"):
        outbox.put_bulk("a", (piece,))
    for piece in (b"b1", b"b2"):
        outbox.put_bulk("b", (piece,))
    assert take(outbox) == b"a1"
    outbox.put_bulk("c", (b"c1",))
    assert take_all(outbox) == [b"b1", b"a2", b"c1", b"b2", b"a3"]


def test_stream_that_comes_back_waits_for_its_turn() -> None:
    outbox = Outbox()
    outbox.put_bulk("a", (b"a1",))
    outbox.put_bulk("b", (b"b1",))
    assert take(outbox) == b"a1"
    outbox.put_bulk("a", (b"a2",))
    assert take_all(outbox) == [b"b1", b"a2"]


def test_piece_keeps_its_buffers_apart() -> None:
    outbox, payload = Outbox(), memoryview(b"payload")
    outbox.put_bulk(2, (b"header", payload))
    assert outbox.bulk_bytes == 13
    piece = outbox.take()
    assert piece is not None
    assert piece[1] is payload
    assert outbox.bulk_bytes == 0


def test_cleared_outbox_is_as_new() -> None:
    outbox = Outbox()
    outbox.put(b"x")
    outbox.put_bulk(1, (b"y",))
    outbox.clear()
    assert not outbox
    assert (outbox.control_bytes, outbox.bulk_bytes, outbox.take()) == (0, 0, None)
    outbox.put_bulk(1, (b"z",))
    assert take_all(outbox) == [b"z"]


def test_outbox_shows_what_waits() -> None:
    outbox = Outbox()
    outbox.put(b"abc")
    outbox.put_bulk(1, (b"defg",))
    assert repr(outbox) == "Outbox(control=3, bulk=4, keys=1)"


actions = st.lists(
    st.tuples(st.just("control"), st.none())
    | st.tuples(st.just("bulk"), st.integers(0, 3))
    | st.tuples(st.just("take"), st.none()),
    max_size=60,
)


@given(actions)
def test_nothing_is_lost_doubled_or_out_of_order_within_its_lane(
    steps: list[tuple[str, int | None]],
) -> None:
    outbox, put, taken = Outbox(), dict[Hashable, list[bytes]](), dict[Hashable, list[bytes]]()
    for number, (action, key) in enumerate(steps):
        data = f"{key}:{number};".encode()
        if action == "control":
            outbox.put(data)
        elif action == "bulk":
            outbox.put_bulk(key, (data[:2], data[2:]))
        if action != "take":
            put.setdefault(key, []).append(data)
            continue
        collect(take(outbox), taken)
    waiting = sum(len(data) for parts in put.values() for data in parts)
    waiting -= sum(len(data) for parts in taken.values() for data in parts)
    assert outbox.control_bytes + outbox.bulk_bytes == waiting
    for piece in take_all(outbox):
        collect(piece, taken)
    assert taken == put
    assert outbox.control_bytes == outbox.bulk_bytes == 0


def collect(piece: bytes | None, taken: dict[Hashable, list[bytes]]) -> None:
    for data in (piece or b"").split(b";")[:-1]:
        name = data.partition(b":")[0].decode()
        taken.setdefault(None if name == "None" else int(name), []).append(data + b";")
