"""A task that a test has given: its log, its result, and what may be asked about it.

Holds the plugin to the rules: the result comes behind the end of the log and counts all of it, and there is
one.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, NamedTuple

from plugin_host_sdk.errors import CallError, InvalidPayload, ResourceConflict, SessionClosed

if TYPE_CHECKING:
    from typing import Any, Protocol

    from .sink import RecordingSink

    class Host(Protocol):
        """Who has given it."""

        sink: RecordingSink

        def ask(self, method: str, params: dict[str, Any]) -> Any: ...
        def new_stream(self) -> int: ...


__all__ = ["GivenTask", "TaskOutcome"]


class TaskOutcome(NamedTuple):
    """How a task ended."""

    success: bool
    code: int | None
    signal: str | None
    reason: str


class GivenTask:
    """One task. Made by `TaskHost.give`."""

    def __init__(self, host: Host, order: dict[str, Any]) -> None:
        self.order = order
        self.id: str = order["task"]
        self.stream = 0  # of its log, once it is taken
        self.outcome: TaskOutcome | None = None
        self.has_started = False
        self._host = host
        self._kill: float | None = None
        self._changed = threading.Condition()

    def __repr__(self) -> str:
        return f"<GivenTask {self.id} {self.outcome or 'without result'}>"

    @property
    def log(self) -> bytes:
        """What came of its log so far."""
        return self._host.sink.output(self.stream) if self.stream else b""

    def wait(self, timeout: float = 10.0) -> TaskOutcome:
        """Its result, waited for."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.outcome is not None, timeout):
                raise TimeoutError(f"{self.id} has no result in {timeout:g} s; its log is {self.log!r}")
        assert self.outcome is not None
        return self.outcome

    def wait_until_taken(self, timeout: float = 10.0) -> None:
        """Wait until the plugin has it."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.stream, timeout):
                raise TimeoutError(f"{self.id} was not taken in {timeout:g} s")

    def wait_for_start(self, timeout: float = 10.0) -> None:
        """Wait until what it runs runs."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.has_started, timeout):
                raise TimeoutError(f"{self.id} has not started in {timeout:g} s")

    def wait_for_log(self, data: bytes, timeout: float = 10.0) -> bytes:
        """Wait until `data` is in its log; all that came so far."""
        self.wait_until_taken(timeout)
        return self._host.sink.wait_for_output(data, stream=self.stream, timeout=timeout)

    def kill(self, grace: float = 5.0, *, in_start: bool = False) -> str | None:
        """Ask the plugin to end it; what it says. With `in_start` it hears of it when it says it starts."""
        if in_start:
            self._kill = grace
            return None
        answer = self._host.ask("metadata.kill_process", {"task": self.id, "grace_ms": grace * 1000})
        return str(answer["state"])

    def list_folder(self, path: str, *, recursive: bool = False) -> list[dict[str, Any]]:
        """All entries of a folder, as they travel. Raises CallError."""
        entries: list[dict[str, Any]] = []
        asked: dict[str, Any] = {"task": self.id, "path": path, "recursive": recursive}
        while True:
            part = self._host.ask("metadata.list_folder", asked)
            entries += part["entries"]
            if not part["more"]:
                return entries
            last = entries[-1]
            asked["after"] = last.get("raw") or last["path"].encode()

    def get_artifact(self, path: str, timeout: float = 10.0) -> bytes:
        """A file, whose sum is checked. Raises CallError."""
        sink, stream = self._host.sink, self._host.new_stream()
        asked = {"task": self.id, "path": path, "stream": stream, "window": 2**30}
        self._host.ask("metadata.get_artifact", asked)
        end = sink.wait_for_end(stream, timeout)
        if end.error is not None:
            raise CallError.from_map(end.error)
        sent = sink.wait_for_notification(
            "metadata.artifact_sent", lambda params: params["stream"] == stream, timeout
        )
        data = sink.output(stream)
        assert sent["size"] == len(data) == end.total, (sent, end)
        assert sent["sha256"] == hashlib.sha256(data).hexdigest()
        return data

    def shell(
        self, command: tuple[str, ...] = (), data: bytes = b"", *, tty: bool = False, timeout: float = 10.0
    ) -> tuple[bytes, bytes, dict[str, Any]]:
        """Open a shell, give it `data` as its whole input: stdout, stderr, exit. Raises CallError."""
        sink = self._host.sink
        stdin, stdout, stderr = (self._host.new_stream() for _ in range(3))
        id = f"shell-{stdin}"
        asked = {"task": self.id, "id": id, "command": list(command), "tty": tty, "stdin": stdin}
        self._host.ask("metadata.exec_shell", asked)
        viewer = {"session": id, "viewer": stdin, "stdout": stdout, "stderr": stderr, "window": 2**30}
        self._host.ask("exec.attach", viewer)
        sink.type(stdin, data)
        if not tty:
            try:
                self._host.ask("exec.close_stdin", {"session": id, "total": len(data)})
            except SessionClosed:
                pass  # it has ended without reading all of it
        exit = sink.wait_for_exit(id, timeout)["exit"]
        sink.wait_for_end(stdout, timeout)
        return sink.output(stdout), b"" if tty else sink.output(stderr), exit

    def close(self) -> None:
        """Nothing more is asked about it."""
        self._host.ask("metadata.close", {"task": self.id})

    # What the plugin says.

    def note_taken(self, stream: int) -> None:
        with self._changed:
            self.stream = stream
            self._changed.notify_all()

    def start(self) -> dict[str, Any]:
        with self._changed:
            self.has_started = True
            self._changed.notify_all()
            return {"kill": self._kill is not None, "grace_ms": (self._kill or 0.0) * 1000}

    def conclude(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        end = self._host.sink.end_of(self.stream)
        if end is None or end.total != params["log_bytes"]:
            raise InvalidPayload(
                f"{method} counts {params['log_bytes']} bytes of log, which ended as {end}"
            )
        outcome = TaskOutcome(
            method == "metadata.success",
            params.get("code"),
            params.get("signal"),
            params.get("reason") or "",
        )
        with self._changed:
            if self.outcome not in (None, outcome):
                raise ResourceConflict(f"{self.id} was concluded otherwise: {self.outcome}")
            self.outcome = outcome
            self._changed.notify_all()
        return {}
