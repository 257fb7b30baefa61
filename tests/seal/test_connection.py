"""The sealed connection as a state machine: what it tells, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.errors import (
    KeyMismatch,
    RecordForged,
    RecordMalformed,
    SealError,
    SealRefused,
    SealTruncated,
)
from plugin_host.seal.connection import Role, SealedConnection, State
from plugin_host.seal.event import Confirmed, Ended, Event, Failed, KeyNeeded, MessageReceived
from plugin_host.seal.record import Kind, header
from plugin_host.seal.refusal import Refusal
from plugin_host_sdk.errors import LocalProtocolError
from tests.seal.pair import CLIENT_NONCE, KEY, OTHER_KEY, agreed, fresh, keys, shake

pytestmark = pytest.mark.edges

MESSAGES = st.lists(st.binary(max_size=64), min_size=1, max_size=6)


def messages(events: list[Event]) -> list[bytes]:
    return [event.data for event in events if isinstance(event, MessageReceived)]


def failure(events: list[Event]) -> SealError:
    last = events[-1]
    assert isinstance(last, Failed), events
    return last.error


@given(MESSAGES, st.data())
def test_any_split_of_the_bytes_gives_the_same_messages(sent: list[bytes], data: st.DataObject) -> None:
    client, server = agreed()
    wire = b"".join(client.send_message(one) for one in sent) + client.send_end()
    events = []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        events += server.receive_data(wire[:size])
        wire = wire[size:]
    assert messages(events) == sent
    assert events[-1] == Ended()
    assert server.receive_data(b"") == []


@given(MESSAGES, st.data())
def test_any_flipped_bit_ends_the_connection_and_nothing_wrong_is_told(
    sent: list[bytes], data: st.DataObject
) -> None:
    client, server = agreed()
    wire = bytearray(b"".join(client.send_message(one) for one in sent))
    bit = data.draw(st.integers(0, 8 * len(wire) - 1))
    wire[bit // 8] ^= 1 << bit % 8
    events = server.receive_data(wire) + server.receive_data(b"")
    told = messages(events)
    assert told == sent[: len(told)]
    assert len(told) < len(sent)
    assert isinstance(failure(events), SealError)
    assert server.receive_data(client.send_message(b"later")) == []


@given(st.data())
def test_any_flipped_bit_of_the_handshake_prevents_agreement(data: st.DataObject) -> None:
    client, server = fresh()
    hello = client.data_to_send()
    server.keyed(keys(KEY, CLIENT_NONCE + server._hello[8:])) if server.receive_data(hello) else None
    reply = server.data_to_send()
    client.receive_data(reply)
    client.keyed(keys(KEY, CLIENT_NONCE + server._hello[8:]))
    proof = bytearray(client.data_to_send())
    bit = data.draw(st.integers(0, 8 * len(proof) - 1))
    proof[bit // 8] ^= 1 << bit % 8
    assert Confirmed() not in server.receive_data(proof) + server.receive_data(b"")
    assert server.state is State.FAILED


@pytest.mark.parametrize(
    "order", [(0, 0), (1, 0), (0, 2), (0, 1, 0)], ids=["replay", "swap", "drop", "late"]
)
def test_replayed_reordered_and_missing_records_are_refused(order: tuple[int, ...]) -> None:
    client, server = agreed()
    wire = [client.send_message(bytes((number,))) for number in range(3)]
    events = server.receive_data(b"".join(wire[number] for number in order))
    assert messages(events) == [bytes((n,)) for i, n in enumerate(order) if n == i]
    assert isinstance(failure(events), RecordForged)
    assert "replayed" in str(failure(events))


def test_a_record_that_is_sent_back_is_refused() -> None:
    client, _ = agreed()
    assert isinstance(failure(client.receive_data(client.send_message(b"mirror"))), RecordForged)


def test_a_record_of_an_earlier_connection_is_refused() -> None:
    client, _ = agreed()
    old = client.send_message(b"again")
    _, server = fresh()
    other = SealedConnection(Role.CLIENT, b"n" * 16)
    shake(other, server)
    assert isinstance(failure(server.receive_data(old)), RecordForged)


def test_a_message_record_does_not_pass_for_an_end() -> None:
    client, server = agreed()
    record = bytearray(client.send_message(b""))
    record[3] = Kind.END
    assert isinstance(failure(server.receive_data(record)), RecordForged)


def test_a_wrong_key_is_explained_on_both_sides_and_is_no_clean_end() -> None:
    client, server = fresh()
    at_client, at_server = shake(client, server, client_key=OTHER_KEY)
    assert isinstance(failure(at_server), KeyMismatch)
    assert isinstance(failure(at_client), KeyMismatch)
    assert "compare the two key files" in str(failure(at_client))
    assert not any(isinstance(event, (Confirmed, Ended)) for event in at_client + at_server)


def test_a_server_that_does_not_know_the_key_is_not_believed() -> None:
    client, server = fresh()
    hello = client.data_to_send()
    server.receive_data(hello)
    client.receive_data(server.data_to_send())
    client.keyed(keys(KEY, CLIENT_NONCE + server._hello[8:]))
    events = client.receive_data(header(Kind.SERVER_PROOF, 32) + b"x" * 32)
    assert isinstance(failure(events), KeyMismatch)


def test_two_clients_do_not_talk_to_each_other() -> None:
    one, other = fresh()[0], fresh()[0]
    events = one.receive_data(other.data_to_send())
    assert isinstance(failure(events), RecordMalformed)
    assert "client hello" in str(failure(events))


@pytest.mark.parametrize("cut", [1, 7, 8, 20])
def test_bytes_that_end_in_a_record_are_truncation(cut: int) -> None:
    client, server = agreed()
    server.receive_data(client.send_message(b"0123456789")[:cut])
    assert isinstance(failure(server.receive_data(b"")), SealTruncated)


def test_bytes_that_end_between_records_are_truncation_unless_the_end_was_told() -> None:
    client, server = agreed()
    server.receive_data(client.send_message(b"one"))
    assert isinstance(failure(server.receive_data(b"")), SealTruncated)
    client, server = agreed()
    assert server.receive_data(client.send_end()) == [Ended()]
    assert server.receive_data(b"") == []


@pytest.mark.parametrize("state", [State.HELLO, State.KEY, State.PROOF])
def test_an_end_before_the_keys_are_confirmed_says_what_was_missing(state: State) -> None:
    client, server = fresh()
    if state is not State.HELLO:
        server.receive_data(client.data_to_send())
    if state is State.PROOF:
        server.keyed(keys(KEY, CLIENT_NONCE + server._hello[8:]))
    assert server.state is state
    assert "before" in str(failure(server.receive_data(b"")))


def test_nothing_follows_the_end() -> None:
    client, server = agreed()
    end = client.send_end()
    with pytest.raises(LocalProtocolError, match="nothing more"):
        client.send_message(b"late")
    events = server.receive_data(end + end)
    assert isinstance(failure(events), RecordMalformed)


@pytest.mark.parametrize("length", [0, 1, 15, 1024 + 17, 2**31, 2**32 - 1])
def test_wrong_lengths_are_refused_by_the_header_alone(length: int) -> None:
    _, server = agreed(limit=1024)
    events = server.receive_data(header(Kind.MESSAGE, length))
    error = failure(events)
    assert isinstance(error, RecordMalformed)
    assert str(length) in str(error)
    assert len(server._in) == 0


def test_a_frame_of_eight_bytes_and_no_body_is_a_named_error_without_the_key() -> None:
    _, server = fresh()
    events = server.receive_data(header(Kind.CLIENT_HELLO, 0))
    assert isinstance(failure(events), RecordMalformed)
    assert "length 0" in str(failure(events))
    assert server.data_to_send() == header(Kind.REFUSAL, 1) + bytes((Refusal.RECORD,))


def test_messages_before_the_proof_are_refused() -> None:
    client, _ = agreed()
    early = client.send_message(b"run this")
    client, server = fresh()
    assert isinstance(failure(server.receive_data(early)), RecordMalformed)


def test_bytes_while_the_keys_are_derived_are_bounded() -> None:
    client, server = fresh()
    server.receive_data(client.data_to_send())
    assert server.receive_data(b"x" * 40) == []
    assert isinstance(failure(server.receive_data(b"x")), RecordMalformed)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GET / HTTP/1.1\r\n", "begins with b'GET / HT'"),
        (b"\xf5S\x02\x01\x00\x00\x00\x10", "version 2"),
    ],
)
def test_other_protocols_and_versions_are_named(data: bytes, words: str) -> None:
    _, server = fresh()
    error = failure(server.receive_data(data))
    assert isinstance(error, SealRefused)
    assert words in str(error)


@given(st.binary(min_size=1, max_size=200))
def test_noise_never_does_more_than_end_the_connection(noise: bytes) -> None:
    for side in (*fresh(), *agreed()):
        events = side.receive_data(noise) + side.receive_data(b"")
        assert messages(events) == []
        assert isinstance(failure(events), SealError)


@pytest.mark.parametrize("reason", range(256))
def test_every_refusal_has_words(reason: int) -> None:
    client, _ = fresh()
    events = client.receive_data(header(Kind.REFUSAL, 1) + bytes((reason,)))
    assert isinstance(failure(events), SealRefused)


def test_nothing_can_be_sealed_before_agreement() -> None:
    client, _ = fresh()
    with pytest.raises(LocalProtocolError):
        client.send_message(b"early")


# A server with more than one key.


def test_a_server_with_another_key_left_is_asked_for_it_before_it_refuses() -> None:
    client, server = fresh()
    (needed,) = server.receive_data(client.data_to_send())
    assert isinstance(needed, KeyNeeded)
    client.receive_data(server.data_to_send())
    client.keyed(keys(OTHER_KEY, needed.salt))
    assert server.keyed(keys(KEY, needed.salt), is_last=False) == []
    assert server.receive_data(client.data_to_send()) == [needed]
    assert server.data_to_send() == b""
    assert server.keyed(keys(OTHER_KEY, needed.salt)) == [Confirmed()]
    assert client.receive_data(server.data_to_send()) == [Confirmed()]
    assert messages(server.receive_data(client.send_message(b"hello"))) == [b"hello"]
    assert messages(client.receive_data(server.send_message(b"there"))) == [b"there"]


def test_a_client_whose_key_is_none_of_the_servers_is_refused() -> None:
    client, server = fresh()
    (needed,) = server.receive_data(client.data_to_send())
    assert isinstance(needed, KeyNeeded)
    client.receive_data(server.data_to_send())
    client.keyed(keys(b"a third key that nobody knows", needed.salt))
    server.keyed(keys(KEY, needed.salt), is_last=False)
    server.receive_data(client.data_to_send())
    assert isinstance(failure(server.keyed(keys(OTHER_KEY, needed.salt))), KeyMismatch)
    assert isinstance(failure(client.receive_data(server.data_to_send())), KeyMismatch)


def test_a_proof_that_came_before_the_first_keys_is_tried_with_the_second() -> None:
    client, server = fresh()
    (needed,) = server.receive_data(client.data_to_send())
    assert isinstance(needed, KeyNeeded)
    client.receive_data(server.data_to_send())
    client.keyed(keys(OTHER_KEY, needed.salt))
    assert server.receive_data(client.data_to_send()) == []
    assert server.keyed(keys(KEY, needed.salt), is_last=False) == [needed]
    assert server.keyed(keys(OTHER_KEY, needed.salt)) == [Confirmed()]


def test_what_comes_behind_a_proof_while_other_keys_are_derived_is_refused() -> None:
    client, server = fresh()
    (needed,) = server.receive_data(client.data_to_send())
    assert isinstance(needed, KeyNeeded)
    client.receive_data(server.data_to_send())
    client.keyed(keys(OTHER_KEY, needed.salt))
    server.keyed(keys(KEY, needed.salt), is_last=False)
    events = server.receive_data(client.data_to_send() + b"x")
    assert isinstance(failure(events), RecordMalformed)
    assert server.state is State.FAILED
