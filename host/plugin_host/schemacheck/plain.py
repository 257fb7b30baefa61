"""The quick answer: settings that plainly fit a schema that is plainly one.

Most schemas name a few keys with their types, and most settings fit. Seeing that takes microseconds, and
starting a process that knows all of JSON Schema 0.2 s. Invariant: only a yes is given, and only where
the library would give it; whatever is not of the few keywords here, or does not fit, is for the library
to judge and to put into words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .default import TooMuch, filled
from .task import Answer, Task

__all__ = ["answer"]

_DEEPEST = 16
_SILENT = frozenset({"title", "description", "$comment", "deprecated", "default", "type"})
_LONGEST_PATTERN = 200
# A character, or one of several, in a row; of an anchored row one may repeat. Told apart in one way only.
_ONE = r"(?:[^\\^$|?*+()\[\]{}]|\\u[0-9a-fA-F]{4}|\[\^?(?:[^\\\[\]^]|\\u[0-9a-fA-F]{4})+\])"
_ROW = re.compile(rf"\^?{_ONE}*\$?|\^{_ONE}*{_ONE}[*+]{_ONE}*\$?")
_TEXTS = ("title", "description", "$comment")


def answer(task: Task) -> Answer | None:
    """The answer, when it is plainly that all is well; None when that has to be found out."""
    schema, settings = task.schema, task.settings
    try:
        if schema.get("type", "object") != "object" or not _is_schema(schema, 0):
            return None
        if settings is None:
            return Answer()
        complete = filled(schema, settings)
    except (TooMuch, RecursionError):
        return None
    return Answer(settings=complete) if _fits(schema, complete) else None


def _is_schema(schema: Any, depth: int) -> bool:
    """Whether it is a schema of these keywords alone, and its defaults fit."""
    if type(schema) is not dict or depth > _DEEPEST:
        return False
    kind = schema.get("type", "null")
    if type(kind) is not str or kind not in _KINDS or type(schema.get("deprecated", True)) is not bool:
        return False
    if not all(type(schema.get(name, "")) is str for name in _TEXTS):
        return False
    for name, value in schema.items():
        if name in _SILENT:
            continue
        if name not in _KEYWORDS or not _KEYWORDS[name](value, depth + 1):
            return False
    return "default" not in schema or _default_fits(schema)


def _default_fits(schema: dict[str, Any]) -> bool:
    value = schema["default"]
    return _fits(schema, filled(schema, value) if type(value) is dict else value)


def _is_table(value: Any, depth: int) -> bool:
    return type(value) is dict and all(_is_schema(one, depth) for one in value.values())


def _is_texts(value: Any, depth: int) -> bool:
    return type(value) is list and all(type(one) is str for one in value) and len(set(value)) == len(value)


def _is_number(value: Any, depth: int = 0) -> bool:
    return type(value) is int or (type(value) is float and value - value == 0)


def _is_size(value: Any, depth: int) -> bool:
    return type(value) is int and value >= 0


def _is_schemas(value: Any, depth: int) -> bool:
    return type(value) is list and bool(value) and all(_is_schema(one, depth) for one in value)


def _is_pattern(value: Any, depth: int) -> bool:
    """Whether it takes a time that the text's length bounds, whatever the text."""
    if type(value) is not str or len(value) > _LONGEST_PATTERN or not _ROW.fullmatch(value):
        return False
    try:
        re.compile(value)
    except (re.error, Warning):
        return False
    return True


_KEYWORDS: dict[str, Callable[[Any, int], bool]] = {
    "properties": _is_table,
    "additionalProperties": lambda value, depth: type(value) is bool or _is_schema(value, depth),
    "propertyNames": _is_schema,
    "required": _is_texts,
    "items": _is_schema,
    "enum": _is_texts,
    "anyOf": _is_schemas,
    "pattern": _is_pattern,
    "minLength": _is_size,
    "maxLength": _is_size,
    "minItems": _is_size,
    "maxItems": _is_size,
    "minimum": _is_number,
    "maximum": _is_number,
    "exclusiveMinimum": _is_number,
    "exclusiveMaximum": _is_number,
}

_KINDS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: type(value) is str,
    "integer": lambda value: type(value) is int,
    "number": _is_number,
    "boolean": lambda value: type(value) is bool,
    "array": lambda value: type(value) is list,
    "object": lambda value: type(value) is dict,
    "null": lambda value: value is None,
}


def _fits(schema: dict[str, Any] | bool, value: Any) -> bool:
    if type(schema) is bool:
        return schema
    assert type(schema) is dict
    if "type" in schema and not _KINDS[schema["type"]](value):
        return False
    if "enum" in schema and (type(value) is not str or value not in schema["enum"]):
        return False
    if "anyOf" in schema and not any(_fits(one, value) for one in schema["anyOf"]):
        return False
    if type(value) in (int, float):
        return _is_number(value) and _number_fits(schema, value)
    if type(value) is str:
        return _text_fits(schema, value)
    if type(value) is list:
        return _list_fits(schema, value)
    return type(value) is not dict or _map_fits(schema, value)


def _number_fits(schema: dict[str, Any], value: float) -> bool:
    if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    return bool(
        schema.get("exclusiveMinimum", value - 1) < value < schema.get("exclusiveMaximum", value + 1)
    )


def _text_fits(schema: dict[str, Any], value: str) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return False
    return "pattern" not in schema or re.search(schema["pattern"], value) is not None


def _list_fits(schema: dict[str, Any], value: list[Any]) -> bool:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return False
    return "items" not in schema or all(_fits(schema["items"], one) for one in value)


def _map_fits(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    if not value.keys() >= set(schema.get("required", ())):
        return False
    if "propertyNames" in schema and not all(_fits(schema["propertyNames"], name) for name in value):
        return False
    return all(_fits(properties.get(name, others), one) for name, one in value.items())
