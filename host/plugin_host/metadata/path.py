"""Paths of metadata: texts such as `/task/env`, and `/` for all of it.

Pure. Invariant: a place has one path, so there is no empty part, no `.` and no `..`.
"""

from __future__ import annotations

import re
from typing import Any

from plugin_host.errors import InvalidPayload
from plugin_host.wording import shown
from plugin_host_sdk.errors import excerpt

__all__ = ["DEEPEST", "LONGEST_NAME", "check_name", "is_text", "parse_path"]

DEEPEST = 32  # names in a path
LONGEST_NAME = 255  # characters

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def parse_path(path: Any) -> tuple[str, ...]:
    """The names in `path`; none for the root. Raises InvalidPayload."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidPayload(f"a path of metadata is a text that begins with /, not {excerpt(path)}")
    if path == "/":
        return ()
    names = tuple(path[1:].split("/"))
    if len(names) > DEEPEST:
        raise InvalidPayload(f"a path of metadata has at most {DEEPEST} names, not {len(names)}")
    for name in names:
        check_name(name, shown(path[:LONGEST_NAME]))
    return names


def check_name(name: Any, where: str) -> None:
    """Raise InvalidPayload for what is no name; `where` is the path, or what it is in."""
    if not isinstance(name, str):
        raise InvalidPayload(f"metadata {where}: a name is a text, not {excerpt(name)}")
    if not name or name in (".", "..") or "/" in name:
        raise InvalidPayload(f"metadata {where}: {name!r} is no name: it is empty, . or .., or has a /")
    if len(name) > LONGEST_NAME:
        raise InvalidPayload(f"metadata {where}: a name has at most {LONGEST_NAME} characters")
    if _CONTROL.search(name):
        raise InvalidPayload(f"metadata {where}: {name!r} has a control character")
    if not is_text(name):
        raise InvalidPayload(f"metadata {where}: {name!r} is no valid text")


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
