"""What a guest is asked to do, and how it has to answer each.

Data. An action is the answer to a poll; the guest answers it with a request of its own, in the form that
its kind demands.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from .mediatype import JSON

__all__ = ["IDLE", "KINDS", "Action", "Kind"]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """As it travels: all five keys are always there."""

    id: str
    type: str
    path: str = ""
    command: tuple[str, ...] | None = None
    tty: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """How an action of one type is answered. `tries` counts the times that it is asked for."""

    method: str = "POST"
    content_type: str | None = None
    is_upgrade: bool = False
    tries: int = 3


IDLE = "none"
"""The type of the answer to a poll when there is nothing to do."""

KINDS: dict[str, Kind] = {
    "get-artifact": Kind(),
    "list-folder": Kind(content_type=JSON),
    "kill-process": Kind(),
    "exec-shell": Kind(method="GET", is_upgrade=True, tries=1),
}
