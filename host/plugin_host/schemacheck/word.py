"""What a keyword of a JSON schema wanted and what it met instead, in words that hide the value.

Owns the sentences. Settings may be secrets, so of them only the kind is said; values of the schema may
be shown, and what is expected quotes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from plugin_host.wording import found, suggestion, type_of

__all__ = ["expected", "met", "unknown_key"]

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "null",
}
_SHOWN = 12

# What each keyword expects, of its value in the schema, and what it found when the kind was right.
_WORDS: dict[str, tuple[Callable[[Any], str], str]] = {
    "minimum": (lambda wanted: f"a number of at least {found(wanted)}", "a smaller one"),
    "maximum": (lambda wanted: f"a number of at most {found(wanted)}", "a larger one"),
    "exclusiveMinimum": (lambda wanted: f"a number above {found(wanted)}", "one that is not"),
    "exclusiveMaximum": (lambda wanted: f"a number below {found(wanted)}", "one that is not"),
    "multipleOf": (lambda wanted: f"a multiple of {found(wanted)}", "a number that is none"),
    "minLength": (lambda wanted: f"text of at least {found(wanted)} characters", "a shorter one"),
    "maxLength": (lambda wanted: f"text of at most {found(wanted)} characters", "a longer one"),
    "pattern": (lambda wanted: f"text that matches {found(wanted)}", "one that does not"),
    "format": (lambda wanted: f"text in the format {found(wanted)}", "one that is not"),
    "minItems": (lambda wanted: f"a list of at least {found(wanted)}", "a shorter one"),
    "maxItems": (lambda wanted: f"a list of at most {found(wanted)}", "a longer one"),
    "uniqueItems": (lambda wanted: "a list whose items differ", "one in which two are the same"),
    "contains": (lambda wanted: "a list with an item that fits the schema", "one without"),
    "minProperties": (lambda wanted: f"a map of at least {found(wanted)} keys", "a smaller one"),
    "maxProperties": (lambda wanted: f"a map of at most {found(wanted)} keys", "a larger one"),
    "propertyNames": (lambda wanted: "keys that fit the schema", "one that does not"),
    "dependentRequired": (lambda wanted: "keys that belong together", "some of them without the others"),
    "unevaluatedProperties": (lambda wanted: "no keys but those of the schema", "others"),
    "unevaluatedItems": (lambda wanted: "no items but those of the schema", "others"),
    "not": (lambda wanted: "something that the schema does not exclude", "what it excludes"),
    "anyOf": (lambda wanted: "one of the alternatives of the schema", "none of them"),
    "oneOf": (lambda wanted: "exactly one of the alternatives of the schema", "none or several"),
}


def expected(keyword: str, wanted: Any) -> str:
    """What `keyword: wanted` of a schema expects, as it stands behind `expected`."""
    if keyword == "type":
        kinds = wanted if isinstance(wanted, list) else [wanted]
        return " or ".join(_KINDS.get(str(kind), found(kind)) for kind in kinds)
    if keyword in ("enum", "const"):
        options = wanted if keyword == "enum" and isinstance(wanted, list) else [wanted]
        listed = ", ".join(map(found, options[:_SHOWN])) + (", …" if len(options) > _SHOWN else "")
        return f"one of {listed}" if len(options) > 1 else listed
    if keyword in _WORDS:
        return _WORDS[keyword][0](wanted)
    return f"what fits `{keyword[:40]}` of the schema"


def met(keyword: str, value: Any, *, show: bool) -> str:
    """What was there instead, as it stands behind `found`; `show` allows to say the value."""
    if show:
        return found(value)
    if keyword in ("type", "anyOf", "oneOf"):
        return type_of(value)
    return _WORDS[keyword][1] if keyword in _WORDS else f"{type_of(value)} that differs"


def unknown_key(name: str, known: Iterable[str]) -> str:
    """For a key that a schema excludes."""
    names = sorted(known)
    listed = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    expected = f"expected one of {listed}" if names else "expected no keys"
    return f"unknown key{suggestion(name, names)}: {expected}; found {found(name)}"
