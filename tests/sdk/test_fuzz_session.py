"""Sessions against a model: whoever comes and goes when, replay and live output join at the next byte."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_host_sdk.errors import CallFailed
from plugin_host_sdk.exec import session as session_module
from plugin_host_sdk.testing import StreamEnd
from tests.effort import examples
from tests.sdk.sitting import Sitting

pytestmark = pytest.mark.edges

NAMES = ["stdout", "stderr"]


def content(name: str, start: int, end: int) -> bytes:
    """What an output holds there, so that a byte in the wrong place or of the other output shows."""
    factor = 7 if name == "stdout" else 11
    return bytes((at * factor + at // 251) % 256 for at in range(start, end))


@dataclass
class Copy:
    """What a viewer's copy of one output should be."""

    number: int
    name: str
    base: int
    start: int
    is_lossless: bool
    credit: int
    is_open: bool = True  # neither stopped nor detached
    frozen: bytes | None = None  # what there was when it was given up


@dataclass
class Model:
    """A session, and what should be in its ring and at its viewers."""

    sitting: Sitting
    capacity: int
    is_held: bool
    arrivals: list[str] = field(default_factory=list)  # whose each byte was
    copies: list[list[Copy]] = field(default_factory=list)  # of each viewer
    has_ended: bool = False

    # The ring.

    def end(self, name: str) -> int:
        return self.arrivals.count(name)

    def start(self, name: str) -> int:
        if self.is_held:
            return 0
        kept = self.arrivals[-self.capacity :] if self.capacity else []
        return self.end(name) - kept.count(name)

    def room(self, name: str) -> int:
        if self.is_held:
            return max(0, self.capacity - len(self.arrivals))
        waits = any(
            copy.is_lossless and copy.is_open and self.sent(copy) < self.end(name) - copy.start
            for copies in self.copies
            for copy in copies
            if copy.name == name
        )
        return 0 if waits else 1 << 20

    def sent(self, copy: Copy) -> int:
        """How many bytes the viewer got."""
        return len(self.sitting.sink.output(copy.number))

    # What happens.

    def feed(self, name: str, size: int) -> None:
        if not self.has_ended:
            at = self.end(name)
            self.sitting.session.feed(name, content(name, at, at + size))
            self.arrivals += [name] * size

    def read(self, name: str, size: int) -> None:
        """As an output reads: no more than it may."""
        size = min(size, self.room(name))
        if size:
            self.feed(name, size)

    def attach(self, wanted: Any, lossless: bool, window: int) -> None:
        offset = self.offset(wanted)
        places = {name: self.place(name, offset) for name in NAMES}
        if any(place is None for place in places.values()):
            with pytest.raises(CallFailed, match="beyond the end"):
                self.sitting.attach(offset=offset, lossless=lossless, window=window)
            return
        before = {name: (self.start(name), self.end(name)) for name in NAMES}
        attached = self.sitting.attach(offset=offset, lossless=lossless, window=window)
        self.is_held = False
        copies = []
        for index, name in enumerate(NAMES):
            base, start = places[name] or (0, 0)
            told = getattr(attached, name)
            assert (told.base, told.start, told.end) == (base, start, before[name][1])
            number = 4 * (len(self.copies) + 1) + 2 * index
            copies.append(Copy(number, name, base, start, lossless, window))
        self.copies.append(copies)

    def offset(self, wanted: Any) -> Any:
        """Offsets of a plan are shares of what there is: over 100 is beyond the end."""
        if isinstance(wanted, dict):
            return {name: self._share(share, name) for name, share in wanted.items()}
        return self._share(wanted, "stdout")

    def _share(self, wanted: int | None, name: str) -> int | None:
        end = self.end(name)
        if wanted is None or wanted == -1:
            return wanted
        return end + 1 if wanted > 100 else end * wanted // 100

    def place(self, name: str, offset: Any) -> tuple[int, int] | None:
        """Base and start of a copy; None when it cannot be."""
        if isinstance(offset, dict):
            offset = offset.get(name)
        elif name == "stderr" and offset != -1:
            offset = None
        if offset is None:
            return self.start(name), self.start(name)
        if offset == -1:
            return self.end(name), self.end(name)
        return None if offset > self.end(name) else (offset, max(offset, self.start(name)))

    def credit(self, which: int, size: int) -> None:
        if self.copies:
            for copy in self.copies[which % len(self.copies)]:
                self.sitting.sink.credit(copy.number, size)

    def stop(self, which: int, index: int) -> None:
        if self.copies:
            self.give_up(copy := self.copies[which % len(self.copies)][index % 2])
            self.sitting.sink.stop_output(copy.number)

    def detach(self, which: int) -> None:
        if self.copies:
            number = which % len(self.copies)
            self.sitting.session.detach(number + 1)
            for copy in self.copies[number]:
                self.give_up(copy)

    def give_up(self, copy: Copy) -> None:
        if copy.is_open:
            copy.is_open = False
            copy.frozen = self.sitting.sink.output(copy.number)

    def exit(self) -> None:
        if not self.has_ended:
            self.has_ended = True
            self.sitting.session.body_exited(code=0)

    # What must hold.

    def check(self) -> None:
        self.sitting.reactor.settle()
        for name in NAMES:
            stored = self.sitting.session.info().output[name]
            assert (stored.start, stored.end) == (self.start(name), self.end(name))
            assert (self.sitting.session.room(name) > 0) == (self.room(name) > 0)
        for copies in self.copies:
            for copy in copies:
                self.check_copy(copy)

    def check_copy(self, copy: Copy) -> None:
        """So far every byte is that of its place, and what is not there is told of."""
        sink = self.sitting.sink
        got, whole, gaps = sink.output(copy.number), copy.base, sink.gaps(copy.number)
        for offset, size in gaps:
            piece, got = got[: copy.base + offset - whole], got[copy.base + offset - whole :]
            assert piece == content(copy.name, whole, whole + len(piece))
            whole += len(piece) + size
        assert got == content(copy.name, whole, whole + len(got))
        if copy.is_lossless:
            assert gaps == ([(0, copy.start - copy.base)] if copy.start > copy.base and gaps else [])
        if copy.frozen is not None:
            assert sink.output(copy.number) == copy.frozen
        end = sink.end_of(copy.number)
        if end is not None and copy.is_open:
            assert end == StreamEnd(self.end(copy.name) - copy.base, None)

    def finish(self) -> None:
        """Everybody takes all there is; then nothing may be missing."""
        self.sitting.reactor.settle()
        for copies in self.copies:
            for copy in copies:
                self.sitting.sink.credit(copy.number, 1 << 20)
        self.check()
        for copies in self.copies:
            for copy in copies:
                self.check_whole(copy)
        alive = sum(any(copy.is_open for copy in copies) for copies in self.copies)
        assert self.sitting.session.info().viewers == (0 if self.has_ended else alive)
        assert len(self.sitting.sink.notifications) == self.has_ended
        assert self.sitting.sink.faults == []

    def check_whole(self, copy: Copy) -> None:
        sink, total = self.sitting.sink, self.end(copy.name)
        if not copy.is_open:
            assert sink.end_of(copy.number) is not None
            return
        missing = sum(size for _, size in sink.gaps(copy.number))
        assert len(sink.output(copy.number)) + missing == total - copy.base
        if copy.is_lossless:
            assert sink.output(copy.number) == content(copy.name, copy.start, total)
        assert (sink.end_of(copy.number) is not None) == self.has_ended


