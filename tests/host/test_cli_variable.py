"""Variables that are given on the command line."""

from __future__ import annotations

import click
import pytest

from plugin_host.cli.variable import check_text, variables

pytestmark = pytest.mark.edges

OWN = {"HOME": "/home/me", "ODD": "\udcff"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["A=1", "B="], {"A": "1", "B": ""}),
        (["A=1=2"], {"A": "1=2"}),
        (["A=1", "A=2"], {"A": "2"}),
        (["HOME", "NOPE"], {"HOME": "/home/me"}),
        (["HOME=/", "HOME"], {"HOME": "/home/me"}),
    ],
)
def test_only_what_is_named_is_set(words: list[str], expected: dict[str, str]) -> None:
    assert variables(words, OWN) == expected


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("=1", "-e =…: expected NAME=VALUE or NAME"),
        ("", "-e : expected NAME=VALUE or NAME"),
        ("A=\udcff", "-e A: expected UTF-8 text, found other bytes"),
        ("ODD", "-e ODD: expected UTF-8 text, found other bytes"),
    ],
)
def test_what_cannot_be_sent_is_wrong_usage(word: str, said: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        variables([word], OWN)
    assert caught.value.format_message() == said


def test_text_of_any_language_is_fine() -> None:
    check_text("COMMAND", "é→🙂")
