"""Turns a refused document into one sentence: where in it, what was expected, what was found.

Owns the reading of msgspec's validation errors, which name the place only up to the keys of maps and never
show the value; here it is shown, except of settings and variables. Knows nothing of files. Invariant:
`explain` never raises; an error of a form it does not know is passed on in msgspec's own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect as inspect

from .wording import found, kind_of, path_of, suggestion

__all__ = ["Explanation", "explain"]

_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "null",
}
_PLACE = re.compile(r"^(?P<text>.*?)(?: - at (?P<key>`key` in )?`(?P<path>\$.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\.\.\.\])")
_EXPECTED = re.compile(r"^Expected `(?P<kind>[^`]+)`(?:, got `[^`]+`)?(?P<rest>.*)$", re.DOTALL)
_FIELD = re.compile(r"^Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`$", re.DOTALL)

# Values below these keys may be secrets and are never shown.
_SECRET = frozenset({"env", "settings"})

Steps = tuple[str | int, ...]


class Explanation(NamedTuple):
    """`path` inside the document (`$.launch.argv[0]`) and `text`, what is wrong there."""

    path: str
    text: str


def explain(error: msgspec.ValidationError, document: Any, kind: Any) -> Explanation:
    """Why `document` could not be converted to `kind`, given the `error` that said so."""
    match = _PLACE.match(str(error))
    text = match["text"] if match else str(error)
    steps = _steps_of(match["path"] or "$", error, document, kind) if match else ()
    node = _type_at(inspect.type_info(kind), steps)
    if field := _FIELD.match(text):
        return _explain_field(field, steps, node)
    if match and match["key"]:
        return _explain_key(error, document, kind, steps, node)
    value = _value_at(document, steps)
    seen = kind_of(value) if _SECRET.intersection(steps) else found(value)
    return Explanation(path_of(steps), _expectation(text, node, seen))


def _explain_field(field: re.Match[str], steps: Steps, node: inspect.Type | None) -> Explanation:
    name = field["name"]
    known = _fields(node)
    path = path_of((*steps, name))
    if field["what"] == "missing required":
        wanted = _description(known.get(name)) or _kind_words(known.get(name))
        return Explanation(path, f"missing: expected {wanted}, found no such key")
    expected = ", ".join(sorted(known))
    hint = suggestion(name, known)
    return Explanation(path, f"unknown key{hint}: expected one of {expected}; found {found(name)}")


def _explain_key(
    error: msgspec.ValidationError, document: Any, kind: Any, steps: Steps, node: inspect.Type | None
) -> Explanation:
    key = _guilty_key(error, document, kind, steps)
    wanted = _description(node.key_type) if isinstance(node, inspect.DictType) else None
    wanted = wanted or str(error)
    return Explanation(path_of(steps), f"wrong key: expected {wanted}, found {found(key)}")


def _expectation(text: str, node: inspect.Type | None, seen: str) -> str:
    """`seen` is what was found, in words."""
    if text.startswith("Invalid enum value"):
        return f"expected {_kind_words(node)}, found {seen}"
    expected = _EXPECTED.match(text)
    if expected is None:
        return text
    wanted = _description(node)
    if wanted is None:
        kinds = [part for part in expected["kind"].split(" | ") if part != "null"]
        wanted = " or ".join(_WORDS.get(part, part) for part in kinds) + expected["rest"]
    return f"expected {wanted}, found {seen}"


# Where: msgspec writes `[...]` for a key of a map, so the key is found by trying each alone.


def _steps_of(path: str, error: msgspec.ValidationError, document: Any, kind: Any) -> Steps:
    steps: Steps = ()
    for name, index, any_key in _STEP.findall(path[1:]):
        if any_key:
            key = _guilty_key(error, document, kind, steps)
            if key is None:
                return steps
            steps = (*steps, key)
        else:
            steps = (*steps, name or int(index))
    return steps


def _guilty_key(error: msgspec.ValidationError, document: Any, kind: Any, steps: Steps) -> str | None:
    """The key of the map at `steps` without whose entry this error would not be."""
    table = _value_at(document, steps)
    if not isinstance(table, dict):
        return None
    for key, value in table.items():
        try:
            msgspec.convert(_with(document, steps, {key: value}), kind)
        except msgspec.ValidationError as other:
            if str(other) == str(error):
                return str(key)
    return None


def _with(document: Any, steps: Steps, value: Any) -> Any:
    """A copy of `document`, made along `steps` only, with `value` at their end."""
    if not steps:
        return value
    copy = list(document) if isinstance(document, list | tuple) else dict(document)
    copy[steps[0]] = _with(copy[steps[0]], steps[1:], value)  # type: ignore[index]
    return copy


def _value_at(document: Any, steps: Steps) -> Any:
    for step in steps:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return None
    return document


# What was expected: the type's own description, else its kind in plain words.


def _type_at(node: inspect.Type | None, steps: Steps) -> inspect.Type | None:
    for step in steps:
        node = next(filter(None, (_step_into(part, step) for part in _parts(node))), None)
    return node if node is None or _description(node) else _only(node)


def _step_into(node: inspect.Type, step: str | int) -> inspect.Type | None:
    if isinstance(node, inspect.StructType):
        return _fields(node).get(str(step))
    if isinstance(node, inspect.DictType):
        return node.value_type
    if isinstance(node, inspect.VarTupleType):
        return node.item_type
    return None


def _parts(node: inspect.Type | None) -> Iterator[inspect.Type]:
    """The plain types a type is made of: without annotations, null, and the union around them."""
    if isinstance(node, inspect.Metadata):
        yield from _parts(node.type)
    elif isinstance(node, inspect.UnionType):
        for part in node.types:
            yield from _parts(part)
    elif node is not None and not isinstance(node, inspect.NoneType):
        yield node


def _only(node: inspect.Type) -> inspect.Type:
    parts = list(_parts(node))
    return parts[0] if len(parts) == 1 else node


def _fields(node: inspect.Type | None) -> dict[str, inspect.Type]:
    for part in _parts(node):
        if isinstance(part, inspect.StructType):
            return {field.encode_name: field.type for field in part.fields}
    return {}


def _description(node: inspect.Type | None) -> str | None:
    if isinstance(node, inspect.UnionType):
        texts = [text for text in map(_description, node.types) if text]
        return " or ".join(dict.fromkeys(texts)) or None
    if isinstance(node, inspect.Metadata):
        text = (node.extra_json_schema or {}).get("description")
        return text if isinstance(text, str) else _description(node.type)
    return None


def _kind_words(node: inspect.Type | None) -> str:
    if text := _description(node):
        return text
    for part in _parts(node):
        if isinstance(part, inspect.LiteralType):
            return "one of " + ", ".join(found(value) for value in part.values)
        if isinstance(part, inspect.StructType | inspect.DictType):
            return "a map"
    return "a value"
