"""The parameters of an author's handler: which names it takes, and their types if it declares any.

A handler is any callable `handler(ctx, ...)`. Its names are read from its code object when it is
registered. Only a handler with annotated parameters needs msgspec, and it is imported at the first call
of one; the same goes for `annotation`, which reads and words the types. Wrong parameters raise
`BadParameters`, which names the place; the handler does not run.
"""

from __future__ import annotations

import threading

from .errors import PluginHostError, RegistrationError, excerpt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["BadParameters", "Signature", "near"]

_preparing = threading.Lock()

_VARARGS, _VARKEYWORDS = 0x04, 0x08
_LONGEST_NAME = 200


class BadParameters(PluginHostError):
    """Parameters a handler does not take; `path` is the place (`$.limit`)."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class Signature:
    """What a handler takes besides its context."""

    __slots__ = (
        "_context",
        "_convert",
        "_known",
        "defaults",
        "function",
        "names",
        "others",
        "required",
        "typed",
    )

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.names, self.defaults, self.others, self._context = _names_of(function)
        self._known = frozenset(self.names)
        self.required = self._known - self.defaults.keys()
        annotations = getattr(_annotated(function), "__annotations__", {})
        self.typed = any(name in annotations for name in (*self.names, self.others))
        self._convert: Callable[[dict[str, Any], bool], dict[str, Any]] | None = None

    def bind(self, params: dict[str, Any], text: bool = False) -> dict[str, Any]:
        """The keyword arguments for the handler.

        `text` says that values may be text typed by a person, to be converted to the declared types.
        Raises BadParameters, and RegistrationError when the annotations are of no use.
        """
        if self.typed:
            if self._convert is None:
                self._check_names(params)
                with _preparing:
                    if self._convert is None:
                        self._convert = _converter(self)
            return self._convert(params, text)
        if params.keys() == self._known:
            return params
        self._check_names(params)
        return params

    def _check_names(self, params: dict[str, Any]) -> None:
        for name in params:
            if name not in self._known and not self._is_other(name):
                takes = ", ".join(self.names) or "none"
                raise BadParameters(
                    f"unknown parameter {excerpt(name)}{near(str(name), self.names)} (takes: {takes})",
                    f"$.{name if type(name) is str and len(name) <= _LONGEST_NAME else excerpt(name)}",
                )
        for name in self.names:
            if name in self.required and name not in params:
                raise BadParameters(f"parameter {name!r} is missing{self._wanted(name)}", f"$.{name}")

    def _is_other(self, name: Any) -> bool:
        """Whether `**others` takes it: any text but the name that the context has there."""
        return self.others != "" and type(name) is str and name not in self._context

    def _wanted(self, name: str) -> str:
        """`; it takes int (1 to 1000)` for a message about a parameter; nothing when it has no type."""
        text = self._text_of(name)
        return "" if text == "any" else f"; it takes {text}"

    def _text_of(self, name: str) -> str:
        """The declared type in words; as it is written in the code when it cannot be evaluated."""
        function = _annotated(self.function)
        written = getattr(function, "__annotations__", {})
        if name not in written:
            return "any"
        from . import annotation

        try:
            return annotation.text_of(annotation.evaluate(function, [name])[name])
        except Exception:  # the author's code; whoever asks for the list shall still get one
            return annotation.text_of(written[name])

    def describe(self) -> list[dict[str, Any]]:
        """Name, type in words, and whether it is required, in the order of the handler.

        With `default` where there is one and it is a plain value.
        """
        described = []
        for name in self.names:
            one = {"name": name, "type": self._text_of(name), "required": name in self.required}
            if name in self.defaults and _is_plain(self.defaults[name]):
                one["default"] = self.defaults[name]
            described.append(one)
        return described


def near(name: str, known: Any) -> str:
    """`; did you mean …?` for a name that is close to known ones in any spelling, else an empty text."""
    import difflib

    spellings: dict[str, list[str]] = {}
    for one in known:
        spellings.setdefault(one.lower(), []).append(one)
    alike = difflib.get_close_matches(name[:_LONGEST_NAME].lower(), spellings, n=3, cutoff=0.5)
    matches = [one for folded in alike for one in spellings[folded]]
    return f"; did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def _is_plain(value: Any) -> bool:
    """Whether it travels as it is, and is short enough to be shown."""
    if isinstance(value, str):
        return type(value) is str and len(value) <= _LONGEST_NAME and value.isprintable()
    if isinstance(value, float):
        return type(value) is float and value - value == 0  # not infinite, not NaN: JSON has neither
    return value is None or type(value) is bool or (type(value) is int and value.bit_length() < 64)


def _plain(function: Any) -> Any:
    """The function behind a bound method."""
    return getattr(function, "__func__", function)


def _annotated(function: Any) -> Any:
    """The function whose annotations count: behind a partial, a bound method, an object with a call."""
    while hasattr(function, "func") and not hasattr(function, "__code__"):
        function = function.func
    function = _plain(function)
    if hasattr(function, "__code__") or hasattr(function, "__wrapped__"):
        return function
    return getattr(type(function), "__call__", function)  # noqa: B004 - the function, not whether


def _names_of(function: Any) -> tuple[list[str], dict[str, Any], str, tuple[str, ...]]:
    """Names after the context, the defaults, the name of `**others` or "", and that of the context."""
    plain = _plain(function)
    code = getattr(plain, "__code__", None)
    if code is None or hasattr(plain, "__wrapped__"):
        return _inspect_names(function)
    positional = code.co_varnames[: code.co_argcount]
    keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    skip = 2 if plain is not function else 1
    values = plain.__defaults__ or ()
    defaults = dict(zip(positional[len(positional) - len(values) :], values, strict=True))
    defaults |= plain.__kwdefaults__ or {}
    if len(positional) < skip and not code.co_flags & _VARARGS:
        raise TypeError(f"{plain.__qualname__} must take the context as its first parameter")
    if code.co_posonlyargcount > skip:
        raise TypeError(f"{plain.__qualname__} has positional-only parameters; calls name theirs")
    last = len(positional) + len(keywords) + bool(code.co_flags & _VARARGS)
    others = code.co_varnames[last] if code.co_flags & _VARKEYWORDS else ""
    context = positional[code.co_posonlyargcount : skip]
    return [*positional[skip:], *keywords], defaults, others, context


def _inspect_names(function: Any) -> tuple[list[str], dict[str, Any], str, tuple[str, ...]]:
    import inspect

    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise TypeError(f"{function!r} must take the context as its first parameter")
    named = [p for p in parameters[1:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    defaults = {p.name: p.default for p in named if p.default is not p.empty}
    others = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), "")
    context = tuple(p.name for p in parameters[:1] if p.kind is p.POSITIONAL_OR_KEYWORD)
    return [p.name for p in named], defaults, others, context


def _converter(signature: Signature) -> Callable[[dict[str, Any], bool], dict[str, Any]]:
    """Validation by a msgspec Struct that has one field for each parameter."""
    import msgspec

    struct, other = _struct(signature)
    for kind in struct, other:
        try:  # msgspec looks at a type when it is first used; two threads that do it at once crash it
            msgspec.convert({}, kind)
        except (msgspec.ValidationError, TypeError):
            pass  # the first call says what is wrong

    def convert(params: dict[str, Any], text: bool) -> dict[str, Any]:
        signature._check_names(params)
        at = ""
        try:
            values = msgspec.convert(params, struct, strict=not text, dec_hook=_of_other_kind)
            bound = {name: getattr(values, name) for name in signature.names if name in params}
            if signature.others:
                for at in params.keys() - bound.keys():
                    bound[at] = msgspec.convert(params[at], other, strict=not text, dec_hook=_of_other_kind)
        except msgspec.ValidationError as error:
            raise _bad(signature, str(error), at) from None
        except TypeError as error:  # a type that msgspec cannot check, found at the first use
            raise _unusable(error) from None
        return bound

    return convert


def _of_other_kind(kind: Any, value: Any) -> Any:
    """`value` for a parameter of a class that msgspec knows nothing of: text serves for a path.

    Raises TypeError for a wrong value, RegistrationError when no value of a call could be right.
    """
    origin = getattr(kind, "__origin__", kind)
    if isinstance(value, origin):
        return value
    if hasattr(origin, "__fspath__") and origin.__module__.partition(".")[0] == "pathlib":
        if isinstance(value, str):
            return origin(value)
    elif not any(issubclass(one, origin) for one in _TRAVELS):
        raise RegistrationError(
            f"its annotations cannot be used: no value that a call can have is a {origin.__qualname__}"
        )
    raise TypeError(f"Expected `{origin.__name__}`, got `{type(value).__name__}`")


_TRAVELS = (str, int, float, bytes, bool, list, dict, type(None))


def _struct(signature: Signature) -> tuple[Any, Any]:
    """The Struct, and the type of `**others`.

    A parameter that is left out stays unset, so that the handler's own default counts.
    """
    import typing

    import msgspec

    from . import annotation

    try:
        hints = annotation.evaluate(_annotated(signature.function), [*signature.names, signature.others])
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
        other = hints.get(signature.others, typing.Any)
        # Not one type for all, so the author's own matter.
        return struct, typing.Any if typing.get_origin(other) is typing.Unpack else other
    except Exception as error:
        raise _unusable(error) from error


def _unusable(error: Exception) -> RegistrationError:
    return RegistrationError(f"its annotations cannot be used: {type(error).__name__}: {error}")


def _bad(signature: Signature, problem: str, other: str = "") -> BadParameters:
    """msgspec's complaint, with its place apart and what would have been right.

    `other` is the one of `**others` that was looked at by itself.
    """
    message, at, place = problem.rpartition(" - at ")
    if not at:  # of the whole value
        message, place = problem, ""
    path = place.rpartition("`$")[2].rstrip("`")  # also of "`key` in `$.limits`"
    name = path.removeprefix(".").partition(".")[0].partition("[")[0]
    if other:
        path, name = f".{other if len(other) <= _LONGEST_NAME else excerpt(other)}{path}", signature.others
    wanted = signature._wanted(name) if name in (*signature.names, signature.others) else ""
    return BadParameters(f"parameter {path.removeprefix('.')}: {message}{wanted}", f"${path}")
