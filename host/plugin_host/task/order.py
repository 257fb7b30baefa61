"""What an embedder wants done, checked and written as it travels."""

from __future__ import annotations

import math
import os
import uuid
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.errors import InvalidPayload
from plugin_host_sdk.types.task import TaskOrder

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOST_BYTES", "make_order"]

# Of command and environment together; a message of the wire has room for more.
MOST_BYTES = 4 * 1024 * 1024


def make_order(command: Sequence[str], *, id: str | None, timeout: float | None, **given: Any) -> TaskOrder:
    """The order for what `Tasks.run` was given; None stands for what was not. Raises InvalidPayload.

    `timeout` is in seconds. Raises TypeError for a command that is one text.
    """
    if isinstance(command, (str, bytes)):
        raise TypeError(f"command is a list of words, not the text {command!r}")
    fields = {name: value for name, value in given.items() if value is not None}
    fields["task"] = uuid.uuid4().hex if id is None else id
    fields["command"] = list(command)
    if "cwd" in fields:
        fields["cwd"] = os.fspath(fields["cwd"])
    for name in ("env", "labels"):
        if name in fields:
            fields[name] = dict(fields[name])
    if timeout is not None:
        if not 0 < timeout < math.inf:
            raise InvalidPayload(f"timeout is a number of seconds above 0, not {timeout!r}")
        fields["timeout_ms"] = timeout * 1000
    try:
        order = msgspec.convert(fields, TaskOrder)
    except msgspec.ValidationError as error:
        raise InvalidPayload(f"a task cannot be like that: {error}") from None
    _check_texts(order)
    return order


def _check_texts(order: TaskOrder) -> None:
    """Raise InvalidPayload for what no program can be given, and for more than there is room for."""
    size = 0
    texts = [*order.command, *order.env, *order.env.values(), *order.labels, *order.labels.values()]
    for text in (*texts, order.cwd or ""):
        try:
            size += len(text.encode())
        except UnicodeEncodeError:
            raise InvalidPayload(f"a task cannot have {text!r}: it is no valid text") from None
        if "\0" in text:
            raise InvalidPayload(f"a task cannot have {text!r}: no program can be given a NUL")
    for name in order.env:
        if not name or "=" in name:
            raise InvalidPayload(f"{name!r} is no name of a variable: it is empty or has a =")
    if size > MOST_BYTES:
        raise InvalidPayload(f"a task takes {MOST_BYTES} bytes of words and variables, not {size}")
