"""Requests of web pages are told from those of guests, and requests of one guest from another's."""

from __future__ import annotations

import pytest

from plugin_host.guest.origin import objection
from plugin_host.guest.source import Sources, SourceUnknown, is_loopback


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "169.254.169.254"},
        {"host": "169.254.169.254:80"},
        {"host": "127.0.0.1:8080"},
        {"host": "[::1]:8080"},
        {"host": "localhost:1"},
        {"host": "taskcluster"},
        {"host": "127.0.0.1", "sec-fetch-site": "none"},
        {"host": "127.0.0.1", "origin": "https://console.example"},
    ],
)
def test_guests_are_heard(headers: dict[str, str]) -> None:
    assert objection(headers, origins=["https://console.example"], names=["taskcluster"]) == ""


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1", "origin": "http://evil.example"},
        {"host": "127.0.0.1", "origin": "null"},
        # Its own name, which its owner has pointed here, makes a page of the same origin.
        {"host": "evil.example", "origin": "http://evil.example"},
        {"host": "evil.example"},
        {"host": "127.0.0.1", "sec-fetch-site": "cross-site"},
        {},
    ],
)
def test_pages_are_not(headers: dict[str, str]) -> None:
    assert objection(headers, names=[])


def test_names_do_not_count_where_none_leads() -> None:
    assert objection({"host": "anything"}) == ""
    assert objection({}) == ""
    assert objection({"host": "anything", "origin": "http://anything"})


def test_guest_is_found_by_the_smallest_network() -> None:
    sources: Sources[str] = Sources()
    sources.assign("10.0.0.0/8", "wide")
    sources.assign("10.0.3.0/24", "narrow")
    sources.assign("10.0.9.1", None)
    sources.assign("fd00::/8", "six")
    assert sources.find("10.0.3.7") == "narrow"
    assert sources.find("::ffff:10.0.3.7") == "narrow"
    assert sources.find("10.1.1.1") == "wide"
    assert sources.find("10.0.9.1") is None
    assert sources.find("fd00::1") == "six"
    for stranger in ("192.168.0.1", "::1", "", "nonsense"):
        with pytest.raises(SourceUnknown):
            sources.find(stranger)
    assert sources.has("10.0.3.0/24")
    assert sources.withdraw("10.0.3.0/24") == "narrow"
    assert sources.find("10.0.3.7") == "wide"
    with pytest.raises(ValueError, match="nonsense"):
        sources.assign("nonsense", "x")


@pytest.mark.parametrize(
    ("address", "is_one"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("x", False)],
)
def test_loopback(address: str, is_one: bool) -> None:
    assert is_loopback(address) is is_one
