"""Trace context, value by value as the W3C recommendation has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.tracecontext import TraceContext, is_tracestate, parse_traceparent, read_trace

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


def test_its_fields_are_read() -> None:
    parent = parse_traceparent(VALID)
    assert parent is not None
    assert (parent.version, parent.trace_id, parent.parent_id, parent.flags) == (0, TRACE, SPAN, 1)
    assert str(parent) == VALID


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("09", True), ("08", False), ("ff", True)]
)
def test_sampled_is_one_bit_of_eight(flags: str, sampled: bool) -> None:
    parent = parse_traceparent(f"00-{TRACE}-{SPAN}-{flags}")
    assert parent is not None
    assert parent.is_sampled is sampled
    assert str(parent).endswith("01" if sampled else "00")  # other bits are not ours to send


@pytest.mark.parametrize(
    "text",
    [
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{TRACE}-{SPAN}-0G",
        f"0G-{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN[:-1]}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-011",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-what-comes-later",
        f"00_{TRACE}-{SPAN}-01",
        f"00-{TRACE}_{SPAN}-01",
        f"00-{TRACE}-{SPAN}_01",
        f" {VALID}",
        f"{VALID}\n",
        f"00-{'٣' * 32}-{SPAN}-01",
        "",
        "00",
        None,
        7,
        VALID.encode(),
        [VALID],
    ],
)
def test_what_is_not_valid_is_as_good_as_absent(text: object) -> None:
    assert parse_traceparent(text) is None
    assert read_trace({"traceparent": text, "tracestate": "a=b"}) is None


@pytest.mark.parametrize(
    "text", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes-later", f"fe-{TRACE}-{SPAN}-01-"]
)
def test_of_later_versions_what_is_known_is_taken(text: str) -> None:
    parent = parse_traceparent(text)
    assert parent is not None
    assert str(parent) == VALID
    trace = read_trace({"traceparent": text})
    assert trace is not None
    assert trace.traceparent == text  # and passed on whole


@pytest.mark.parametrize(
    "text", [f"01-{TRACE}-{SPAN}-01x", f"01-{TRACE}-{SPAN}-01.what", f"01-{TRACE}-{SPAN}-01-{'x' * 500}"]
)
def test_of_later_versions_too_what_is_known_has_its_form(text: str) -> None:
    assert parse_traceparent(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "congo=t61rcWkgMzE",
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "a=1 , b=2",
        "a=1\t,,b=2,",
        "0tenant@vendor=x",
        "a_-*/b=!#$%&'()*+-./:;<>?@[]^_`{|}~",
        ",".join(f"k{n}=v" for n in range(32)),
        f"{'k' * 256}={'v' * 200}",
    ],
)
def test_a_tracestate_is_a_list_of_pairs(text: str) -> None:
    assert is_tracestate(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ,, ",
        "a",
        "a=",
        "=1",
        "A=1",
        "a b=1",
        "_a=1",
        "a=1,a=2",
        "a=1=2",
        "a=é",
        "a=\x7f",
        "a=x\ny",
        ",".join(f"k{n}=v" for n in range(33)),
        f"{'k' * 257}=v",
        f"k={'v' * 257}",
        ",".join(f"k{n}={'v' * 100}" for n in range(6)),
        None,
        b"a=1",
    ],
)
def test_a_tracestate_that_is_none_is_left_out_and_the_trace_is_not(text: object) -> None:
    assert not is_tracestate(text)
    assert read_trace({"traceparent": VALID, "tracestate": text}) == TraceContext(VALID)


def test_a_trace_travels_as_it_came() -> None:
    meta = {"traceparent": VALID, "tracestate": "a=1 , b=2"}
    trace = read_trace({**meta, "timeout_ms": 5})
    assert trace is not None
    assert trace.to_meta() == meta
    assert trace.is_sampled
    assert trace.outgoing() is trace
    assert TraceContext(VALID).to_meta() == {"traceparent": VALID}


@given(st.text(alphabet=st.sampled_from("0123456789abcdefF- \n"), max_size=60) | st.text())
def test_no_text_is_too_strange(text: str) -> None:
    parent = parse_traceparent(text)
    assert parent is None or parse_traceparent(str(parent)) is not None
    is_tracestate(text)
