"""The actions of one plugin on a test's bench: the test is the host that asks for them.

    with ActionBench(plugin) as bench:
        run = bench.trigger(action.RunScript(data=b"echo hello"))
        assert run.result().code == 0
        assert run.stdout == b"hello\\n"

Handlers run as they do in a served plugin, in threads and processes of their own; nothing is simulated but
the wire.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host_sdk.context import Context
from plugin_host_sdk.errors import CallError, CallFailed
from plugin_host_sdk.later import Later
from plugin_host_sdk.runtime.coroutine import LoopThread
from plugin_host_sdk.types.action import KINDS, Finished

from .sink import RecordingSink

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from plugin_host_sdk.action import ActionCapability
    from plugin_host_sdk.exec.clock import Clock
    from plugin_host_sdk.plugin import Plugin
    from plugin_host_sdk.types.action import Request

__all__ = ["ActionBench", "ActionRun"]

_WINDOW = 2**30
_WAIT_S = 10.0


class ActionBench:
    """Asks `plugin` for actions. As a context manager it ends what still runs.

    `logs` are (level, message), `services` what the plugin's calls to its host answer, by method, and
    `left` is the reason once an action has ended the plugin.
    """

    def __init__(
        self, plugin: Plugin, *, settings: Mapping[str, Any] | None = None, clock: Clock | None = None
    ) -> None:
        self.sink = RecordingSink()
        self.settings: Mapping[str, Any] = dict(settings or {})
        self.plugin_id = plugin.id
        self.logs: list[tuple[str, str]] = []
        self.services: dict[str, Callable[..., Any]] = {}
        self.left: str | None = None
        self._has_left = threading.Event()
        self._loop = LoopThread()
        self._numbers = itertools.count(2, 2)
        self._ids = itertools.count(1)
        capability: Any = plugin.capabilities["action"]
        self.capabilities = plugin.capabilities
        self._capability: ActionCapability = capability
        self._capability.clock = clock
        self._capability.open(self)

    def __enter__(self) -> ActionBench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def trigger(self, request: Request, *, window: int = _WINDOW, id: str | None = None) -> ActionRun:
        """Ask for an action; its `data` is what the test writes. Raises what it is refused with."""
        kind = KINDS[request.kind]
        run = ActionRun(
            self,
            id or f"action-{next(self._ids)}",
            request.kind,
            next(self._numbers),
            next(self._numbers),
            next(self._numbers) if kind.takes_data else None,
        )
        self.ask(
            "action.trigger",
            {
                "action": run.id,
                "kind": run.kind,
                "request": msgspec.to_builtins(request, builtin_types=(bytes,)),
                "stdout": run.stdout_number,
                "stderr": run.stderr_number,
                "window": window,
                "data": run.data_number,
            },
        )
        return run

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """Send a request as it travels, and wait for the answer. Raises CallError."""
        endpoint, arguments = self._capability.routes[method](params)
        ctx = Context(self, endpoint.name)
        answer = endpoint.run(ctx, arguments)
        return asyncio.run(answer) if endpoint.is_async else answer

    def wait_until_left(self, timeout: float = _WAIT_S) -> str:
        """Wait until an action has ended the plugin; the reason. Raises TimeoutError."""
        if not self._has_left.wait(timeout):
            raise TimeoutError(f"the plugin was not ended within {timeout:g} s")
        assert self.left is not None
        return self.left

    def close(self, grace: float = 2.0) -> None:
        """End what runs, as a plugin that is stopped does."""
        self._capability.close(grace)
        self._loop.close()

    # What a capability and a context need of a runtime.

    def context(self, name: str) -> Context:
        return Context(self, name)

    def run_async(self, make: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        return self._loop.run(make)

    def adopt(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def log(self, level: str, logger: str, message: str, fields: Mapping[str, Any]) -> None:
        self.logs.append((level, message))

    def drain(self) -> None:
        pass  # the sink takes everything at once

    def leave(self, reason: str) -> None:
        self.left = reason
        self._has_left.set()

    def progress(self, msgid: int, done: float, total: float | None, message: str) -> None:
        pass  # triggering has none

    def call_host(self, ctx: Context, method: str, params: dict[str, Any]) -> Any:
        service = self.services.get(method)
        if service is None:
            raise CallFailed(f"{method}: there is no host", name="command.connection")
        return service(**params)

    def start_call(
        self,
        ctx: Context,
        method: str,
        params: dict[str, Any],
        answered: Callable[[Any, CallError | None], object],
    ) -> Callable[[CallError], None]:
        answer = Later()
        answer.then(answered)
        try:
            answer.resolve(self.call_host(ctx, method, params))
        except CallError as error:
            answer.fail(error)
        return answer.fail


class ActionRun:
    """An action that was accepted."""

    def __init__(
        self, bench: ActionBench, id: str, kind: str, stdout: int, stderr: int, data: int | None
    ) -> None:
        self.id = id
        self.kind = kind
        self.stdout_number = stdout
        self.stderr_number = stderr
        self.data_number = data
        self._bench = bench

    def __repr__(self) -> str:
        return f"<ActionRun {self.id} {self.kind}>"

    @property
    def stdout(self) -> bytes:
        """The output so far."""
        return self._bench.sink.output(self.stdout_number)

    @property
    def stderr(self) -> bytes:
        """The errors so far."""
        return self._bench.sink.output(self.stderr_number)

    @property
    def keepalives(self) -> list[float]:
        """The milliseconds that its signs of life have named."""
        return [params["elapsed_ms"] for params in self._told("action.keepalive")]

    @property
    def endings(self) -> list[Finished]:
        """How it ended, as often as that was told."""
        told = self._told("action.finished")
        return [msgspec.convert(params, Finished, builtin_types=(bytes,)) for params in told]

    def credit(self, size: int) -> None:
        """Take `size` more bytes of each output; for a run with a small window."""
        self._bench.sink.credit(self.stdout_number, size)
        self._bench.sink.credit(self.stderr_number, size)

    def wait_for_stdout(self, data: bytes, timeout: float = _WAIT_S) -> bytes:
        """Wait until `data` was put out; all that was put out so far. Raises TimeoutError."""
        sink = self._bench.sink
        return sink.wait_for_output(data, stream=self.stdout_number, timeout=timeout)

    def write(self, data: bytes, timeout: float = _WAIT_S) -> None:
        """Send data, waiting for room in the window."""
        assert self.data_number is not None, f"an action of kind {self.kind} takes no data"
        self._bench.sink.type(self.data_number, data, timeout)

    def end_data(self, error: dict[str, Any] | None = None) -> None:
        """No more data comes; `error` says why it comes early."""
        assert self.data_number is not None, f"an action of kind {self.kind} takes no data"
        self._bench.sink.end_input(self.data_number, error)

    def cancel(self, reason: str = "", grace: float = 2.0) -> str:
        """Ask it to end; "cancelling" or "not_running"."""
        params = {"action": self.id, "reason": reason, "grace_ms": grace * 1000}
        state: str = self._bench.ask("action.cancel", params)["state"]
        return state

    def result(self, timeout: float = _WAIT_S) -> Any:
        """Wait for its end. Returns the result of its kind, or raises its error, or TimeoutError."""
        ending = self._bench.sink.wait_for_notification(
            "action.finished", lambda params: params["action"] == self.id, timeout=timeout
        )
        if ending["error"] is not None:
            raise CallError.from_map(ending["error"])
        return msgspec.convert(ending["result"], KINDS[self.kind].result, builtin_types=(bytes,))

    def _told(self, method: str) -> list[dict[str, Any]]:
        told = list(self._bench.sink.notifications)
        return [params for name, params in told if name == method and params["action"] == self.id]
