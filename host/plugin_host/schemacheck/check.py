"""One schema checked, and one plugin's settings held against it.

Owns what a settings schema may be: JSON Schema of a draft that the library knows, for a map, that refers
to nothing outside itself. Runs in the checking process only, where it may take what time it likes.
Invariant: nothing is fetched, and no value of the settings is in what is returned but the settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jsonschema import exceptions, validators
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable

from plugin_host.wording import found

from .default import TooMuch, filled, properties_of, resolved
from .word import expected, met, unknown_key

__all__ = ["Fault", "check", "settle"]

Steps = tuple[str | int, ...]

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# What stands in these is held against the same value as what they stand in.
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
# What stands in these is data, whatever its keys are called.
_DATA = ("const", "default", "enum", "examples")


@dataclass(frozen=True, slots=True)
class Fault:
    """`of_schema` says whose it is: the schema's, or the settings'. `text` is what is wrong at `steps`."""

    of_schema: bool
    steps: Steps
    text: str


def check(schema: dict[str, Any]) -> Fault | None:
    """What is wrong with a schema; None when nothing is."""
    try:
        return _check(schema)
    except RecursionError:
        return Fault(True, (), "nested too deeply, or refers to itself without end")
    except TooMuch as error:
        return Fault(True, (), str(error))


def settle(schema: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any] | Fault:
    """The settings with the schema's defaults, or what is wrong with one of the two."""
    if fault := check(schema):
        return fault
    try:
        complete = filled(schema, settings)
        error = exceptions.best_match(_validator(schema).iter_errors(complete))
    except RecursionError:
        return Fault(True, (), "nested too deeply, or refers to itself without end")
    except TooMuch as error:
        return Fault(True, (), str(error))
    return complete if error is None else _fault(error, of_schema=False)


def _check(schema: dict[str, Any]) -> Fault | None:
    kind = _kind_of(schema)
    if kind is None:
        text = f"expected a draft of JSON Schema that is known, found {found(schema['$schema'])}"
        return Fault(True, ("$schema",), text)
    try:
        kind.check_schema(schema)
    except exceptions.SchemaError as error:
        return _fault(error, of_schema=True)
    kinds = schema.get("type", "object")
    if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
        return Fault(True, ("type",), f'expected "object", as settings are a map, found {found(kinds)}')
    return _reference_fault(schema) or _default_fault(schema)


def _kind_of(schema: dict[str, Any]) -> Any:
    if "$schema" not in schema:
        return validators.Draft202012Validator
    named, unknown = schema["$schema"], validators.create({})
    known = validators.validator_for(schema, default=unknown) if isinstance(named, str) else unknown
    return None if known is unknown else known


def _validator(schema: dict[str, Any]) -> Any:
    """With a registry of nothing, so that nothing is fetched."""
    return _kind_of(schema)(schema, registry=Registry())


def _reference_fault(schema: dict[str, Any]) -> Fault | None:
    default = _specification(schema)
    resource = Resource.from_contents(schema, default_specification=default)
    resolver = Registry().resolver_with_root(resource)
    for steps, keyword, value in _keywords(schema, ()):
        if keyword in ("$id", "id") and isinstance(value, str) and len(steps) > 1:
            return Fault(True, steps, f"expected no id below the top of the schema, found {found(value)}")
        if keyword not in _REFERENCES or not isinstance(value, str):
            continue
        if not value.startswith("#"):
            text = f"expected a reference into this schema, such as #/$defs/name, found {found(value)}"
            return Fault(True, steps, f"{text}; nothing is fetched")
        try:
            resolver.lookup(value)
        except (Unresolvable, ValueError, TypeError, LookupError):
            text = f"expected a reference to a place in this schema, found {found(value)}"
            return Fault(True, steps, f"{text}, which is none")
        if _is_endless(resolver.lookup(value).contents, resolver):
            text = "expected a reference that leads to a schema, found one that leads back to itself"
            return Fault(True, steps, text)
    return None


