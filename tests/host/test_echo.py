"""What the host had sent and a program sends back is not shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plugin_host.echo import NOTICE, without_echo
from plugin_host.launchfailure import LaunchFacts, timed_out
from plugin_host_sdk.connection import HOST, Connection
from plugin_host_sdk.handshake import Limits, initialize_params


def initialize() -> bytes:
    """The first message of a host, as it goes over the wire."""
    params = initialize_params(
        plugin="demo", host={"name": "h", "version": "1"}, limits=Limits(), settings={"key": "secret"}
    )
    return Connection(HOST).send_initialize(params)


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_own_message_is_cut_out_with_all_behind_it(before: bytes, after: bytes) -> None:
    shown = without_echo(before + initialize() + after)
    assert shown == before + NOTICE
    assert b"secret" not in shown


@given(st.binary(max_size=200))
def test_other_output_is_passed_on(data: bytes) -> None:
    if b"\x94\x00\xce" not in data:
        assert without_echo(data) == data


def test_program_that_sends_back_what_it_reads_is_told_so() -> None:
    error = timed_out(LaunchFacts("demo", ["cat"], stray=initialize()), 1)
    assert error.hint == "it sends back what it is sent: is this program a plugin?"
    assert "secret" not in str(error)
