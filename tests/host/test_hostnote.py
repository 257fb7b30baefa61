"""Notes of the host's own: logged, kept for who asks, and few of them."""

from __future__ import annotations

import pytest

from plugin_host.hostnote import HostNotes
from plugin_host.logbook import Logbook
from tests.run import Run


def test_note_is_logged_and_kept(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    book = Logbook()

    async def body() -> None:
        notes = HostNotes(book, "plugin_host.some")
        notes("100 % of it is cut")
        notes.close()

    run(body())
    (kept,) = book.records()
    assert (kept.message, kept.level, kept.source) == ("100 % of it is cut", "warning", "host")
    assert (kept.plugin, kept.logger) == ("", "plugin_host.some")
    assert caplog.messages == ["100 % of it is cut"]


def test_flood_of_notes_is_few_of_them_and_the_count_of_the_others(run: Run) -> None:
    book = Logbook()

    async def body() -> None:
        notes = HostNotes(book, "plugin_host.some")
        for number in range(5000):
            notes(f"number {number}")
        notes.close()

    run(body())
    kept = [one.message for one in book.records()]
    assert 100 <= len(kept) < 150
    assert kept[0] == "number 0"
    assert kept[-1].startswith("of what the host says itself, 4")
    assert "log records were dropped" in kept[-1]
