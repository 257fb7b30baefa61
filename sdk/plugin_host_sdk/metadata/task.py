"""One task as its worker sees it: what is to be run, its log, its result, and being killed.

In an async handler what waits is awaited; in a plain one, and on a thread without a loop, it waits there.
Invariants: the result goes out after the whole log; a kill that comes before anything runs is remembered
and applied when it starts; nothing of the author's runs under the lock.
"""

from __future__ import annotations

import os
import secrets
import threading
from typing import TYPE_CHECKING

from plugin_host_sdk.cancellation import Cancellation
from plugin_host_sdk.errors import CallError, CallFailed
from plugin_host_sdk.exec.family import Family
from plugin_host_sdk.exec.identity import find_identity
from plugin_host_sdk.exec.process import Status
from plugin_host_sdk.later import Later
from plugin_host_sdk.loopside import on_loop

from .killing import CallKilling, TreeKilling
from .program import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from plugin_host_sdk.endpoint import Runtime
    from plugin_host_sdk.types.task import TaskOrder

    from .killing import Killing
    from .tasklog import TaskLog

__all__ = ["MARK", "Task"]

# Every process of a task finds its id here; what left the task's tree is found by it.
MARK = "PLUGIN_HOST_TASK"
_LEFTOVER_GRACE_S = 2.0
_TERM = "xterm-256color"


