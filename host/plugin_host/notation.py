"""How a value of the wire is written as JSON, and read back.

msgpack has values that JSON lacks. Each becomes a map with one telling key, and such a map in what a
person sends becomes the value again:

    bytes                       {"$bytes": "base64"}
    extension type n            {"$ext": [n, "base64"]}
    NaN and the infinities      {"$float": "NaN"}, "Infinity", "-Infinity"
    map with keys that are no   {"$map": [[key, value], ...]}, in order
    text, or not distinct ones,
    or one that looks like these

Text that is not UTF-8 has U+FFFD for each byte that cannot be shown. Integers keep all their digits.
Invariant: whatever arrives can be written, and what was written is JSON by RFC 8259, in which nothing
is left that a terminal obeys or that some take for the end of a line.
"""

from __future__ import annotations

import base64
import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BadNotation", "from_json", "inline", "plain", "to_json"]

_UNDECODABLE = re.compile("[\ud800-\udfff]")

# JSON allows these as they are: the second set of control characters, line separators, and marks that
# turn the direction of what follows.
_OBEYED = re.compile("[\x80-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class BadNotation(ValueError):
    """Text that is not JSON, whose message says where, or JSON that means no value, at `path`."""

    path: str | None = None


def to_json(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """`value` as JSON text without a newline at its end."""
    encoder = json.JSONEncoder(indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    tagged = _tagged(value)
    try:
        text = encoder.encode(tagged)
    except RecursionError:  # the C encoder of some versions is content with less depth than msgpack has
        text = "".join(encoder.iterencode(tagged))
    return text if text.isascii() else _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain(value: Any, *, ascii_only: bool = False) -> str:
    """`value` for a person or a shell: text and numbers as they are, structures as indented JSON."""
    if isinstance(value, str):
        return _readable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return _float_name(value)
    return to_json(value, indent=2, ascii_only=ascii_only)


def inline(value: Any, length: int = 200) -> str:
    """`value` as one line of JSON, cut to `length` characters."""
    text = to_json(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def from_json(text: str, *, distinct: bool = False) -> Any:
    """The value that `text` is the notation of; with `distinct` no map may have a name twice.

    Raises BadNotation.
    """
    hook = {"object_pairs_hook": _distinct} if distinct else {"object_hook": _untagged}
    try:
        return json.loads(text, **hook)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if "\n" in text else f"column {error.colno}"
        raise BadNotation(f"expected JSON, found an error at {place}: {error.msg}") from None
    except RecursionError:
        raise BadNotation("expected JSON, found it nested too deeply") from None
    except BadNotation as error:
        error.path = _path_of_fault(text, _distinct if distinct else _untagged_pairs)
        raise
    except ValueError as error:  # a number of more digits than Python reads
        raise BadNotation(f"expected JSON: {error}") from None


def _tagged(value: Any) -> Any:
    if isinstance(value, str):
        return _readable(value)
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": _float_name(value)}
    if isinstance(value, dict):
        return _tagged_map(value)
    if hasattr(value, "_fields"):  # msgpack's ExtType is a named tuple of code and data
        return _ext(value.code, value.data)
    if isinstance(value, (list, tuple)):
        return [_tagged(item) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": _base64(bytes(value))}
    if hasattr(value, "to_bytes"):  # its Timestamp, which is extension type -1
        return _ext(-1, value.to_bytes())
    raise TypeError(f"a {type(value).__name__} never comes from the wire")


def _tagged_map(table: dict[Any, Any]) -> dict[str, Any]:
    looks_tagged = len(table) == 1 and next(iter(table)) in _READERS
    if not looks_tagged and all(isinstance(key, str) for key in table):
        tagged = {_readable(key): _tagged(item) for key, item in table.items()}
        if len(tagged) == len(table):
            return tagged
    return {"$map": [[_tagged(key), _tagged(item)] for key, item in table.items()]}


def _ext(code: int, data: bytes) -> dict[str, Any]:
    return {"$ext": [code, _base64(data)]}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _float_name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _readable(text: str) -> str:
    return _UNDECODABLE.sub("\ufffd", text)


def _distinct(pairs: list[tuple[str, Any]]) -> Any:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadNotation(f"expected each name of a map once, found {json.dumps(twice[:60])} again")
    return _untagged(table)


def _untagged_pairs(pairs: list[tuple[str, Any]]) -> Any:
    return _untagged(dict(pairs))


class _Pairs(list[tuple[str, Any]]):
    """A map whose names may be there twice."""


def _path_of_fault(text: str, read: Callable[[list[tuple[str, Any]]], Any]) -> str:
    """Where the first map is that `read` refuses: decoding says what is wrong with it, and not where."""

    def search(value: Any, path: str) -> Any:
        if isinstance(value, _Pairs):
            pairs = [(name, search(item, f"{path}.{name[:60]}")) for name, item in value]
            try:
                return read(pairs)
            except BadNotation:
                raise LookupError(path) from None
        if isinstance(value, list):
            return [search(item, f"{path}[{number}]") for number, item in enumerate(value)]
        return value

    try:
        search(json.loads(text, object_pairs_hook=_Pairs), "$")
    except LookupError as found:
        return str(found)
    except RecursionError:  # deeper than this can look, if not than the decoder can
        pass
    return "$"


def _untagged(table: dict[str, Any]) -> Any:
    """Called by the decoder for every map, the innermost first."""
    if len(table) != 1:
        return table
    ((tag, content),) = table.items()
    reader = _READERS.get(tag)
    if reader is None:
        return table
    try:
        return reader(content)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise BadNotation(f"{tag}: {error}") from None


def _read_bytes(content: Any) -> bytes:
    if not isinstance(content, str):
        raise ValueError("expected base64 text")
    return base64.b64decode(content, validate=True)


def _read_ext(content: Any) -> Any:
    from plugin_host_sdk.wire import ExtType, Timestamp

    if not isinstance(content, list) or len(content) != 2 or type(content[0]) is not int:
        raise ValueError("expected [number, base64 text]")
    code, data = content[0], _read_bytes(content[1])
    return Timestamp.from_bytes(data) if code == -1 else ExtType(code, data)


def _read_float(content: Any) -> float:
    if content not in _FLOATS:
        raise ValueError(f"expected one of {', '.join(_FLOATS)}")
    return _FLOATS[content]


def _read_map(content: Any) -> dict[Any, Any]:
    if not isinstance(content, list) or not all(isinstance(p, list) and len(p) == 2 for p in content):
        raise ValueError("expected a list of [key, value]")
    return dict(content)


_READERS = {"$bytes": _read_bytes, "$ext": _read_ext, "$float": _read_float, "$map": _read_map}
