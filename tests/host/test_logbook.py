"""What is kept of the log, for whom, and what somebody who follows it slowly is told."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from plugin_host.journal import Journal
from plugin_host.logbook import Logbook, LogRecord
from tests.run import Run


def record(message: str = "hello", plugin: str = "demo", level: str = "info", **more: Any) -> LogRecord:
    return LogRecord(at=1.5, plugin=plugin, level=level, message=message, **more)


def messages(book: Logbook, *args: Any, **options: Any) -> list[str]:
    return [one.message for one in book.records(*args, **options)]


async def all_of(stream: AsyncIterator[LogRecord]) -> list[LogRecord]:
    return [one async for one in stream]


def test_records_of_all_plugins_come_in_the_order_in_which_they_were_made() -> None:
    book = Logbook()
    for number in range(6):
        book.put(record(str(number), plugin="ab"[number % 2]))
    assert messages(book) == list("012345")
    assert messages(book, "b") == list("135")
    assert messages(book, tail=2) == list("45")
    assert messages(book, tail=0) == []
    assert messages(book, "nobody") == []


def test_a_plugin_that_logs_much_drives_out_its_own_records_alone() -> None:
    book = Logbook(records=3)
    book.put(record("of the quiet one", plugin="quiet"))
    for number in range(100):
        book.put(record(str(number), plugin="loud"))
    assert messages(book) == ["of the quiet one", "97", "98", "99"]


def test_records_are_chosen_by_level() -> None:
    book = Logbook()
    for level in ("debug", "info", "warning", "error", "critical"):
        book.put(record(level, level=level))
    assert messages(book, level="warning") == ["warning", "error", "critical"]
    with pytest.raises(ValueError, match="debug, info, warning, error, critical"):
        book.records(level="shout")


def test_a_big_record_is_cut_and_says_so() -> None:
    book = Logbook()
    book.put(record("x" * 1_000_000, fields={"n": 1}))
    book.put(record("small", fields={"blob": b"x" * 1_000_000}))
    long, with_fields = book.records()
    assert long.message.startswith("xxx")
    assert "983616 more characters" in long.message
    assert long.fields == {"n": 1}
    assert with_fields.message == "small … (left out: its fields)"
    assert with_fields.fields == {}


def test_those_who_follow_get_what_they_asked_for_from_then_on(run: Run) -> None:
    async def body() -> None:
        book = Logbook()
        book.put(record("before"))
        everything, errors_of_b = book.follow(level="debug"), book.follow("b", level="error")
        book.put(record("one", plugin="a", level="error"))
        book.put(record("two", plugin="b", level="debug"))
        book.put(record("three", plugin="b", level="critical"))
        book.close()
        assert [one.message for one in await all_of(everything)] == ["one", "two", "three"]
        assert [one.message for one in await all_of(errors_of_b)] == ["three"]
        assert await all_of(book.follow()) == []

    run(body())


def test_who_follows_slowly_loses_the_oldest_and_is_told_how_many(run: Run) -> None:
    async def body() -> None:
        book = Logbook(records=10)
        stream = book.follow()
        for number in range(10_007):
            book.put(record(str(number)))
        book.close()
        lost, *kept = await all_of(stream)
        assert (lost.source, lost.lost, lost.plugin) == ("lost", 7, "")
        assert [one.message for one in kept] == [str(number) for number in range(7, 10_007)]

    run(body())


def test_big_records_that_nobody_reads_are_bounded_by_their_size(run: Run) -> None:
    async def body() -> None:
        book = Logbook()
        stream = book.follow()
        for _ in range(1000):
            book.put(record("x" * 60_000))
        book.close()
        lost, *kept = await all_of(stream)
        assert lost.lost + len(kept) == 1000
        assert sum(len(one.message) for one in kept) <= 16 << 20

    run(body())


@pytest.mark.parametrize("lost", [0, 3])
def test_a_record_is_the_same_after_its_travel(lost: int) -> None:
    sent = record(logger="a.b", fields={"n": b"\xff"}, source="stderr", lost=lost)
    assert LogRecord.from_map(sent.to_map() | {"of": "a later version"}) == sent
    assert ("lost" in sent.to_map()) is (lost > 0)


# What the journal puts into it.


def test_what_a_plugin_says_is_kept_whatever_logging_shows(run: Run) -> None:
    async def body() -> None:
        logging.getLogger("plugin_host").setLevel(logging.CRITICAL)
        book = Logbook()
        journal = Journal("demo", book)
        fields = {"n": 1, "traceback": "Traceback: …"}
        said = {"level": "warning", "logger": "a.b", "message": "hm", "fields": fields}
        assert journal.record(said)
        journal.stderr("a line")
        journal.stray(b"early\n")
        journal.failure({"message": "no more"})
        found = [(one.source, one.level, one.logger, one.message) for one in book.records("demo")]
        assert found == [
            ("log", "warning", "a.b", "hm\nTraceback: …"),
            ("stderr", "info", "", "a line"),
            ("stdout", "warning", "", "early"),
            ("host", "error", "", "plugin demo says: no more"),
        ]
        assert book.records()[0].fields == {"n": 1}

    try:
        run(body())
    finally:
        logging.getLogger("plugin_host").setLevel(logging.NOTSET)


def test_records_of_the_level_debug_are_kept_while_somebody_follows_them(run: Run) -> None:
    async def body() -> None:
        book = Logbook()
        journal = Journal("demo", book)

        def debug(text: str) -> None:
            assert journal.record({"level": "debug", "message": text})

        debug("unheard")
        other, stream = book.follow("other", level="debug"), book.follow("demo", level="debug")
        debug("heard")
        stream.close()
        debug("unheard again")
        assert messages(book) == ["heard"]
        other.close()

    run(body())


def test_records_that_are_too_many_are_not_kept_and_that_is(run: Run) -> None:
    async def body() -> None:
        book = Logbook(records=10_000, size=1 << 30)
        journal = Journal("demo", book)
        admitted = [journal.record({"message": "again"}) for _ in range(6000)]
        journal.flush()
        *kept, told = book.records()
        assert 5000 <= len(kept) == sum(admitted) < 6000
        assert told.source == "host"
        assert f"{6000 - len(kept)} log records were dropped" in told.message

    run(body())
