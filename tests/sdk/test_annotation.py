"""Types in words, and which annotations are evaluated."""

from __future__ import annotations

import enum
import subprocess
import sys
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, NotRequired, Optional, TypedDict

import msgspec
import pytest

from plugin_host_sdk import annotation

if TYPE_CHECKING:
    from collections.abc import Iterator


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Node(msgspec.Struct):
    name: str
    children: list[Node]


@dataclass
class Point:
    x: int
    y: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Options(TypedDict):
    deep: NotRequired[bool]


Port = NewType("Port", int)


def bounded(kind: Any, **bounds: Any) -> Any:
    return Annotated[kind, msgspec.Meta(**bounds)]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "int"),
        (Any, "any"),
        (None, "None"),
        (list[int], "list[int]"),
        (typing.List[int], "list[int]"),  # noqa: UP006
        (list, "list"),
        (dict[str, list[float]], "dict[str, list[float]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (int | None, "int | None"),
        (Optional[int], "int | None"),  # noqa: UP045
        (Literal["cpu", "memory", 3, None], '"cpu" | "memory" | 3 | None'),
        (Literal['a"b', "ü"], '"a\\"b" | "ü"'),
        (list[Literal["a", "b"]], 'list["a" | "b"]'),
        (Colour, '"red" | "blue"'),
        (Point, "{x: int, y: float (0 or more)}"),
        (Options, "{deep: bool}"),
        (Node, "{name: str, children: list[Node]}"),
        (Port, "int"),
        (Annotated[int, "a note"], "int"),
        (bounded(int, ge=1, le=1000), "int (1 to 1000)"),
        (bounded(float, ge=0.05, le=60.0), "float (0.05 to 60)"),
        (bounded(int, ge=1), "int (1 or more)"),
        (bounded(int, le=9), "int (9 or less)"),
        (bounded(int, gt=0), "int (more than 0)"),
        (bounded(int, lt=0), "int (less than 0)"),
        (bounded(float, gt=0, lt=1), "float (between 0 and 1)"),
        (bounded(int, ge=0, multiple_of=5), "int (0 or more, a multiple of 5)"),
        (bounded(str, min_length=1, max_length=64), "str (1 to 64 long)"),
        (bounded(str, min_length=1), "str (at least 1 long)"),
        (bounded(str, max_length=64, pattern="^[a-z]+$"), "str (at most 64 long, like ^[a-z]+$)"),
        (bounded(int, ge=1) | None, "int (1 or more) | None"),
        (list[Annotated[int, msgspec.Meta(ge=1)]], "list[int (1 or more)]"),
        (bounded(str, description="a note"), "str"),
        ("deferred.parameter.Limit", "deferred.parameter.Limit"),
    ],
)
def test_a_type_is_written_as_people_write_it(kind: Any, text: str) -> None:
    assert annotation.text_of(kind) == text


def test_a_record_whose_fields_cannot_be_evaluated_is_its_name() -> None:
    class Hidden(msgspec.Struct):
        only: Iterator[int]

    assert annotation.text_of(Hidden) == "Hidden"


def test_only_the_parameters_asked_for_are_evaluated() -> None:
    def handler(ctx: NoSuchContext, limit: int, other: NoSuchType) -> Iterator[str]:  # type: ignore[name-defined] # noqa: F821
        raise NotImplementedError

    assert annotation.evaluate(handler, ["limit"]) == {"limit": int}
    with pytest.raises(NameError, match="NoSuchType"):
        annotation.evaluate(handler, ["limit", "other"])


def test_bounds_are_worded_without_loading_anything() -> None:
    program = """
import sys
from plugin_host_sdk import annotation
from typing import Annotated
assert annotation.text_of(Annotated[int, "a note"] | None) == "int | None"
print("msgspec" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
