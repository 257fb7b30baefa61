"""What clients ask of tasks: `task.run`, `list`, `get`, `result`, `kill`, `close`, and `task.shell`.

A task belongs to the client that gave it, and is killed and closed when that goes, unless it is to be kept.
Invariant: who may not use a task learns nothing but that.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from plugin_host.errors import CallFailed, TaskNotFound
from plugin_host.task.task import GRACE_S
from plugin_host_sdk.types.session import Extent, SessionOptions, StreamId

from .taskstream import TaskStreams

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from plugin_host.host import PluginHost
    from plugin_host.task.task import Task

    from .ask import Ask, Client, Method
    from .claim import ClaimTable, Key
    from .execmethod import ExecMethods

    Finish = Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, Any]]

__all__ = ["TaskMethods"]

BRIEF_CHARACTERS = 1_000
BRIEF_WORDS = 100
"""What a list says of a command; all of it is said of one task that is asked for."""

Milliseconds = Annotated[float, Meta(ge=0, le=1e12)]


class _Run(Struct, kw_only=True):
    plugin: str
    command: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    cwd: str | None = None
    tty: bool = True
    timeout_ms: Milliseconds | None = None
    labels: dict[str, str] = field(default_factory=dict)
    rows: Extent | None = None
    cols: Extent | None = None
    id: str | None = None
    keep: bool | None = None


class _List(Struct, kw_only=True):
    plugin: str | None = None


class _Task(Struct, kw_only=True):
    task: str


class _Get(_Task, kw_only=True):
    token: str | None = None


class _Kill(_Task, kw_only=True):
    grace_ms: Milliseconds = GRACE_S * 1000


class _Close(_Task, kw_only=True):
    missing_ok: bool = False


class _Shell(SessionOptions, frozen=True, kw_only=True):
    task: str
    stdin: StreamId | None = None
    keep: bool | None = None


class TaskMethods:
    """The methods about tasks. `finish` does what must be done to its end, whoever leaves."""

    def __init__(self, host: PluginHost, claims: ClaimTable, sessions: ExecMethods, finish: Finish) -> None:
        self._host = host
        self._claims = claims
        self._sessions = sessions
        self._finish = finish
        self._streams = TaskStreams(self._task, self._owns)

    def table(self) -> dict[str, Method]:
        """The methods by name."""
        names = ("run", "list", "get", "result", "kill", "close", "shell")
        return {f"task.{name}": getattr(self, name) for name in names} | self._streams.table()

    # Which tasks, and whose.

    def _task(self, ask: Ask, id: str) -> Task:
        """The task, if the client may use it. Raises TaskNotFound, CallFailed."""
        task = self._host.tasks.get(id)
        if not self._claims.may_use(_key(task), ask.client.number, ask.client.token):
            raise _denied(id)
        return task

    def _owns(self, ask: Ask, task: Task) -> bool:
        return self._claims.owns(_key(task), ask.client.number)

    def _told(self, client: Client, task: Task) -> dict[str, Any]:
        claim = self._claims.get(_key(task))
        return {
            "task": msgspec.to_builtins(task.info),
            "owner": None if claim is None else claim.owner,
            "mine": claim is not None and claim.owner == client.number,
            "keep": claim is None or claim.keep,
        }

    def left(self, client: int) -> builtins.list[Task]:
        """A client has gone: those of its tasks that are to be closed."""
        self._forget_closed()
        going = set(self._claims.left(client))
        return [task for task in self._host.tasks.list() if _key(task) in going]

    def _forget_closed(self) -> None:
        self._claims.forget_all_but({_key(task) for task in self._host.tasks.list()})

    # The methods.

    async def run(self, ask: Ask) -> Any:
        asked, client = ask.read(_Run), ask.client
        task = await self._host.tasks.run(
            asked.plugin,
            asked.command,
            env=asked.env,
            cwd=asked.cwd,
            tty=asked.tty,
            timeout=None if asked.timeout_ms is None else asked.timeout_ms / 1000,
            labels=asked.labels,
            rows=asked.rows,
            cols=asked.cols,
            id=asked.id,
        )
        # From here on nothing is awaited: a client that leaves now has its task dealt with.
        self._forget_closed()
        keep = client.keep if asked.keep is None else asked.keep
        self._claims.make(_key(task), client.number, client.token, keep=keep)
        return self._told(client, task)

    async def list(self, ask: Ask) -> Any:
        asked, client = ask.read(_List), ask.client
        may_use = self._claims.user(client.number, client.token)
        found = [one for one in self._host.tasks.list() if asked.plugin in (None, one.plugin)]
        return {"tasks": [_brief(self._told(client, one)) for one in found if may_use(_key(one))]}

    async def get(self, ask: Ask) -> Any:
        asked, client = ask.read(_Get), ask.client
        task = self._host.tasks.get(asked.task)
        key, token = _key(task), asked.token or client.token
        reclaimed = self._claims.reclaim(key, client.number, token)
        if not reclaimed and not self._claims.may_use(key, client.number, token):
            raise _denied(asked.task)
        return self._told(client, task)

    async def result(self, ask: Ask) -> Any:
        """Held until there is one."""
        task = self._task(ask, ask.read(_Task).task)
        return {"result": msgspec.to_builtins(await task.result())}

    async def kill(self, ask: Ask) -> Any:
        asked = ask.read(_Kill)
        task = self._task(ask, asked.task)
        return {"state": await self._finish(task.kill(asked.grace_ms / 1000))}

    async def close(self, ask: Ask) -> Any:
        asked = ask.read(_Close)
        try:
            task = self._task(ask, asked.task)
        except TaskNotFound:
            if asked.missing_ok:
                return {}
            raise
        await self._finish(task.close())
        self._forget_closed()  # and not this key: it may be another task's by now
        return {}

    async def shell(self, ask: Ask) -> Any:
        asked = ask.read(_Shell)
        session = await self._task(ask, asked.task).open_shell(
            asked.command or None,
            tty=asked.tty,
            rows=asked.rows,
            cols=asked.cols,
            id=asked.id,
            cwd=asked.cwd,
            env=asked.env,
            labels=asked.labels,
            replay_bytes=asked.replay_bytes,
            detached=asked.detached,
        )
        return self._sessions.opened(ask.client, session, stdin=asked.stdin, keep=asked.keep)


def _key(task: Task) -> Key:
    return task.plugin, task.id


def _brief(told: dict[str, Any]) -> dict[str, Any]:
    """For a list, which is one message: the beginning of a command that is long."""
    words: builtins.list[str] = []
    left = BRIEF_CHARACTERS
    for word in told["task"]["command"]:
        if len(word) > left or len(words) == BRIEF_WORDS:
            words.append(f"{word[:left]}…")
            told["task"]["command"] = words
            break
        words.append(word)
        left -= len(word)
    return told


def _denied(id: str) -> CallFailed:
    return CallFailed(
        f"task {id} is another client's: only its owner may use it here", name="host.permission_denied"
    )
