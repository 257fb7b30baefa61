"""Defaults of a schema's properties, filled into settings that leave them out."""

from __future__ import annotations

from typing import Any

import pytest

from plugin_host.schemacheck.default import TooMuch, filled

pytestmark = pytest.mark.edges


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


INNER = of(size={"default": 10}, name={"type": "string"})


@pytest.mark.parametrize(
    ("schema", "settings", "complete"),
    [
        ({}, {"a": 1}, {"a": 1}),
        (of(a={"default": 1}), {}, {"a": 1}),
        (of(a={"default": 1}), {"a": 2}, {"a": 2}),
        (of(a={"default": 1}), {"a": None}, {"a": None}),
        (of(a={"default": None}), {}, {"a": None}),
        (of(a={"type": "integer"}), {}, {}),
        (of(a=True, b=False), {"c": 1}, {"c": 1}),
        # Maps in it.
        (of(cache=INNER), {"cache": {"name": "x"}}, {"cache": {"name": "x", "size": 10}}),
        (of(cache=INNER), {"cache": "no map"}, {"cache": "no map"}),
        (of(cache=INNER), {}, {"cache": {"size": 10}}),
        (of(cache={**INNER, "required": ["size"]}), {}, {"cache": {"size": 10}}),
        (of(cache={**INNER, "required": ["name"]}), {}, {}),
        (of(a=of(b=of(c={"default": 1}))), {}, {"a": {"b": {"c": 1}}}),
        (of(cache={**INNER, "default": {"name": "x"}}), {}, {"cache": {"name": "x", "size": 10}}),
        (of(cache=of(name={"type": "string"})), {}, {}),
        # Local references.
        (of(a={"$ref": "#/$defs/a~1b"}) | {"$defs": {"a/b": {"default": 1}}}, {}, {"a": 1}),
        (of(a={"$ref": "#/$defs/x", "default": 2}) | {"$defs": {"x": {"default": 1}}}, {}, {"a": 2}),
        (of(a={"$ref": "#/$defs/gone"}), {}, {}),
        (of(a={"$ref": "other.json"}), {}, {}),
        (of(a={"$ref": "#/$defs/a"}) | {"$defs": {"a": {"$ref": "#/$defs/a"}}}, {}, {}),
        # A map that may hold its like is not made, and what is there is completed.
        (of(a={"$ref": "#"}, b={"default": 1}), {}, {"a": {"b": 1}, "b": 1}),
        (
            of(a={"$ref": "#"}, b={"default": 1}),
            {"a": {"a": {"b": 2}}},
            {"a": {"a": {"a": {"b": 1}, "b": 2}, "b": 1}, "b": 1},
        ),
    ],
)
def test_defaults_are_filled_in(
    schema: dict[str, Any], settings: dict[str, Any], complete: dict[str, Any]
) -> None:
    assert filled(schema, settings) == complete


def test_what_is_filled_in_is_a_copy() -> None:
    schema = of(a={"default": {"list": [1]}})
    settings: dict[str, Any] = {"b": 1}
    first, second = filled(schema, settings), filled(schema, settings)
    first["a"]["list"].append(2)
    assert second["a"] == {"list": [1]}
    assert settings == {"b": 1}


def test_defaults_that_multiply_are_too_much() -> None:
    """Each level twice the one below it."""
    schema: dict[str, Any] = {"$defs": {"a0": of(x={"default": 1})}}
    for level in range(1, 16):
        below = {"$ref": f"#/$defs/a{level - 1}"}
        schema["$defs"][f"a{level}"] = of(left=below, right=below)
    with pytest.raises(TooMuch, match="at most 1000 defaults"):
        filled({**schema, **of(a={"$ref": "#/$defs/a15"})}, {})


def test_settings_that_are_deeper_than_any_default_goes_are_too_much() -> None:
    deep: dict[str, Any] = {}
    for _ in range(50):
        deep = {"a": deep}
    with pytest.raises(TooMuch, match="32 levels"):
        filled(of(a={"$ref": "#"}), deep)
