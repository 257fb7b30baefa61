"""Calls from the plugin to its host while it serves a call: who waits, and how the answer finds them."""

from __future__ import annotations

import threading

from plugin_host_sdk.errors import (
    CallCancelled,
    CallError,
    CallFailed,
    CallTimeout,
    LocalProtocolError,
    MessageTooLarge,
    NotEncodable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.later import Listener

    from .wiring import Wiring

__all__ = ["NestedCalls"]


class _Waiter:
    """A plain handler's thread, waiting."""

    __slots__ = ("_lock", "error", "result")

    def __init__(self) -> None:
        self.result: Any = None
        self.error: CallError | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    def deliver(self, result: Any, error: CallError | None) -> None:
        self.result, self.error = result, error
        self._lock.release()

    def wait(self, timeout: float | None) -> bool:
        return self._lock.acquire(timeout=-1 if timeout is None else timeout)


class _AsyncWaiter:
    """A coroutine, waiting on its loop."""

    __slots__ = ("_loop", "future")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self.future: Future[Any] = loop.create_future()

    def deliver(self, result: Any, error: CallError | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._settle, result, error)
        except RuntimeError:
            pass  # the loop has ended before the answer came

    def _settle(self, result: Any, error: CallError | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class _Listening:
    """Whoever listens, on the thread that reads."""

    __slots__ = ("deliver",)

    def __init__(self, answered: Listener) -> None:
        self.deliver = answered


class NestedCalls:
    """The open requests of this plugin. `deliver` is called once for each, by whoever reads."""

    def __init__(self, wiring: Wiring, plugin_id: str) -> None:
        self._wiring = wiring
        self._plugin_id = plugin_id
        self._waiters: dict[int, _Waiter | _AsyncWaiter | _Listening] = {}

    def deliver(self, msgid: int, result: Any, error: CallError | None) -> None:
        """The answer to a request has come."""
        with self._wiring.mutex:
            waiter = self._waiters.pop(msgid, None)
        if waiter is not None:
            waiter.deliver(result, error)

    def fail_all(self, reason: str) -> None:
        """The connection ended: nobody will answer."""
        with self._wiring.mutex:
            waiters, self._waiters = self._waiters, {}
            methods = dict(self._wiring.connection.pending)
        for msgid, waiter in waiters.items():
            text = f"{methods.get(msgid, 'a request')}: {reason}"
            waiter.deliver(None, CallFailed(text, name="command.connection"))

    def call(self, ctx: Context, method: str, params: dict[str, Any]) -> Any:
        """Ask the host and wait on this thread, at most until the deadline of the call being served."""
        ctx.check()
        waiter = _Waiter()
        msgid = self._send(ctx, method, params, waiter)

        def cancel() -> None:
            self.deliver(msgid, None, _cancelled(ctx))

        ctx.cancelled.listen(cancel)
        try:
            in_time = waiter.wait(ctx.remaining())
        finally:
            ctx.cancelled.forget(cancel)
        if not in_time:
            self.deliver(msgid, None, _timed_out(ctx, method))
            waiter.wait(None)
        self._abandon(msgid)
        if waiter.error is not None:
            raise waiter.error
        return waiter.result

    async def call_async(self, ctx: Context, method: str, params: dict[str, Any]) -> Any:
        """The same on an event loop."""
        import asyncio

        ctx.check()
        waiter = _AsyncWaiter(asyncio.get_running_loop())
        msgid = self._send(ctx, method, params, waiter)
        try:
            async with asyncio.timeout(ctx.remaining()):
                return await waiter.future
        except TimeoutError:
            raise _timed_out(ctx, method) from None
        finally:
            with self._wiring.mutex:
                self._waiters.pop(msgid, None)
            self._abandon(msgid)

    def start(
        self, ctx: Context, method: str, params: dict[str, Any], answered: Listener
    ) -> Callable[[CallError], None]:
        """Ask the host and wait for nothing: `answered(result, error)` is called once, on the thread that
        reads. What is given back drops the call, with the error that it ends with then, if it has not."""
        msgid = self._send(ctx, method, params, _Listening(answered))

        def drop(error: CallError) -> None:
            self.deliver(msgid, None, error)
            self._abandon(msgid)

        return drop

    def _send(
        self,
        ctx: Context,
        method: str,
        params: dict[str, Any],
        waiter: _Waiter | _AsyncWaiter | _Listening,
    ) -> int:
        wiring = self._wiring
        meta: dict[str, Any] = {"chain": [*ctx.chain, self._plugin_id]}
        remaining = ctx.remaining()
        if remaining is not None:
            meta["timeout_ms"] = int(remaining * 1000)
        if ctx.trace is not None:
            meta |= ctx.trace.outgoing().to_meta()
        with wiring.mutex:
            if wiring.is_broken:
                raise CallFailed(f"{method}: the host is gone", name="command.connection")
            try:
                msgid, data = wiring.connection.send_request(method, params, meta)
            except MessageTooLarge as error:
                raise CallFailed(f"{method}: {error}", name="rpc.too_large") from None
            except NotEncodable as error:
                raise CallFailed(f"{method}: {error}", name="rpc.not_encodable") from None
            except LocalProtocolError as error:  # the connection has ended
                raise CallFailed(f"{method}: {error}", name="command.connection") from None
            self._waiters[msgid] = waiter
            wiring.put(data)
        wiring.flush()
        return msgid

    def _abandon(self, msgid: int) -> None:
        """Tell the host when the answer is no longer wanted; nothing happens when it has come."""
        wiring = self._wiring
        with wiring.mutex:
            if msgid not in wiring.connection.pending:
                return
            wiring.put(wiring.connection.send_cancel(msgid))
        wiring.flush()


def _cancelled(ctx: Context) -> CallError:
    return CallCancelled(f"{ctx.name!r} was cancelled: {ctx.cancelled.reason}", name="rpc.cancelled")


def _timed_out(ctx: Context, method: str) -> CallError:
    return CallTimeout(
        f"the deadline of {ctx.name!r} passed while it waited for {method}",
        name="rpc.deadline_exceeded",
    )
