"""The names of a session's outputs: an enumeration that is its texts wherever texts are expected."""

from __future__ import annotations

import json
import pickle
from typing import Any

import msgpack
import msgspec
import pytest

from plugin_host_sdk.types.session import AttachOptions, StreamTarget

TEXTS = ["stdout", "stderr"]


def test_members_are_their_texts() -> None:
    assert list(StreamTarget) == TEXTS
    for target, text in zip(StreamTarget, TEXTS, strict=True):
        by_target: dict[str, int] = {target: 1}
        assert {text: 1}[target] == by_target[text] == 1
        assert (str(target), f"{target}", repr(target)) == (text, text, repr(text))
        assert StreamTarget(text) is target
        assert pickle.loads(pickle.dumps(target)) is target


@pytest.mark.parametrize("text", ["", "stdin", "STDOUT", "unknown", None, 0])
def test_what_is_no_output_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="is not a valid StreamTarget"):
        StreamTarget(text)


def test_members_travel_as_their_texts() -> None:
    named = {target: target for target in StreamTarget}
    plain = {text: text for text in TEXTS}
    assert json.loads(json.dumps(named)) == plain
    assert msgpack.packb(named) == msgpack.packb(plain) == msgspec.msgpack.encode(named)
    options = AttachOptions(viewer=1, stdout=2, offset={StreamTarget.STDOUT: 5})
    keys = list(msgspec.to_builtins(options)["offset"])
    assert [(type(key), key) for key in keys] == [(str, "stdout")]
