"""One message sealed and opened, and the bytes that the format is made of."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host.errors import RecordForged, RecordMalformed, SealError
from plugin_host.seal import Opener, Sealer, decode_message, encode_message
from plugin_host.seal.codec import _MOST_RECORDS
from plugin_host.seal.key import proof
from plugin_host.seal.record import Kind, header
from plugin_host_sdk.errors import LocalProtocolError
from tests.seal.pair import CLIENT_NONCE, KEY, SERVER_NONCE, fresh, keys, shake

AES_KEY = bytes(range(32))


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_messages_come_out_as_they_went_in(sent: list[bytes]) -> None:
    sealer, opener = Sealer(AES_KEY), Opener(AES_KEY)
    assert [decode_message(opener, encode_message(sealer, one)) for one in sent] == sent


def test_an_empty_message_is_a_message() -> None:
    record = encode_message(Sealer(AES_KEY), b"")
    assert len(record) == 24
    assert decode_message(Opener(AES_KEY), record) == b""


def test_equal_messages_look_different() -> None:
    sealer = Sealer(AES_KEY)
    assert encode_message(sealer, b"same") != encode_message(sealer, b"same")


@pytest.mark.parametrize("size", [0, 1, 7, 8, 23, 128])
def test_noise_and_short_records_are_named_errors(size: int) -> None:
    with pytest.raises(SealError):
        decode_message(Opener(AES_KEY), random.Random(size).randbytes(size))


def test_a_valid_box_around_another_kind_is_refused() -> None:
    with pytest.raises(RecordMalformed, match="expected a message"):
        decode_message(Opener(AES_KEY), Sealer(AES_KEY).seal(Kind.END, b""))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_length_that_does_not_fit_is_refused(change: int) -> None:
    record = encode_message(Sealer(AES_KEY), b"text")
    wrong = record[:-1] if change < 0 else record + b"x"
    with pytest.raises(RecordMalformed, match="header says"):
        decode_message(Opener(AES_KEY), wrong)


def test_after_a_record_that_does_not_open_none_does() -> None:
    sealer, opener = Sealer(AES_KEY), Opener(AES_KEY)
    good = encode_message(sealer, b"text")
    with pytest.raises(RecordForged):
        decode_message(opener, good[:-1] + bytes((good[-1] ^ 1,)))
    with pytest.raises(RecordForged, match="nothing after it"):
        decode_message(opener, good)


def test_the_limit_is_that_of_the_message() -> None:
    sealer = Sealer(AES_KEY, 4)
    assert decode_message(Opener(AES_KEY, 4), encode_message(sealer, b"1234")) == b"1234"
    with pytest.raises(LocalProtocolError, match="at most 4"):
        encode_message(sealer, b"12345")


def test_no_key_seals_without_end() -> None:
    sealer, opener = Sealer(AES_KEY), Opener(AES_KEY)
    sealer.number = opener.number = _MOST_RECORDS - 1
    record = encode_message(sealer, b"last")
    assert decode_message(opener, record) == b"last"
    with pytest.raises(LocalProtocolError, match="connect anew"):
        encode_message(sealer, b"one more")
    with pytest.raises(RecordMalformed, match="connect anew"):
        decode_message(opener, record)


# Known answers: whoever changes these has another format, and needs another version.


def test_a_sealed_record_has_these_bytes() -> None:
    sealer = Sealer(AES_KEY)
    assert encode_message(sealer, b"hello").hex() == KNOWN[0]
    assert encode_message(sealer, b"").hex() == KNOWN[1]
    assert sealer.seal(Kind.END, b"").hex() == KNOWN[2]


def test_the_keys_are_these() -> None:
    found = keys(KEY, CLIENT_NONCE + SERVER_NONCE)
    assert found.client_seal.hex() == KNOWN[3]
    assert found.server_seal.hex() == KNOWN[4]
    assert proof(found.client_proof, b"said").hex() == KNOWN[5]
    assert proof(found.server_proof, b"said").hex() == KNOWN[6]
    assert "client_seal" not in repr(found)


def test_a_handshake_has_these_bytes() -> None:
    client, server = fresh()
    hello = client.data_to_send()
    assert hello == bytes.fromhex("f553010100000010") + CLIENT_NONCE
    client.receive_data(b"")
    client, server = fresh()
    shake(client, server)
    assert client.send_message(b"first").hex() == KNOWN[7]
    assert server.send_message(b"first").hex() == KNOWN[8]


def test_headers_have_these_bytes() -> None:
    assert header(Kind.MESSAGE, 0x01020304) == bytes.fromhex("f553010501020304")


KNOWN = [
    "f55301050000001566d9d9b2da9a926db2a37c0f19200c2bc7b6132e38",
    "f553010500000010cab0dfffbda01d5cffbae45c3d108a9a",
    "f5530106000000107e3b64578ac657bc37096edfb13e1401",
    "e58a4333797eff21579bd4ed69a5252589194ce632b9bfd26759100d3e8c8d55",
    "3cd9af2288a99f80c57581abecb8fa91feafaf946bb09acc4a23776bb5d84e89",
    "20d9c9e7827470a39c4ac52362e7d9a9e9aff7d4053e9e5a19dcf82c4b2d3979",
    "146879af9d92721cc7ccb07f5803f801f050f02962c8b70e6399c388a0bbbd1c",
    "f5530105000000154609e36675fca5a1f047ebd6faf789d4a49b3b19f0",
    "f553010500000015adde26cb2d0d4a8d675969741067eb48129ae2f248",
]
