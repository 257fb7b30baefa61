"""The constrained values that manifests and configurations are made of.

Owns what an id, a permission or a number of seconds may be. Each carries its constraint for msgspec and
a description for people, which the JSON schema shows and every refusal quotes as what was expected.
Invariant: a text that satisfies its constraint here is safe to print, except arguments and paths.
"""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

__all__ = [
    "Argument",
    "Argv",
    "Capability",
    "Checksum",
    "Count",
    "EntryPoint",
    "Environment",
    "FileCount",
    "FilePath",
    "Line",
    "Permission",
    "PluginId",
    "Prose",
    "Seconds",
    "Umask",
    "VariableName",
    "Version",
    "is_id",
    "is_version",
]

# A pattern ends in `(?![\s\S])`: `$` also matches before a last newline, and schemas know no `\Z`.
_END = r"(?![\s\S])"
_VERSION = r"[^\x00-\x20\x7f-\x9f]{1,128}"
_ID = r"[a-z][a-z0-9_-]{0,63}"
_NAME = r"[^\W\d]\w*(\.[^\W\d]\w*)*"

PluginId = Annotated[
    str,
    Meta(
        pattern=rf"^{_ID}{_END}",
        description="an id: a small letter, then at most 63 small letters, digits, `_` or `-`",
    ),
]
Line = Annotated[
    str,
    Meta(
        pattern=rf"^[^\x00-\x1f\x7f-\x9f]{{0,1024}}{_END}",
        description="one line of text, at most 1024 characters, no control characters",
    ),
]
Version = Annotated[
    str,
    Meta(
        pattern=f"^{_VERSION}{_END}",
        description="a version, such as 1.0.0: at most 128 characters without spaces",
    ),
]
Prose = Annotated[
    str,
    Meta(
        pattern=rf"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*{_END}",
        description="text without control characters",
    ),
]
EntryPoint = Annotated[
    str,
    Meta(
        pattern=rf"^{_NAME}:{_NAME}{_END}",
        description="an entry point, such as package.module:plugin",
    ),
]
Argument = Annotated[str, Meta(pattern=rf"^[^\x00]*{_END}", description="text without NUL characters")]
Argv = Annotated[
    tuple[Argument, ...],
    Meta(min_length=1, description="a list of texts: the program, then its arguments"),
]
FilePath = Annotated[str, Meta(pattern=rf"^[^\x00]+{_END}", description="a path without NUL characters")]
VariableName = Annotated[
    str,
    Meta(
        pattern=rf"^[^\x00=]+{_END}",
        description="a variable's name, without `=` and NUL characters",
    ),
]
Permission = Annotated[
    str,
    Meta(
        pattern=rf"^[A-Za-z][A-Za-z0-9_.-]*(:[^\x00-\x1f\x7f-\x9f]+)?{_END}",
        description="a permission, such as host.echo or metadata.read:/task",
    ),
]
Capability = Annotated[
    str,
    Meta(
        pattern=rf"^[a-z][a-z0-9_]*{_END}",
        description="a capability: command, exec, metadata or action",
    ),
]
Checksum = Annotated[
    str,
    Meta(
        pattern=rf"^sha256:[0-9a-f]{{64}}{_END}",
        description="a checksum: sha256: and 64 small hexadecimal digits",
    ),
]
Seconds = Annotated[
    float,
    Meta(gt=0, le=31_536_000, description="a number of seconds above 0, at most a year"),
]
Count = Annotated[int, Meta(gt=0, le=2**63 - 1, description="a whole number above 0 that fits 63 bits")]
# Fewer would stop the SDK itself: its wire, an event loop, and a module that is imported.
FileCount = Annotated[
    int,
    Meta(ge=16, le=2**63 - 1, description="a whole number of at least 16 that fits 63 bits"),
]
Umask = Annotated[
    str,
    Meta(
        pattern=rf"^0?[0-7]{{3}}{_END}",
        description='a umask: the octal digits, as text, of what new files shall lack, such as "027"',
    ),
]
Environment = dict[VariableName, Argument]


def is_id(text: str) -> bool:
    """Whether `text` may be a plugin's id."""
    return re.fullmatch(_ID, text) is not None


def is_version(text: str) -> bool:
    """Whether `text` may be a plugin's version."""
    return re.fullmatch(_VERSION, text) is not None
