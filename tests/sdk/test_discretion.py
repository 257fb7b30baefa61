"""Structs that keep their secrets when they are printed."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import rich.console

from plugin_host_sdk.types.discretion import Discreet, Names


class Sample(Discreet, frozen=True, kw_only=True):
    name: str = "n"
    env: dict[str, str] = msgspec.field(default_factory=dict)
    settings: dict[str, Any] | None = None


SAMPLE = Sample(env={"B": "secret", "A": "secret"}, settings={"key": ["secret"]})


def test_names_are_shown_and_values_are_not() -> None:
    assert repr(SAMPLE) == str(SAMPLE) == "Sample(name='n', env=<A, B>, settings=<key>)"
    assert repr(Sample()) == "Sample(name='n', env=<>, settings=<>)"


def test_rich_shows_no_more() -> None:
    console = rich.console.Console(file=io.StringIO(), width=80)
    console.print(SAMPLE, [SAMPLE])
    assert isinstance(console.file, io.StringIO)
    assert "secret" not in console.file.getvalue()
    assert "A, B" in console.file.getvalue()


def test_they_are_structs_like_others() -> None:
    assert msgspec.to_builtins(SAMPLE)["env"] == {"A": "secret", "B": "secret"}
    assert msgspec.convert(msgspec.to_builtins(SAMPLE), Sample) == SAMPLE
    assert repr(Names(None)) == "<>"
