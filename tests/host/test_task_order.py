"""What a task may be, and what is refused before any plugin hears of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plugin_host.errors import InvalidPayload
from plugin_host.task.order import MOST_BYTES, make_order


def order(*command: str, id: str | None = "t", timeout: float | None = None, **given: Any) -> Any:
    return make_order(command, id=id, timeout=timeout, **given)


def test_what_is_not_given_has_its_default_and_an_id_is_chosen() -> None:
    made = order("make", "all", id=None, env=None, cwd=Path("/tmp"), rows=None, timeout=1.5)
    assert (made.command, made.env, made.cwd, made.tty) == (("make", "all"), {}, "/tmp", True)
    assert made.timeout_ms == 1500
    assert made.task != order(id=None).task


@pytest.mark.parametrize(
    "given",
    [
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"id": ""},
        {"id": "a b"},
        {"id": "x" * 129},
        {"env": {"A": 1}},
        {"env": {"A=B": "1"}},
        {"env": {"": "1"}},
        {"env": {"A": "\0"}},
        {"cwd": "\ud800"},
        {"rows": 0},
        {"tty": 1},
        {"labels": {"a": "x" * MOST_BYTES + "y"}},
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidPayload):
        order("true", **given)


def test_command_that_is_one_text_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="list of words"):
        make_order("make all", id=None, timeout=None)
    with pytest.raises(InvalidPayload):
        make_order([1], id=None, timeout=None)  # type: ignore[list-item]


def test_values_of_variables_are_not_shown() -> None:
    assert "hunter2" not in repr(order(env={"PASSWORD": "hunter2"}))