def _is_endless(part: Any, resolver: Any, above: tuple[int, ...] = ()) -> bool:
    """Whether a schema is applied again to the very value that it is being applied to."""
    if not isinstance(part, dict):
        return False
    if id(part) in above:
        return True
    inner = [resolver.lookup(part[key]).contents for key in _REFERENCES if _is_local(part.get(key))]
    for key in _IN_PLACE:
        value = part.get(key)
        inner += value if isinstance(value, list) else [value]
    dependent = part.get("dependentSchemas")
    inner += dependent.values() if isinstance(dependent, dict) else ()
    return any(_is_endless(one, resolver, (*above, id(part))) for one in inner)


def _is_local(reference: Any) -> bool:
    return isinstance(reference, str) and reference.startswith("#")


def _specification(schema: dict[str, Any]) -> Any:
    from referencing.jsonschema import DRAFT202012, specification_with

    return (
        specification_with(schema["$schema"], default=DRAFT202012) if "$schema" in schema else DRAFT202012
    )


def _keywords(part: Any, steps: Steps) -> Iterator[tuple[Steps, str, Any]]:
    """Every keyword of a schema and of those in it, with its place."""
    if isinstance(part, list):
        for index, one in enumerate(part):
            yield from _keywords(one, (*steps, index))
    elif isinstance(part, dict):
        for name, value in part.items():
            place = (*steps, name)
            yield place, name, value
            if name not in _DATA or (steps and steps[-1] == "properties"):
                yield from _keywords(value, place)


def _default_fault(schema: dict[str, Any]) -> Fault | None:
    """A default that does not fit where it stands would be blamed on the operator."""
    validator = _validator(schema)
    for steps, part in _with_defaults(schema, schema, (), []):
        complete = filled({**schema, "properties": {"x": part}}, {})["x"]
        error = exceptions.best_match(validator.descend(complete, part))
        if error is not None:
            fault = _fault(error, of_schema=True)
            return Fault(True, (*steps, "default", *fault.steps), fault.text)
    return None


def _with_defaults(
    root: dict[str, Any], schema: dict[str, Any], steps: Steps, seen: list[int]
) -> Iterator[tuple[Steps, dict[str, Any]]]:
    """The properties, and theirs, that have a default where they stand."""
    if id(schema) in seen:
        return
    seen.append(id(schema))
    for name, part in properties_of(schema):
        place = (*steps, "properties", name)
        if isinstance(part, dict):
            if "default" in part:
                yield place, part
            yield from _with_defaults(root, resolved(root, part), place, seen)


def _fault(error: Any, *, of_schema: bool) -> Fault:
    steps = tuple(error.absolute_path)
    keyword, wanted, value = str(error.validator), error.validator_value, error.instance
    if keyword == "required" and isinstance(value, dict):
        missing = next((name for name in wanted if name not in value), "")
        return Fault(of_schema, (*steps, missing), f"missing: {_wanted(error, missing)}, found no such key")
    if keyword == "additionalProperties" and wanted is False and isinstance(value, dict):
        known = error.schema.get("properties") or {}
        name = next((name for name in value if not _is_known(error.schema, name)), "")
        return Fault(of_schema, (*steps, name), unknown_key(name, known))
    if error.schema is False:  # of which the library does not say where in the map it stands
        text = "expected nothing at a place that the schema excludes, found something there"
        return Fault(of_schema, steps, text)
    text = f"expected {_expected(error)}, found {met(keyword, value, show=of_schema)}"
    return Fault(of_schema, steps, text)


def _expected(error: Any) -> str:
    """For alternatives, what each of them expects here."""
    keyword = str(error.validator)
    if keyword in ("anyOf", "oneOf"):
        here = [one for one in error.context if not one.relative_path]
        words = dict.fromkeys(expected(str(one.validator), one.validator_value) for one in here)
        if words:
            return " or ".join(words)
    return expected(keyword, error.validator_value)


def _wanted(error: Any, name: str) -> str:
    part = (error.schema.get("properties") or {}).get(name)
    kind = part.get("type") if isinstance(part, dict) else None
    return f"expected {expected('type', kind)}" if kind else "expected a value"


def _is_known(schema: dict[str, Any], name: str) -> bool:
    if name in (schema.get("properties") or {}):
        return True
    return any(re.search(pattern, name) for pattern in schema.get("patternProperties") or {})
