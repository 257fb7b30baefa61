"""The tasks of the running host, as a user names them and as he is shown them."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.errors import TaskNotFound

from .duration import brief_duration
from .sessionname import brief_ids
from .table import table
from .taskname import chosen_task

if TYPE_CHECKING:
    from plugin_host.control import ControlClient
    from plugin_host.control.remotetask import RemoteTask
    from plugin_host.task.info import TaskInfo

__all__ = ["find_task", "task_map", "tasks_text"]

_TITLES = ("TASK", "PLUGIN", "COMMAND", "STATE", "LOG", "OWNER", "AGE")
_LONGEST_COMMAND = 40


async def find_task(client: ControlClient, name: str) -> RemoteTask:
    """The task that a user means. Raises TaskNotFound, CallFailed when there are several."""
    try:  # a whole id needs no list, in which one that only its owner may use is not
        return await client.tasks.get(name)
    except TaskNotFound:
        pass
    return await client.tasks.get(chosen_task(name, [one.id for one in await client.tasks.list()]))


def task_map(task: RemoteTask) -> dict[str, Any]:
    """A task for programs."""
    told: dict[str, Any] = msgspec.to_builtins(task.info)
    return told | {"owner": task.owner, "mine": task.mine, "keep": task.keep}


def tasks_text(tasks: Sequence[RemoteTask]) -> str:
    """The table for people; nothing but its titles where there are none."""
    brief = brief_ids([(one.plugin, one.id) for one in tasks])
    return table(_TITLES, [_row(one, brief) for one in tasks])


def _row(task: RemoteTask, brief: Mapping[tuple[str, str], str]) -> list[str]:
    info = task.info
    return [
        brief[task.plugin, task.id],
        task.plugin,
        _command(info.command),
        _state(info),
        str(info.log_bytes),
        "" if task.owner is None else f"client {task.owner}",
        brief_duration(time.time() - info.created),
    ]


def _command(words: Sequence[str]) -> str:
    text = shlex.join(words)
    return text if len(text) <= _LONGEST_COMMAND else f"{text[: _LONGEST_COMMAND - 1]}…"


def _state(info: TaskInfo) -> str:
    """`running`, or `ended` and with what."""
    result = info.result
    if result is None:
        return info.state
    if result.timed_out:
        return "ended: timed out"
    how = result.signal or result.code
    if how is None or (how == 0 and not result.success):
        how = "success" if result.success else "failure"
    return f"ended: {how}"
