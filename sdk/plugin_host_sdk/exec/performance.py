"""An author's function on a terminal as the body of a session.

A plain function has a thread of its own, a coroutine function a task on the loop of async handlers; a
session that waits for it holds nothing else. What it returns decides how the session goes on: an int or
None ends it, a program to run or a Popen takes its place. Invariant: its end of the terminal is closed
when it is done, so its last output is read up to the end.
"""

from __future__ import annotations

import errno
import signal
import threading
from typing import TYPE_CHECKING

from plugin_host_sdk.endpoint import is_async
from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.forkedchild import ParentOnly
from plugin_host_sdk.later import Later
from plugin_host_sdk.types.session import Size

from .failure import failure_of
from .file import is_popen
from .resize import Resizes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.types.session import SessionOptions

    from .clock import Clock
    from .handler import Handler
    from .processtable import ProcessTable
    from .reactor import Reactor
    from .session import Session
    from .terminal import Terminal

    RunAsync = Callable[[Callable[[], Coroutine[Any, Any, None]]], Callable[[], None]]

__all__ = ["Performance"]

_LARGEST_CODE = 2**31 - 1
# How long a successor waits for the end of a terminal that something else may hold.
_LAST_OUTPUT_S = 0.5


class Performance:
    """One run of `handler.tty_handler`.

    `go_on(result)` is called with what it returned if that is no exit code: the session then has another
    body. What is to be run on another terminal waits until all of this one has been read; a Popen has it
    already. It raises what is wrong with the result.
    """

    def __init__(
        self,
        session: Session,
        handler: Handler,
        ctx: Context,
        terminal: Terminal,
        *,
        reactor: Reactor,
        clock: Clock,
        run_async: RunAsync,
        go_on: Callable[[Any], None],
        resize_timeout: float,
    ) -> None:
        self._session = session
        self._handler = handler
        self._ctx = ctx
        self._terminal = terminal
        self._reactor = reactor
        self._clock = clock
        self._run_async = run_async
        self._go_on = go_on
        self._resize_timeout = resize_timeout
        self._resizes = Resizes(session.id)
        self._is_over = False
        self._cancel: Callable[[], None] | None = None  # of a coroutine
        self._drained: Later | None = None  # while its successor waits for its last output
        self._tty = open(terminal.open_slave(), "r+b", buffering=0)  # noqa: SIM115  # the handler's

    def start(self, options: SessionOptions) -> None:
        """Call the handler."""
        function = self._handler.tty_handler
        assert function is not None
        arguments = (self._ctx, options, self._tty, self._resizes)
        if is_async(function):
            self._ctx.is_async = True
            self._cancel = self._run_async(lambda: self._perform_async(function, arguments))
        else:
            threading.Thread(
                target=self._perform,
                args=(function, arguments),
                name=f"exec {self._session.key}",
                daemon=True,
            ).start()

    @property
    def pid(self) -> int | None:
        return None

    def outputs_ended(self) -> None:
        if self._drained is not None:
            self._drained.resolve()

    def _perform(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            with ParentOnly():
                result = function(*arguments)
        except BaseException as error:
            self._failed(error)
        else:
            if not self._returned(result):
                if not is_popen(result):
                    self._drain().wait()
                self._succeed(result)

    async def _perform_async(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            with ParentOnly():
                result = await function(*arguments)
        except BaseException as error:
            self._failed(error)
        else:
            if not self._returned(result):
                import asyncio

                if not is_popen(result):
                    await self._drain()
                await asyncio.to_thread(self._succeed, result)

    def _returned(self, result: Any) -> bool:
        """Whether that was an exit code, and so the end."""
        self._end()
        if result is not None and not isinstance(result, int):
            return False
        code = int(result or 0)
        if not -_LARGEST_CODE <= code <= _LARGEST_CODE:
            self._failed(ValueError("its handler returned a number that is no exit code"))
        else:
            self._session.body_exited(code=code, reason=f"its handler returned {code}")
        return True

    def _drain(self) -> Later:
        """Settled when all that the handler has written is read."""
        self._drained = drained = Later()

        def look() -> None:
            if self._session.has_no_output:
                drained.resolve()
            else:
                at = self._clock.monotonic() + _LAST_OUTPUT_S
                timer = self._reactor.call_at(at, self._session.cut_off)
                drained.then(lambda result, error: timer.cancel())

        self._reactor.call_soon(look)
        return drained

    def _succeed(self, result: Any) -> None:
        try:
            self._go_on(result)
        except BaseException as error:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self._end()
        if isinstance(error, SystemExit) and (error.code is None or type(error.code) is int):
            code = max(-_LARGEST_CODE, min(error.code or 0, _LARGEST_CODE))
            self._session.body_exited(code=code, reason=f"its handler exited with {code}")
            return
        if self._session.closed_by and _is_of_closing(error):
            self._session.body_exited(reason="its terminal was hung up")
            return
        failure = failure_of(error)
        self._session.body_exited(
            reason=(failure.message and f"{failure.title}: {failure.message}") or failure.title,
            error=failure,
        )

    def _end(self) -> None:
        self._is_over = True
        self._resizes.close()
        try:
            self._tty.close()
        except OSError:
            pass  # the author has closed the descriptor

    def resize(self, rows: int, cols: int) -> Later | None:
        if self._handler.handles_resize and not self._is_over:
            return self._offer(rows, cols)
        try:
            self._terminal.resize(rows, cols)
        except TerminalError:
            if not self._is_over:
                raise  # or that terminal is gone, and its successor's, which has the size, is still to come
        self._session.note_size(rows, cols)
        self._resizes.put(Size(rows, cols))
        body = self._session.body  # it may have come meanwhile, without the size
        return None if body is None or body is self else body.resize(rows, cols)

    def _offer(self, rows: int, cols: int) -> Later:
        """Let the function set the size."""
        later = Later()
        later.then(lambda result, error: self._session.note_size(rows, cols) if error is None else None)
        timeout = self._resize_timeout
        at = self._clock.monotonic() + timeout
        timer = self._reactor.call_at(at, lambda: self._resizes.give_up(later, timeout))
        later.then(lambda result, error: timer.cancel())
        self._resizes.put(Size(rows, cols), later)
        return later

    def signal(self, number: int) -> None:
        import os

        group = self._terminal.foreground_group()
        if group is None:
            raise TerminalError(
                "it runs a function of its plugin, which takes no signals", session=self._session.id
            )
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            pass  # it has just ended

    def hang_up(self, table: ProcessTable | None = None) -> None:
        self._ctx.cancelled.set("the session was closed")
        self._resizes.close()
        try:
            self.signal(signal.SIGHUP)
        except (TerminalError, OSError):
            pass  # nothing of it has the terminal

    def terminate(self) -> None:
        if self._cancel is not None and not self._is_over:
            self._cancel()
        # With both of our descriptors closed, whoever reads or writes the other end learns of it.
        self._session.input.close()
        self._reactor.call_soon(self._session.cut_off)

    def kill(self, thoroughly: bool = True) -> None:
        if not self._is_over:
            self._session.body_exited(reason="closed; its handler did not return")
        self._reactor.call_soon(self._session.cut_off)

    def is_gone(self) -> bool:
        return True  # once its session has ended: a thread cannot be killed

    def release(self) -> None:
        self._resizes.close()
        if self._drained is not None:
            self._drained.resolve()


def _is_of_closing(error: BaseException) -> bool:
    """Whether that is how a function hears that its session is closed: at its terminal, or as a task."""
    if isinstance(error, OSError):
        return error.errno == errno.EIO
    return type(error).__name__ == "CancelledError"
