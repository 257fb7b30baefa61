"""Results that are typed objects: what the caller gets of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.run import Run
from tests.stage import stage, write_plugin

HEAD = """
import dataclasses, datetime
import msgspec

@dataclasses.dataclass
class Point:
    x: int
    y: int = 7

@dataclasses.dataclass(frozen=True)
class Line:
    start: Point
    name: str = "line"

@dataclasses.dataclass(slots=True)
class Slotted:
    x: int
    y: int = 7

class Path(msgspec.Struct):
    points: list[Point]
    by_name: dict[str, Line] = {}
"""
CODE = """
@plugin.command()
def point(ctx, value: Point):
    return value

@plugin.command()
def line(ctx, value: Line):
    return value

@plugin.command()
def slotted(ctx, value: Slotted):
    return value

@plugin.command()
def path(ctx, value: Path):
    return [value]

@plugin.command()
def made(ctx, value):
    return {"here": Point(value), "day": Line(Point(datetime.date(2024, 2, 29)))}
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    return write_plugin(tmp_path, "records", CODE, head=HEAD)


@pytest.mark.parametrize(
    ("command", "given", "result"),
    [
        ("point", {"x": 1}, {"x": 1, "y": 7}),
        ("line", {"start": {"x": 1}}, {"start": {"x": 1, "y": 7}, "name": "line"}),
        ("slotted", {"x": 1}, {"x": 1, "y": 7}),
        (
            "path",
            {"points": [{"x": 1}], "by_name": {"a": {"start": {"x": 2, "y": 3}}}},
            [{"points": [{"x": 1, "y": 7}], "by_name": {"a": {"start": {"x": 2, "y": 3}, "name": "line"}}}],
        ),
        (
            "made",
            1,
            {"here": {"x": 1, "y": 7}, "day": {"start": {"x": "2024-02-29", "y": 7}, "name": "line"}},
        ),
    ],
)
def test_a_typed_result_arrives_as_a_map_with_its_defaults(
    plugins: Path, run: Run, command: str, given: Any, result: Any
) -> None:
    async def body() -> None:
        async with stage("records", dirs=[plugins]) as host:
            assert await host.call("records", command, {"value": given}) == result

    run(body())