class Task:
    """`id`, `command`, `env`, `cwd`, `tty`, `rows`, `cols` and `labels` are the host's words; `timeout`
    are seconds, which the host keeps. `killed` is set when the host wants it to end.

    `ending(grace)` ends it in the place of the default, when the plugin has such a function.
    """

    def __init__(
        self,
        order: TaskOrder,
        log: TaskLog,
        runtime: Runtime,
        *,
        is_async: bool,
        ending: Callable[[Task, float], object] | None = None,
    ) -> None:
        self.id = order.task
        self.command = order.command
        self.env = order.env
        self.cwd = order.cwd
        self.tty = order.tty
        self.labels = order.labels
        self.timeout = None if order.timeout_ms is None else order.timeout_ms / 1000
        self.rows, self.cols = order.rows, order.cols
        self.killed = Cancellation()
        # Ids are the hosts', so that another host's task may have the same.
        self._mark = f"{order.task}:{secrets.token_hex(4)}"
        self._log = log
        self._runtime = runtime
        self._ctx = runtime.context(f"task {order.task}")  # its reports outlive the handler's own
        self._is_async = is_async
        self._ending = ending
        self._lock = threading.Lock()
        self._killing: Killing | None = None
        self._has_started = False
        self._grace: float | None = None  # of a kill that came before there was anything to kill
        self._is_over = False
        self._is_cleared = False

    def __repr__(self) -> str:
        return f"<Task {self.id} {list(self.command)}>"

    @property
    def is_over(self) -> bool:
        """Whether its result was given."""
        return self._is_over

    @property
    def mark(self) -> dict[str, str]:
        """What an author's processes should have in their environment, so that a kill finds them all."""
        return {MARK: self._mark}

    # The author's.

    def log(self, data: bytes | bytearray | memoryview | str) -> Any:
        """Add to the log; waits while the host takes no more. Raises CallFailed once it is concluded."""
        written = self._log.put(data)
        if self._is_async and on_loop():
            return written
        return self._wait(written)

    def started(self, process: Any = None, on_kill: Callable[[float], object] | None = None) -> Any:
        """What the task runs, runs now: `process`, a child of the plugin by its pid or as a Popen.

        A kill ends it with all that it started, or calls `on_kill(grace)` on a thread of its own.
        """
        pid = getattr(process, "pid", process)
        return self._do(lambda: self._start(pid, on_kill))

    def run(
        self,
        argv: Sequence[str] | None = None,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | int | None = None,
    ) -> Any:
        """Run a program, the task's command unless one is named, with its output as the log; its Status.

        On a terminal if the task wants one. `env` is added to the plugin's environment, and the task's own
        wins over both; the task's `cwd` wins over `cwd`. Raises TerminalError when it cannot be started.
        """
        command = tuple(self.command if argv is None else argv)
        return self._do(lambda: self._run(command, cwd, env or {}, user))

    def success(self, code: int | None = 0) -> Any:
        """It succeeded. Goes out after the whole log.

        The first result counts, and the same may be given again. Raises ResourceConflict for another.
        """
        return self._do(lambda: self._conclude("metadata.success", {"code": code}))

    def failed(self, reason: str, code: int | None = None, signal: str | None = None) -> Any:
        """It failed, or did not start, for a `reason` in words. As `success` otherwise."""
        outcome = {"code": code, "signal": signal, "reason": reason}
        return self._do(lambda: self._conclude("metadata.failed", outcome))

    # The capability's.

    def kill(self, grace: float) -> str:
        """End what it runs within `grace` seconds: "killed"; "remembered" when nothing has started; "ended"
        when nothing is left. Work without a process is told by `killed` alone."""
        with self._lock:
            killing = self._killing
            if killing is None and not self._is_over:
                self._grace = grace if self._grace is None else min(grace, self._grace)
        if killing is None and self._is_over:
            return "ended"
        if not self._is_over:
            self.killed.set("the host ended the task")
        if killing is None:
            return "killed" if self._has_started else "remembered"
        return "killed" if killing.kill(grace) else "ended"

    def clear(self) -> None:
        """Nobody asks about it any more: what it has left in the background ends once it is over."""
        with self._lock:
            self._is_cleared = True
            is_over = self._is_over
        self._log.stopped()  # a host that knows it no more reads none of it, and its slot is for the next
        if is_over:
            self._end_leftover()

    def _end_leftover(self) -> None:
        if self._killing is not None:
            self._killing.kill(_LEFTOVER_GRACE_S)

    def abandon(self, reason: str) -> None:
        """Nobody will run it: it fails. Waits for nothing."""

        def fail() -> None:
            self._conclude("metadata.failed", {"code": None, "signal": None, "reason": reason})

        _in_thread(fail, f"task {self.id}")

    def lose(self, error: CallError) -> None:
        """The host is gone: whoever waits for it is told."""
        self._log.lose(error)

    # What is waited for, on a thread.

    def _start(self, pid: int | None, on_kill: Callable[[float], object] | None) -> None:
        killing: Killing | None
        ending = self._ending
        if ending is not None:
            killing = CallKilling(lambda grace: ending(self, grace))
        elif on_kill is not None:
            killing = CallKilling(on_kill)
        else:
            killing = None if pid is None else TreeKilling(Family(pid, f"{MARK}={self._mark}"))
        with self._lock:
            self._killing = killing
            self._has_started = True
            grace = self._grace
        if grace is not None and killing is not None:
            killing.kill(grace)
        answer = self._ask("metadata.start", {})
        if answer.get("kill"):
            self.kill(float(answer.get("grace_ms") or 0.0) / 1000)

    def _run(
        self, argv: tuple[str, ...], cwd: str | None, env: Mapping[str, str], user: str | int | None
    ) -> Status:
        if self.killed:
            return Status(None, None, f"it was not started: {self.killed.reason}")
        identity = find_identity(user)
        cwd = self.cwd if self.cwd is not None else cwd
        if cwd is None and identity is not None:
            cwd = identity.folder
        program = Program(
            argv,
            cwd=cwd,
            env=self._environment({} if identity is None else identity.variables(), env),
            size=(self.rows, self.cols) if self.tty else None,
            identity=identity,
        )

        def start() -> None:
            self._start(program.pid, None)

        status = program.relay(start, lambda data: self._wait(self._log.put(data)), self._finish)
        if self.killed:
            return status._replace(reason=f"{status.reason}; {self.killed.reason}")
        return status

    def _environment(self, account: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
        """The plugin's, that of another user, the author's or operator's, the task's."""
        env = {**os.environ, **account, **own}
        if self.tty and env.get("TERM", "dumb") == "dumb":
            env["TERM"] = _TERM
        return {**env, **self.env, **self.mark}

    def _finish(self) -> None:
        """What was started has ended; of a program that is ours it is not reaped yet."""
        if self._killing is not None:
            self._killing.finish()

    def _conclude(self, method: str, outcome: dict[str, Any]) -> None:
        total = self._wait(self._log.end())
        self._ask(method, {"log_bytes": total} | outcome)
        with self._lock:
            self._is_over = True
            is_cleared = self._is_cleared
        self._finish()
        if is_cleared:  # by a host that was quicker with its next word than this thread with its last
            self._end_leftover()

    def _wait(self, later: Later) -> Any:
        if not later.is_settled:
            self._runtime.step_aside()
        return later.wait()

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        answer = self._ctx._session.call_host(self._ctx, method, {"task": self.id} | params)
        return answer if isinstance(answer, dict) else {}

    def _do(self, work: Callable[[], Any]) -> Any:
        """Do it here, or for an async handler on a thread that it can await."""
        return _in_thread(work, f"task {self.id}") if self._is_async and on_loop() else work()


def _in_thread(work: Callable[[], Any], name: str) -> Later:
    """Work that waits, for who may not."""
    later = Later()

    def perform() -> None:
        try:
            result = work()
        except CallError as error:
            later.fail(error)
        except BaseException as error:
            later.fail(CallFailed(f"{type(error).__name__}: {error}", name="rpc.internal"))
        else:
            later.resolve(result)

    threading.Thread(target=perform, name=name, daemon=True).start()
    return later