shares = st.sampled_from([None, -1, 0, 30, 60, 90, 100, 101])
offsets = shares | st.dictionaries(st.sampled_from(NAMES), shares)
names, which, sizes = st.sampled_from(NAMES), st.integers(0, 5), st.integers(1, 40)
attachments = st.tuples(st.just("attach"), offsets, st.booleans(), st.integers(1, 60))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), names, sizes),
        st.tuples(st.just("read"), names, sizes),
        st.tuples(st.just("feed"), names, sizes),  # as what an ended process left
        attachments,
        st.tuples(st.just("credit"), which, st.integers(1, 80)),
        st.tuples(st.just("check")),
        st.tuples(st.just("detach"), which),
        st.tuples(st.just("stop"), which, st.integers(0, 1)),
    ),
    max_size=40,
)


@patch.object(session_module, "_LEAST_LIMIT", 30)  # of what a lossy viewer may be behind
@settings(max_examples=examples(80))
@given(
    capacity=st.sampled_from([0, 1, 50, 10_000]),
    detached=st.booleans(),
    plan=steps,
    ends=st.booleans(),
    after=st.lists(attachments | st.tuples(st.just("credit"), which, st.integers(1, 80)), max_size=4),
)
@pytest.mark.deadline(60)
def test_sessions_do_what_the_model_does(
    capacity: int, detached: bool, plan: list[Any], ends: bool, after: list[Any]
) -> None:
    sitting = Sitting(tty=False, detached=detached, replay_bytes=capacity)
    sitting.session.run(sitting.body, [])
    model = Model(sitting, capacity, is_held=not detached)
    for action, *arguments in plan:
        getattr(model, action)(*arguments)
    if ends:
        model.exit()
        model.check()
    for action, *arguments in after:
        getattr(model, action)(*arguments)
    model.check()
    model.finish()


@patch.object(session_module, "_LEAST_LIMIT", 30)
@pytest.mark.parametrize("lossless", [True, False])
def test_a_thousand_viewers_come_and_go_and_each_joins_at_its_byte(lossless: bool) -> None:
    sitting = Sitting(tty=False, replay_bytes=50)
    sitting.session.run(sitting.body, [])
    model = Model(sitting, 50, is_held=True)
    for number in range(1000):
        model.feed(NAMES[number % 2], number % 13 + 1)
        model.attach([None, -1, 70, 100, {"stderr": 90}][number % 5], lossless, window=number % 60 + 1)
        if number >= 3:
            model.detach(number - 3)
        if number % 100 == 0:
            model.check()
    model.exit()
    model.finish()
