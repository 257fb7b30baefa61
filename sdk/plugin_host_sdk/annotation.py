"""What an author wrote behind a parameter's colon: evaluated, and put into words for people.

It is imported when the parameters of a typed handler are first needed, never before: evaluating
annotations may import the author's own modules, and needs `typing`.
"""

from __future__ import annotations

import enum
import sys
import types
import typing
from typing import Any

__all__ = ["evaluate", "text_of"]

_LONGEST_VALUE = 80


def evaluate(function: Any, names: list[str]) -> dict[str, Any]:
    """The types of those parameters of `function` that are annotated.

    Only these are looked at: the context and the result may name what exists for type checkers alone.
    Raises what evaluating an annotation raises, NameError in the first place.
    """
    annotations = getattr(function, "__annotations__", {})
    wanted = types.SimpleNamespace(
        __annotations__={name: annotations[name] for name in names if name in annotations},
        __globals__=_globals_of(function),
        __type_params__=getattr(function, "__type_params__", ()),
    )
    return typing.get_type_hints(wanted, include_extras=True)


def text_of(kind: Any, opened: int = 1) -> str:
    """A type as people write it: `int (1 to 1000)`, `"cpu" | "memory"`, `list[str]`, `any`.

    `opened` is how many records within each other are written with their fields; the others, which may
    hold themselves, with their name.
    """
    if kind is Any:
        return "any"
    if isinstance(kind, str):  # as it is written, for one that cannot be evaluated
        return kind
    if kind is None or kind is type(None):
        return "None"
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _with_bounds(text_of(arguments[0], opened), kind.__metadata__)
    if origin in (typing.NotRequired, typing.Required):
        return text_of(arguments[0], opened)
    if origin is typing.Literal:
        return " | ".join(map(_value_text, arguments))
    if origin in (typing.Union, types.UnionType):
        return " | ".join(text_of(one, opened) for one in arguments)
    if isinstance(origin, type) and arguments:
        inside = ", ".join("..." if one is ... else text_of(one, opened) for one in arguments)
        return f"{origin.__name__}[{inside}]"
    if isinstance(kind, type):
        return _class_text(kind, opened)
    named = getattr(kind, "__supertype__", None) or getattr(
        kind, "__value__", None
    )  # NewType, `type X = …`
    return text_of(named, opened - 1) if named and opened else str(kind).replace("typing.", "")


def _globals_of(function: Any) -> dict[str, Any]:
    while hasattr(function, "__wrapped__"):  # a decorator keeps the annotations, not their module
        function = function.__wrapped__
    names: dict[str, Any] = getattr(function, "__globals__", {})
    return names


def _class_text(kind: type, opened: int) -> str:
    """A class by its name; an enumeration by its values, and a record by its fields."""
    if issubclass(kind, enum.Enum):
        return " | ".join(_value_text(member) for member in kind) or kind.__name__
    if opened and any(hasattr(kind, mark) for mark in _RECORD_MARKS):
        try:
            fields = typing.get_type_hints(kind, include_extras=True)
        except Exception:  # its module keeps the names of its fields to type checkers
            return kind.__name__
        return "{" + ", ".join(f"{name}: {text_of(fields[name], opened - 1)}" for name in fields) + "}"
    return kind.__name__


# msgspec's structs, dataclasses, attrs, typed maps.
_RECORD_MARKS = ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__", "__required_keys__")


def _value_text(value: Any) -> str:
    if isinstance(value, enum.Enum):
        value = value.value
    if not isinstance(value, str):
        return repr(value)[:_LONGEST_VALUE]
    import json

    return json.dumps(value[:_LONGEST_VALUE], ensure_ascii=False)


def _with_bounds(text: str, metadata: tuple[Any, ...]) -> str:
    """The type with what msgspec checks besides it; other notes of the author say nothing here."""
    msgspec = sys.modules.get("msgspec")
    if msgspec is None:  # then none of them is msgspec's
        return text
    bounds = [words for note in metadata if isinstance(note, msgspec.Meta) for words in _bounds(note)]
    return f"{text} ({', '.join(bounds)})" if bounds else text


def _bounds(meta: Any) -> list[str]:
    words = _range(meta.ge, meta.le, "{} to {}", "{} or more", "{} or less")
    words += _range(meta.gt, meta.lt, "between {} and {}", "more than {}", "less than {}")
    words += _range(
        meta.min_length, meta.max_length, "{} to {} long", "at least {} long", "at most {} long"
    )
    words += [f"a multiple of {meta.multiple_of}"] if meta.multiple_of is not None else []
    words += [f"like {meta.pattern}"] if meta.pattern is not None else []
    return words


def _range(least: Any, most: Any, both: str, only_least: str, only_most: str) -> list[str]:
    low, high = (int(one) if isinstance(one, float) and one.is_integer() else one for one in (least, most))
    if low is not None and high is not None:
        return [both.format(low, high)]
    if low is not None:
        return [only_least.format(low)]
    return [] if high is None else [only_most.format(high)]
