"""Streams against a model: whatever order things happen in, no byte is lost, doubled or uncredited."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_host_sdk.protocol import HOST, PLUGIN
from tests.effort import examples
from tests.wires import Wires

roles = st.sampled_from([HOST, PLUGIN])
which = st.integers(0, 5)
sizes = st.integers(1, 300) | st.sampled_from([1023, 1024])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("open"), roles, st.integers(1, 4096)),
        st.tuples(st.just("send"), which, sizes),
        st.tuples(st.just("send"), which, sizes),
        st.tuples(st.just("consume"), which, st.integers(1, 3000)),
        st.tuples(st.just("deliver"), roles, st.integers(1, 3000)),
        st.tuples(st.just("deliver"), roles, st.integers(1, 40)),
        st.tuples(st.just("gap"), which, st.integers(1, 2**40)),
        st.tuples(st.just("end"), which, st.just(0)),
        st.tuples(st.just("stop"), which, st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=examples(80))
@given(first=st.lists(st.tuples(roles, st.integers(1, 4096)), min_size=1, max_size=3), plan=steps)
def test_streams_do_what_the_model_does(
    first: list[tuple[str, int]], plan: list[tuple[str, str | int, int]]
) -> None:
    wires = Wires()
    for sender, window in first:
        wires.open(sender, window)
    for action, target, size in plan:
        models = list(wires.models.values())
        if isinstance(target, str):
            wires.open(target, size) if action == "open" else wires.deliver(target, size)
        elif action in ("end", "stop"):
            getattr(wires, action)(models[target % len(models)])
        else:
            getattr(wires, action)(models[target % len(models)], size)
        wires.check_all()
    wires.settle()


@settings(max_examples=examples(20))
@given(
    window=st.integers(1, 4096),
    writes=st.lists(st.integers(1, 5000), max_size=20),
    reads=st.lists(st.integers(1, 2000), min_size=1, max_size=20),
)
def test_stream_moves_any_amount_through_any_window(
    window: int, writes: list[int], reads: list[int]
) -> None:
    wires = Wires()
    wires.open(HOST, window)
    (model,) = wires.models.values()
    turns = 0
    for size in writes:
        left = size
        while left:
            taken = min(left, model.credit, 1024)
            if taken:
                wires.send(model, taken)
                left -= taken
            wires.deliver(HOST, 1 << 30)
            wires.consume(model, reads[turns % len(reads)])
            wires.deliver(PLUGIN, 1 << 30)
            turns += 1
            assert turns < 100_000, "the stream stalled"
    wires.settle()
    assert model.arrived == sum(writes)
