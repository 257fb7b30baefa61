"""Trace context as the W3C recommendation has it: the texts `traceparent` and `tracestate`, read strictly.

Pure. Whatever is wrong with a value makes it as good as absent: a broken trace is never a broken call.
Texts are passed on as they came, those of future versions too. Loaded with the first call that has one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["TraceContext", "TraceParent", "is_tracestate", "parse_traceparent", "read_trace"]

_HEX = frozenset("0123456789abcdef")
_LENGTH = 55  # of version 00, and the least of any later one
_LONGEST = 512
_MEMBERS = 32
_KEY_START = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_KEY = _KEY_START | frozenset("_-*/@")
_KEY_CHARACTERS = 256
_VALUE = frozenset(map(chr, range(0x20, 0x7F))) - {",", "="}
_VALUE_CHARACTERS = 256


class TraceParent:
    """A `traceparent` that is valid: ids in lower-case hexadecimal, `flags` as a number."""

    __slots__ = ("flags", "parent_id", "trace_id", "version")

    def __init__(self, version: int, trace_id: str, parent_id: str, flags: int) -> None:
        self.version = version
        self.trace_id = trace_id
        self.parent_id = parent_id
        self.flags = flags

    def __repr__(self) -> str:
        return f"TraceParent({self})"

    def __str__(self) -> str:
        """It as version 00 writes it."""
        return f"00-{self.trace_id}-{self.parent_id}-{self.flags & 1:02x}"

    @property
    def is_sampled(self) -> bool:
        """Whether the caller may have recorded its part."""
        return bool(self.flags & 1)


class TraceContext:
    """The trace a call is part of: a `traceparent` that is valid, and a `tracestate`, empty if none is."""

    __slots__ = ("traceparent", "tracestate")

    def __init__(self, traceparent: str, tracestate: str = "") -> None:
        self.traceparent = traceparent
        self.tracestate = tracestate

    def __repr__(self) -> str:
        return f"TraceContext({self.traceparent!r}, {self.tracestate!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TraceContext) and self.to_meta() == other.to_meta()

    def __hash__(self) -> int:
        return hash((self.traceparent, self.tracestate))

    @property
    def is_sampled(self) -> bool:
        """Whether the caller may have recorded its part."""
        parent = parse_traceparent(self.traceparent)
        return parent is not None and parent.is_sampled

    def to_meta(self) -> dict[str, str]:
        """Its part of a call's metadata."""
        if self.tracestate:
            return {"traceparent": self.traceparent, "tracestate": self.tracestate}
        return {"traceparent": self.traceparent}

    def outgoing(self) -> TraceContext:
        """What calls that are made on behalf of this one carry."""
        return self


def parse_traceparent(text: object) -> TraceParent | None:
    """What a `traceparent` says; None for what is not valid.

    Of later versions than 00 what this one knows is taken, as the recommendation wants it.
    """
    if not isinstance(text, str) or not _LENGTH <= len(text) <= _LONGEST or text[2] != "-":
        return None
    version, trace_id, parent_id, flags = text[:2], text[3:35], text[36:52], text[53:55]
    if text[35] != "-" or text[52] != "-" or not _HEX.issuperset(version + trace_id + parent_id + flags):
        return None
    if version == "ff" or trace_id == "0" * 32 or parent_id == "0" * 16:
        return None
    if len(text) > _LENGTH and (version == "00" or text[_LENGTH] != "-"):
        return None
    return TraceParent(int(version, 16), trace_id, parent_id, int(flags, 16))


def is_tracestate(text: object) -> bool:
    """Whether a text can be passed on as a `tracestate`: up to 32 pairs, each key once, 512 characters."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        return False
    keys = set()
    for member in text.split(","):
        member = member.strip(" \t")
        if not member:
            continue
        key, equals, value = member.partition("=")
        if (
            not equals
            or key in keys
            or not _is_key(key)
            or not 0 < len(value) <= _VALUE_CHARACTERS
            or not _VALUE.issuperset(value)
        ):
            return False
        keys.add(key)
    return 0 < len(keys) <= _MEMBERS


def _is_key(key: str) -> bool:
    return 0 < len(key) <= _KEY_CHARACTERS and key[0] in _KEY_START and _KEY.issuperset(key)


def read_trace(meta: Mapping[str, Any]) -> TraceContext | None:
    """The trace in a call's metadata, or in the headers of a request; None when there is none, or none
    that is valid. A `tracestate` that is not valid is left out."""
    traceparent, tracestate = meta.get("traceparent"), meta.get("tracestate")
    if parse_traceparent(traceparent) is None:
        return None
    assert isinstance(traceparent, str)
    if isinstance(tracestate, str) and is_tracestate(tracestate):
        return TraceContext(traceparent, tracestate)
    return TraceContext(traceparent)
