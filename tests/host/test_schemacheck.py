"""Schemas and settings in the checking process: what fits, and what is said of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plugin_host.schemacheck.__main__ import answer
from plugin_host.schemacheck.check import Fault, check, settle
from plugin_host.schemacheck.word import unknown_key

pytestmark = pytest.mark.edges

SECRET = "hunter2-5309"
NUMBER = 48151623


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def refusal(schema: dict[str, Any], settings: dict[str, Any]) -> tuple[tuple[str | int, ...], str]:
    """Where settings do not fit, and why."""
    fault = settle(schema, settings)
    assert isinstance(fault, Fault)
    assert not fault.of_schema
    return fault.steps, fault.text


@pytest.mark.parametrize(
    ("schema", "settings"),
    [
        ({}, {"anything": [1, {"x": None}]}),
        (of(a={"type": "integer"}), {"a": 1, "b": 2}),
        (of(a={"type": ["integer", "null"]}), {"a": None}),
        (of(a={"$ref": "#/$defs/x"}) | {"$defs": {"x": {"minimum": 1}}}, {"a": 1}),
        (of(tree={"$ref": "#"}), {"tree": {"tree": {}}}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", **of(a={"const": 1})}, {"a": 1}),
        (
            {"$id": "https://example.com/mine", **of(a={"$ref": "#/$defs/x"}), "$defs": {"x": True}},
            {"a": 1},
        ),
        (of(**{"$ref": {"type": "string"}}), {"$ref": "x"}),
        (of(a={"const": {"$ref": "http://example.com"}}), {}),
        (of(a={"enum": [{"$ref": "gone"}]}), {}),
    ],
)
def test_settings_that_fit_are_settled(schema: dict[str, Any], settings: dict[str, Any]) -> None:
    assert check(schema) is None
    assert settle(schema, settings) == settings


def test_defaults_are_settled_too() -> None:
    assert settle(of(a={"type": "integer", "default": 3}), {}) == {"a": 3}


@pytest.mark.parametrize(
    ("part", "value", "text"),
    [
        ({"type": "integer"}, SECRET, "expected a whole number, found text"),
        ({"type": "string"}, NUMBER, "expected text, found a whole number"),
        ({"type": "boolean"}, [SECRET], "expected true or false, found a list"),
        ({"type": "array"}, {SECRET: 1}, "expected a list, found a map"),
        ({"type": "object"}, None, "expected a map, found null"),
        ({"type": ["number", "null"]}, True, "expected a number or null, found true or false"),
        ({"type": "integer"}, 1.5, "expected a whole number, found a number"),
        ({"enum": ["x", "y"]}, SECRET, 'expected one of "x", "y", found text that differs'),
        ({"const": 7}, NUMBER, "expected 7, found a whole number that differs"),
        (
            {"enum": list(range(20))},
            NUMBER,
            "expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …, found a whole number that differs",
        ),
        ({"minimum": 1}, -NUMBER, "expected a number of at least 1, found a smaller one"),
        ({"maximum": 1.5}, NUMBER, "expected a number of at most 1.5, found a larger one"),
        ({"exclusiveMinimum": 0}, -NUMBER, "expected a number above 0, found one that is not"),
        ({"exclusiveMaximum": 0}, NUMBER, "expected a number below 0, found one that is not"),
        ({"multipleOf": 5}, NUMBER, "expected a multiple of 5, found a number that is none"),
        ({"minLength": 100}, SECRET, "expected text of at least 100 characters, found a shorter one"),
        ({"maxLength": 1}, SECRET, "expected text of at most 1 characters, found a longer one"),
        ({"pattern": "^a+$"}, SECRET, 'expected text that matches "^a+$", found one that does not'),
        ({"minItems": 2}, [SECRET], "expected a list of at least 2, found a shorter one"),
        ({"maxItems": 0}, [SECRET], "expected a list of at most 0, found a longer one"),
        (
            {"uniqueItems": True},
            [SECRET, SECRET],
            "expected a list whose items differ, found one in which two are the same",
        ),
        (
            {"contains": {"const": 1}},
            [SECRET],
            "expected a list with an item that fits the schema, found one without",
        ),
        ({"minProperties": 2}, {SECRET: 1}, "expected a map of at least 2 keys, found a smaller one"),
        ({"maxProperties": 0}, {SECRET: 1}, "expected a map of at most 0 keys, found a larger one"),
        (
            {"dependentRequired": {"a": ["b"]}},
            {"a": SECRET},
            "expected keys that belong together, found some of them without the others",
        ),
        (
            {"unevaluatedProperties": False},
            {"a": SECRET},
            "expected no keys but those of the schema, found others",
        ),
        (
            {"not": {"type": "string"}},
            SECRET,
            "expected something that the schema does not exclude, found what it excludes",
        ),
        (
            {"anyOf": [{"type": "integer"}, {"minLength": 99}]},
            SECRET,
            "expected a whole number or text of at least 99 characters, found text",
        ),
        (
            {"oneOf": [{"type": "integer"}, {"type": "null"}]},
            SECRET,
            "expected a whole number or null, found text",
        ),
        ({"oneOf": [{}, {}]}, SECRET, "expected exactly one of the alternatives of the schema, found text"),
        ({"prefixItems": [True], "items": False}, [1, SECRET], None),
    ],
)
def test_message_says_what_was_expected_and_never_the_value(
    part: Any, value: Any, text: str | None
) -> None:
    steps, said = refusal(of(a=part), {"a": value})
    assert steps[0] == "a"
    if text is not None:
        assert said == text
    assert SECRET not in said
    assert str(NUMBER) not in said


@pytest.mark.parametrize(
    ("schema", "settings", "steps", "text"),
    [
        (
            of(a=of(b={"items": {"type": "integer"}})),
            {"a": {"b": [1, SECRET]}},
            ("a", "b", 1),
            "expected a whole number, found text",
        ),
        (
            {**of(host={"type": "string"}), "required": ["host"]},
            {},
            ("host",),
            "missing: expected text, found no such key",
        ),
        ({"required": ["host"]}, {}, ("host",), "missing: expected a value, found no such key"),
        (
            {**of(host={}, port={}), "additionalProperties": False},
            {"hsot": SECRET},
            ("hsot",),
            'unknown key (did you mean `host`?): expected one of host, port; found "hsot"',
        ),
        (
            {"additionalProperties": False},
            {"x": SECRET},
            ("x",),
            'unknown key: expected no keys; found "x"',
        ),
        (
            {"additionalProperties": False, "patternProperties": {"^x": {}}},
            {"xy": 1, "z": SECRET},
            ("z",),
            'unknown key: expected no keys; found "z"',
        ),
        (
            of(a={"anyOf": [{"type": "integer"}, {"items": {"type": "null"}, "type": "array"}]}),
            {"a": [SECRET]},
            ("a", 0),
            "expected null, found text",
        ),
    ],
)
def test_message_is_about_the_place(
    schema: dict[str, Any], settings: dict[str, Any], steps: tuple[str | int, ...], text: str
) -> None:
    assert refusal(schema, settings) == (steps, text)


@pytest.mark.parametrize(
    ("schema", "steps", "words"),
    [
        (of(a={"type": "strnig"}), ("properties", "a", "type"), '"string" or a list, found "strnig"'),
        (of(a={"pattern": "("}), ("properties", "a", "pattern"), 'in the format "regex", found "("'),
        (of(a={"minimum": "x"}), ("properties", "a", "minimum"), 'expected a number, found "x"'),
        ({"properties": []}, ("properties",), "expected a map, found an empty list"),
        ({"required": "host"}, ("required",), 'expected a list, found "host"'),
        ({"type": "array"}, ("type",), 'expected "object", as settings are a map, found "array"'),
        ({"$schema": "https://example.com/none"}, ("$schema",), "a draft of JSON Schema that is known"),
        ({"$schema": 7}, ("$schema",), "a draft of JSON Schema that is known, found 7"),
        (of(a={"$ref": "http://127.0.0.1:9/x"}), ("properties", "a", "$ref"), "nothing is fetched"),
        (of(a={"$ref": "file:///etc/passwd"}), ("properties", "a", "$ref"), "nothing is fetched"),
        (of(a={"$ref": "other.json#/x"}), ("properties", "a", "$ref"), "nothing is fetched"),
        (of(a={"$dynamicRef": "other"}), ("properties", "a", "$dynamicRef"), "nothing is fetched"),
        ({"allOf": [{}, {"$ref": "#/$defs/no"}]}, ("allOf", 1, "$ref"), "which is none"),
        ({"$ref": "#none"}, ("$ref",), "which is none"),
        (of(a={"$id": "http://127.0.0.1:9/"}), ("properties", "a", "$id"), "no id below the top"),
        (
            of(a={"type": "integer", "default": "x"}),
            ("properties", "a", "default"),
            'a whole number, found "x"',
        ),
        (
            of(a={**of(b={"type": "null"}), "default": {"b": 1}}),
            ("properties", "a", "default", "b"),
            "expected null, found 1",
        ),
        (
            of(a=of(b={"$ref": "#/$defs/n", "default": "x"})) | {"$defs": {"n": {"type": "null"}}},
            ("properties", "a", "properties", "b", "default"),
            "expected null",
        ),
        ({"$ref": "#"}, ("$ref",), "found one that leads back to itself"),
        (
            of(a={"$ref": "#/$defs/n"}) | {"$defs": {"n": {"allOf": [True, {"$ref": "#/$defs/n"}]}}},
            ("properties", "a", "$ref"),
            "found one that leads back to itself",
        ),
    ],
)
def test_schema_that_is_of_no_use_is_named(
    schema: dict[str, Any], steps: tuple[str | int, ...], words: str
) -> None:
    fault = settle(schema, {})
    assert isinstance(fault, Fault)
    assert fault.of_schema
    assert fault.steps == steps
    assert words in fault.text


def test_schema_without_an_end_is_found_without_settings() -> None:
    assert isinstance(check({"$ref": "#"}), Fault)
    tree = of(next={"anyOf": [{"type": "null"}, {"$ref": "#"}]})
    assert check(tree) is None
    assert settle(tree, {"next": {"next": None}}) == {"next": {"next": None}}


def test_value_that_is_excluded_is_not_said() -> None:
    steps, said = refusal(of(a=False), {"a": SECRET})
    assert (steps, SECRET in said) == ((), False)
    assert said == "expected nothing at a place that the schema excludes, found something there"


def test_answers_travel_as_lines() -> None:
    task = {"schema": of(a={"default": 1}), "settings": {"ü": "\ud800"}}
    assert json.loads(answer(json.dumps(task))) == {"settings": {"ü": "\ud800", "a": 1}}
    assert json.loads(answer(json.dumps({**task, "settings": None}))) == {"settings": None}
    task["schema"] = {"type": 1}
    told = json.loads(answer(json.dumps(task)))
    assert (told["of_schema"], told["steps"]) == (True, ["type"])
    assert "\n" not in answer(json.dumps(task))


def test_task_that_is_nested_too_deeply_is_answered() -> None:
    told = json.loads(answer("[" * 100_000))
    assert told == {"of_schema": True, "steps": [], "text": "nested too deeply"}


def test_settings_that_defaults_blow_up_are_refused() -> None:
    part = {"$ref": "#/$defs/x"}
    schema = of(**{f"a{number}": part for number in range(10)})
    schema["$defs"] = {"x": {"default": "x" * 500_000}}
    assert json.loads(answer(json.dumps({"schema": schema, "settings": {}})))["text"].endswith("4 MiB")


def test_unknown_key_lists_a_few_that_are_known() -> None:
    text = unknown_key("x", [f"name{number:02}" for number in range(20)])
    assert text.endswith('name10, name11, …; found "x"')
    assert len(unknown_key("\x1b" * 1000, ["a"])) < 200
