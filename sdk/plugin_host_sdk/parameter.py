"""The parameters of an author's handler: which names it takes, and their types if it declares any.

A handler is any callable `handler(ctx, ...)`. Its names are read from its code object when it is
registered. Only a handler with annotated parameters needs msgspec, and it is imported at the first call
of one. Wrong parameters raise `BadParameters`, which names the place; the handler does not run.
"""

from __future__ import annotations

from .errors import PluginHostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["BadParameters", "Signature", "near"]

_VARARGS, _VARKEYWORDS = 0x04, 0x08


class BadParameters(PluginHostError):
    """Parameters a handler does not take; `path` is the place (`$.limit`)."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class Signature:
    """What a handler takes besides its context."""

    __slots__ = ("_convert", "_known", "function", "names", "open", "required", "typed")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.names, optional, self.open = _names_of(function)
        self._known = frozenset(self.names)
        self.required = self._known - optional
        annotations = getattr(_plain(function), "__annotations__", {})
        self.typed = any(name in annotations for name in self.names)
        self._convert: Callable[[dict[str, Any], bool], dict[str, Any]] | None = None

    def bind(self, params: dict[str, Any], text: bool = False) -> dict[str, Any]:
        """The keyword arguments for the handler.

        `text` says that values may be text typed by a person, to be converted to the declared types.
        """
        if self.typed:
            if self._convert is None:
                self._check_names(params)
                self._convert = _converter(self)
            return self._convert(params, text)
        if params.keys() == self._known:
            return params
        self._check_names(params)
        return params

    def _check_names(self, params: dict[str, Any]) -> None:
        for name in params:
            if name not in self._known and (not self.open or type(name) is not str):
                takes = ", ".join(self.names) or "none"
                raise BadParameters(
                    f"unknown parameter {name!r}{near(str(name), self.names)} (takes: {takes})", f"$.{name}"
                )
        for name in self.names:
            if name in self.required and name not in params:
                raise BadParameters(f"parameter {name!r} is missing", f"$.{name}")

    def describe(self) -> list[dict[str, Any]]:
        """Name, declared type as written, and whether it may be left out, in the order of the handler."""
        annotations = getattr(_plain(self.function), "__annotations__", {})
        return [
            {
                "name": name,
                "type": _type_text(annotations.get(name)),
                "required": name in self.required,
            }
            for name in self.names
        ]


def near(name: str, known: Any) -> str:
    """`; did you mean …?` for a name that is close to known ones, else an empty text."""
    import difflib

    matches = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def _plain(function: Any) -> Any:
    """The function behind a bound method."""
    return getattr(function, "__func__", function)


def _names_of(function: Any) -> tuple[list[str], frozenset[str], bool]:
    """Names after the context, those with a default, and whether any other name is taken too."""
    plain = _plain(function)
    code = getattr(plain, "__code__", None)
    if code is None or hasattr(plain, "__wrapped__"):
        return _inspect_names(function)
    positional = code.co_varnames[: code.co_argcount]
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    skip = 2 if plain is not function else 1
    defaults = plain.__defaults__ or ()
    optional = {*positional[len(positional) - len(defaults) :], *(plain.__kwdefaults__ or ())}
    if len(positional) < skip and not code.co_flags & _VARARGS:
        raise TypeError(f"{plain.__qualname__} must take the context as its first parameter")
    if code.co_posonlyargcount > skip:
        raise TypeError(f"{plain.__qualname__} has positional-only parameters; calls name theirs")
    return [*positional[skip:], *keywords], frozenset(optional), bool(code.co_flags & _VARKEYWORDS)


def _inspect_names(function: Any) -> tuple[list[str], frozenset[str], bool]:
    import inspect

    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise TypeError(f"{function!r} must take the context as its first parameter")
    named = [p for p in parameters[1:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    optional = frozenset(p.name for p in named if p.default is not p.empty)
    return [p.name for p in named], optional, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _type_text(annotation: Any) -> str:
    if annotation is None:
        return "any"
    if isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _converter(signature: Signature) -> Callable[[dict[str, Any], bool], dict[str, Any]]:
    """Validation by a msgspec Struct that has one field for each parameter."""
    import typing

    import msgspec

    hints = typing.get_type_hints(_plain(signature.function), include_extras=True)
    fields: list[Any] = []
    for name in signature.names:
        kind = hints.get(name, typing.Any)
        if name in signature.required:
            fields.append((name, kind))
        else:
            fields.append((name, typing.Union[kind, msgspec.UnsetType], msgspec.UNSET))  # noqa: UP007
    struct = msgspec.defstruct(
        "Parameters", fields, kw_only=True, forbid_unknown_fields=False, gc=False, frozen=True
    )

    def convert(params: dict[str, Any], text: bool) -> dict[str, Any]:
        signature._check_names(params)
        try:
            values = msgspec.convert(params, struct, strict=not text)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `")
            path = path.rstrip("`") or "$"
            raise BadParameters(f"parameter {path.removeprefix('$.')}: {message}", path) from None
        bound = {name: getattr(values, name) for name in signature.names if name in params}
        if signature.open:
            bound.update((name, params[name]) for name in params.keys() - bound.keys())
        return bound

    return convert
