"""A manager with a test around it: the test says what handlers do, hears what the host hears, moves time.

`Managed.close` ends everything that is left, so a test may end in the middle of a session. The fixture
`manage` makes one of handlers, `perform` one of a function on a terminal.
"""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from plugin_host_sdk.context import Context
from plugin_host_sdk.errors import SessionNotFound
from plugin_host_sdk.exec import Handler
from plugin_host_sdk.exec.manager import Manager
from plugin_host_sdk.exec.solitude import Solitude
from plugin_host_sdk.later import Later
from plugin_host_sdk.protocol import NOTIFICATION
from plugin_host_sdk.testing import FakeClock, FakeTerminalFactory, RecordingSink
from plugin_host_sdk.types.session import Attached, AttachOptions, Created, SessionOptions
from plugin_host_sdk.wire import Encoder
from tests.wait import WaitUntil

__all__ = [
    "CHANGES",
    "Manage",
    "Managed",
    "Outcome",
    "Perform",
    "PipeFiles",
    "Script",
    "acts",
    "exit_of",
    "gives",
    "is_open",
    "waits",
]

_T = TypeVar("_T")

PATIENCE_S = 10.0
CHANGES = [("resize", (1, 1)), ("signal", ("SIGINT",)), ("close_stdin", (0,))]
"""What may be asked of a session while it runs, with arguments."""

_wait_until = WaitUntil()


class Script:
    """A handler that waits for the test: it sets `begun`, and `go` lets it do `act(ctx, opts, ...)`.

    When its context is cancelled it goes on at once, unless it `is_deaf`. `contexts` are what it was given.
    """

    def __init__(self, act: Callable[..., Any] = lambda *_: None, *, is_deaf: bool = False) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.contexts: list[Context] = []
        self._act = act
        self._is_deaf = is_deaf

    def __call__(self, ctx: Context, opts: SessionOptions, *rest: Any) -> Any:
        self.contexts.append(ctx)
        if not self._is_deaf:
            ctx.cancelled.listen(self.go.set)
        self.begun.set()
        assert self.go.wait(PATIENCE_S)
        return self._act(ctx, opts, *rest)

    def on_terminal(self, ctx: Context, opts: SessionOptions, tty: Any, resize: Any) -> Any:
        """The same for a terminal."""
        return self(ctx, opts, tty, resize)

    async def as_coroutine(self, ctx: Context, opts: SessionOptions, *rest: Any) -> Any:
        """The same as a coroutine function."""
        return await asyncio.to_thread(self, ctx, opts, *rest)

    async def on_terminal_async(self, ctx: Context, opts: SessionOptions, tty: Any, resize: Any) -> Any:
        return await asyncio.to_thread(self, ctx, opts, tty, resize)


class Outcome(Generic[_T]):
    """Something that is done on a thread of its own."""

    def __init__(self, function: Callable[[], _T]) -> None:
        self._function = function
        self._results: list[_T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._function())
        except BaseException as error:
            self._error = error

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> _T:
        """What it gave, or raise what it raised."""
        self._thread.join(PATIENCE_S)
        assert self.is_done, "it is still being done"
        if self._error is not None:
            raise self._error
        return self._results[0]


class Managed:
    """`options` go to the manager, whose handlers belong to plugin `demo`."""

    def __init__(self, handlers: Iterable[Handler], **options: Any) -> None:
        self.clock = FakeClock()
        self.sink = RecordingSink()
        self.terminals = FakeTerminalFactory()
        self.logged: list[tuple[str, str]] = []
        handlers = list(handlers)
        for handler in handlers:
            handler.plugin = handler.plugin or "demo"
        self.manager = Manager(
            handlers,
            sink=self.sink,
            terminals=self.terminals,
            clock=self.clock,
            logger=lambda level, message: self.logged.append((level, message)),
            **options,
        )

    def create(
        self, id: str = "s", *, stdin: int | None = None, call: Context | None = None, **options: Any
    ) -> Created:
        return self.manager.create(SessionOptions(id=id, **options), stdin, call)

    def attach(self, id: str = "s", number: int = 1, **options: Any) -> Attached:
        """Attach viewer `number`, whose streams are 4n and 4n + 2."""
        streams = {"viewer": number, "stdout": 4 * number, "stderr": 4 * number + 2}
        return self.manager.attach(id, AttachOptions(**(streams | options)))

    def call(self) -> Context:
        """A call of the host, as the runtime gives it to `create`."""
        return Context(Solitude(self.sink, lambda level, message: None), "exec.create")

    def pass_time_until(self, predicate: Callable[[], object], step: float = 0.05) -> None:
        """Move the clock until something holds; real time passes with it, for those who need it."""

        def move_and_look() -> object:
            self.clock.advance(step)
            return predicate()

        _wait_until(move_and_look)

    def wait_until(self, predicate: Callable[[], object]) -> None:
        """Wait for what needs no time of the manager's clock."""
        _wait_until(predicate)

    def turn(self) -> None:
        """Let the manager do what is due now."""
        for _ in range(3):
            done = threading.Event()
            self.manager._reactor.call_soon(done.set)
            assert done.wait(PATIENCE_S)

    def settle(self, later: Later | None) -> Any:
        """The result of something that needs time."""
        if later is None:
            return None
        self.pass_time_until(lambda: later.is_settled)
        return later.wait(0)

    def end(self, id: str = "s") -> None:
        """Close a session, and wait until it is gone."""
        self.settle(self.manager.close(id))

    def is_gone(self, id: str = "s") -> bool:
        """Whether there is no such session."""
        try:
            self.manager.get(id)
        except SessionNotFound:
            return True
        return False

    def close(self) -> None:
        for id in [] if self.manager._is_stopping else list(self.manager._sessions):
            self.settle(self.manager.close(id, missing_ok=True))
        self.manager.shutdown(1.0)
        self.terminals.close()
        assert self.sink.faults == []


Manage = Callable[..., Managed]
Perform = Callable[..., Managed]


# Handlers.


def gives(stdout: bytes, stderr: bytes = b"") -> Handler:
    """A handler whose sessions put out these bytes and end."""
    return Handler("files", command_handler=lambda ctx, opts: (io.BytesIO(stdout), io.BytesIO(stderr)))


def waits(resource: str = "wait") -> Handler:
    """A handler whose terminals wait until they are closed."""
    return Handler(resource, tty_handler=lambda ctx, opts, tty, resize: ctx.cancelled.wait(20) and None)


def acts(function: Callable[..., Any], **options: Any) -> Handler:
    """A handler whose terminals are given to a function."""
    return Handler("act", tty_handler=function, **options)


class PipeFiles:
    """Files of a handler whose other end is the test's: `out` is what its sessions read."""

    def __init__(self) -> None:
        self.reading, self.out = os.pipe()

    def handler(self, resource: str = "pipe") -> Handler:
        return Handler(resource, command_handler=lambda ctx, opts: (self.reading, None))

    def close(self) -> None:
        os.close(self.out)


def is_open(fd: int) -> bool:
    """Whether a descriptor is one."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def exit_of(managed: Managed) -> dict[str, Any]:
    """How session "s" ended, by a message that travels."""
    exited = managed.sink.wait_for_exit("s")
    Encoder().encode([NOTIFICATION, "exec.exited", [exited]])
    exit = exited["exit"]
    assert isinstance(exit, dict)
    return exit
