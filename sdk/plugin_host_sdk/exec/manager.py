"""All sessions of one plugin: opening, finding, closing and forgetting them.

The plugin's end of `Provider`. Author code runs on the thread that calls `create`, never under a lock. An
id is reserved before a handler is asked. Sessions that ended stay for who wants to read them, for as long
after the last look and as many as the limits say.
"""

from __future__ import annotations

import builtins
import os
import signal as signals
import threading
import weakref
from typing import TYPE_CHECKING, NoReturn

import msgspec

from plugin_host_sdk.errors import (
    CallCancelled,
    CallFailed,
    CallTimeout,
    HandlerNotFound,
    SessionExists,
    SessionNotFound,
    TerminalError,
    excerpt,
)
from plugin_host_sdk.forkedchild import ParentOnly
from plugin_host_sdk.protocol import LARGEST_SIZE, REPLAY_BYTES, TERMINAL_WINDOW_BYTES, WINDOW_BYTES
from plugin_host_sdk.types.session import Created, HandlerInfo

from .attention import Attention
from .clock import SystemClock
from .closing import GRACE_S, Closing
from .configuration import SessionLimits, SessionSettings
from .failure import error_of
from .handler import ExecSpec, find_handler
from .launcher import Launcher, close_result
from .processtable import ProcessTable
from .reactor import Reactor
from .session import ENDED, FIRST_LOOK_S, STARTING, Session
from .solitude import Solitude
from .terminal import RealTerminalFactory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.endpoint import Runtime
    from plugin_host_sdk.later import Later
    from plugin_host_sdk.sink import Sink
    from plugin_host_sdk.types.session import Attached, AttachOptions, SessionInfo, SessionOptions

    from .clock import Clock
    from .handler import Handler
    from .reactor import Timer
    from .terminal import TerminalFactory

    Logger = Callable[[str, str], None]

__all__ = ["MOST_TOLD_BYTES", "Manager"]

MOST_TOLD_BYTES = 1024 * 1024
_LOOK_S = 1.0  # between two looks at an ended session that is still looked at
# So many that have ended are kept for FIRST_LOOK_S, whatever the limits: who has opened one is about to
# attach.
_AWAITED_SESSIONS = 64


def _check_told(options: SessionOptions) -> None:
    """Refuse more than is repeated to everybody who asks for the session. Raises CallFailed."""
    if options.handover is not None and not options.tty:
        raise CallFailed("a session on pipes has no terminal to pass on", name="rpc.invalid_params")
    size = len(msgspec.msgpack.encode((options.command, options.labels, options.params)))
    if size > MOST_TOLD_BYTES:
        raise CallFailed(
            f"command, labels and params of a session are {size} bytes, and may be {MOST_TOLD_BYTES}: give "
            "what is large as resource_data, which only the handler gets",
            name="rpc.invalid_params",
        )


def _why(call: Context | None) -> str:
    """Why the call that opens a session is given up; a host that stops the plugin says so."""
    return (call and call.cancelled.reason) or "the caller cancelled"


class Manager:
    """Sessions of `handlers`, whose keys are complete.

    `sink` is where output goes; `terminals`, `clock` and `logger(level, message)` stand for the machine's.
    `runtime` gives handlers their context; without one they have a context that knows no host.
    `replay_bytes`, `settings` and `limits` are as in `PluginOpts`.
    """

    def __init__(
        self,
        handlers: Iterable[Handler],
        *,
        sink: Sink,
        terminals: TerminalFactory | None = None,
        clock: Clock | None = None,
        logger: Logger | None = None,
        runtime: Runtime | None = None,
        replay_bytes: int = REPLAY_BYTES,
        settings: SessionSettings | None = None,
        limits: SessionLimits | None = None,
    ) -> None:
        self._handlers = {handler.key: handler for handler in handlers}
        self._sink = sink
        self._clock = clock or SystemClock()
        self._log = logger or (lambda level, message: None)
        self._runtime = runtime or Solitude(sink, self._log)
        self._replay_bytes = replay_bytes
        self._settings = settings or SessionSettings()
        self._limits = limits or SessionLimits()
        self._attention = Attention()
        self._reactor = Reactor(self._clock, lambda text: self._log("error", text))
        self._launcher = Launcher(
            self._reactor,
            self._clock,
            terminals or RealTerminalFactory(),
            self._runtime.run_async,
            self._settings,
        )
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._contexts: dict[str, Context] = {}
        self._closings: dict[str, Closing] = {}
        self._sweeping: Timer | None = None  # the next look at those that have ended
        self._is_stopping = False
        disown = weakref.WeakMethod(self._disown)
        os.register_at_fork(after_in_child=lambda: (call := disown()) and call())

    def _disown(self) -> None:
        """In a forked child: its copies of our descriptors would keep terminals and pipes open."""
        for session in self._sessions.values():
            session.disown()

    def __repr__(self) -> str:
        return f"<Manager handlers={sorted(self._handlers)} sessions={len(self._sessions)}>"

    # Handlers.

    def handlers(self) -> list[HandlerInfo]:
        return [
            msgspec.convert(self._handlers[key].describe(), HandlerInfo) for key in sorted(self._handlers)
        ]

    # Opening.

    def create(
        self,
        options: SessionOptions,
        stdin: int | None = None,
        call: Context | None = None,
        handler: Handler | None = None,
    ) -> Created:
        """Open a session. `call` is the call that asks for it: when it is cancelled nothing is left.

        `handler` is one that is not listed, in the place of the one that `options` name.
        """
        session, handler = self._reserve(options, call, handler)
        try:
            window = self._open_input(session, stdin)
            function = self._function(session, handler)
            with ParentOnly():
                result = function and function(self._contexts[session.id], session.options)
        except BaseException as error:
            self._give_up(session, error)
        return self._begin(session, handler, result, window, call)

    async def create_async(
        self,
        options: SessionOptions,
        stdin: int | None = None,
        call: Context | None = None,
        handler: Handler | None = None,
    ) -> Created:
        """The same for a handler that is a coroutine function."""
        import asyncio

        session, handler = self._reserve(options, call, handler)
        try:
            window = self._open_input(session, stdin)
            function = self._function(session, handler)
            ctx = self._contexts[session.id]
            ctx.is_async = True
            with ParentOnly():
                result = function and await function(ctx, session.options)
        except BaseException as error:
            self._give_up(session, error)
        # A spawn takes longer than others on the loop should wait, and cannot be left half-way.
        loop = asyncio.get_running_loop()
        try:
            beginning = loop.run_in_executor(None, self._begin, session, handler, result, window, call)
        except RuntimeError as error:  # there is no thread to be had
            self._give_up(session, error)
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            self._begin_closing(session, _why(call), 0.0)
            beginning.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    def _reserve(
        self, options: SessionOptions, call: Context | None, handler: Handler | None
    ) -> tuple[Session, Handler]:
        handler = handler or find_handler(self._handlers, options.handler)
        _check_told(options)
        self._reactor.start()  # what happens to the session happens there, its end too
        options = msgspec.structs.replace(options, command=options.command or handler.default_command)
        session = Session(
            options,
            handler.key,
            self._replay_bytes if options.replay_bytes is None else options.replay_bytes,
            sink=self._sink,
            reactor=self._reactor,
            clock=self._clock,
            attention=self._attention,
            ended=self._retire,
            event_queue=self._settings.event_queue,
            kept_s=self._limits.ended_s if self._limits.ended_sessions else 0.0,
        )
        ctx = self._runtime.context(f"exec {handler.key}")
        if call is not None:
            ctx.chain = call.chain

            def give_up() -> None:
                if session.state == STARTING:  # what runs outlives the call
                    ctx.cancelled.set(_why(call))

            call.cancelled.listen(give_up)
        with self._lock:
            if self._is_stopping:
                raise CallCancelled("the plugin is stopping", name="rpc.cancelled")
            if session.id in self._sessions:
                raise SessionExists("the id is taken", session=session.id)
            self._sessions[session.id] = session
            self._contexts[session.id] = ctx
        return session, handler

    def _open_input(self, session: Session, stdin: int | None) -> int:
        if stdin is None:
            return 0
        return session.input.open(stdin, TERMINAL_WINDOW_BYTES if session.options.tty else WINDOW_BYTES)

    def _function(self, session: Session, handler: Handler) -> Callable[..., Any] | None:
        """What to ask for something to run; None when there is nobody to ask."""
        tty = session.options.tty
        if not (handler.tty if tty else handler.serves_pipes):
            how = (
                "pipes only: ask with tty=False, on the command line without -t"
                if tty
                else "terminals only: ask with tty=True, on the command line with -t"
            )
            raise HandlerNotFound(
                f"{handler.key} serves {how}",
                session=session.id,
                data={"handlers": sorted(self._handlers)},
            )
        if handler.runs_commands or (tty and handler.tty_handler is not None):
            return None
        return handler.session_handler or handler.command_handler

    def _begin(
        self, session: Session, handler: Handler, result: Any, window: int, call: Context | None
    ) -> Created:
        try:
            self._start(session, handler, result)
        except BaseException as error:
            self._give_up(session, error)
        return self._created(session, window, call)

    def _start(self, session: Session, handler: Handler, result: Any) -> None:
        # Files and processes are taken all the same, to be ended with the session, while somebody ends it.
        if session.closed_by and (self._is_stopping or result is None or isinstance(result, ExecSpec)):
            close_result(result)
            raise CallCancelled(f"session {session.id}: {session.closed_by}", name="rpc.cancelled")
        ctx = self._contexts[session.id]
        if handler.runs_commands:
            self._launcher.run_command(session, handler)
        elif session.options.tty and handler.tty_handler is not None:
            self._launcher.perform(session, handler, ctx)
        else:
            self._launcher.run(session, handler, result)

    def _give_up(self, session: Session, error: BaseException) -> NoReturn:
        """A session that was not to be: nothing of it stays. Raises what the caller is told."""
        if session.body is not None:
            self._begin_closing(session, "its start failed", 0.0)
        else:
            session.abandon()
            closing = self._forget(session)
            if closing is not None:
                closing.begin(0.0)
        if isinstance(error, GeneratorExit) or type(error).__name__ == "CancelledError":
            raise error
        raise error_of(error, session.id, session.key)

    def _created(self, session: Session, window: int, call: Context | None) -> Created:
        if call is not None and call.cancelled and not session.closed_by:
            self._begin_closing(session, _why(call), 0.0)
        if session.closed_by:  # somebody closed it while it started
            closing = self._closings.get(session.id)
            if closing is not None:
                closing.begin(0.0)
            raise CallCancelled(f"session {session.id}: {session.closed_by}", name="rpc.cancelled")
        return Created(session=session.info(), stdin_window=window)

    # Looking.

    def get(self, session: str) -> SessionInfo:
        return self._find(session).info()

    def list(self) -> builtins.list[SessionInfo]:
        with self._lock:
            sessions = builtins.list(self._sessions.values())
        # One that is still to be opened may never be, and then no exit would tell who saw it here.
        infos = [one.info() for one in sessions if one.state != STARTING]
        return sorted(infos, key=lambda info: (info.created_at, info.id))

    def attach(self, session: str, options: AttachOptions) -> Attached:
        found = self._find(session)
        if found.state == STARTING:
            raise SessionNotFound("it is not open yet", session=session)
        return found.attach(options)

    def detach(self, session: str, viewer: int) -> None:
        self._find(session).detach(viewer)

    def _find(self, session: str) -> Session:
        found = self._sessions.get(session)
        if found is None:
            raise SessionNotFound("there is no such session, or no longer", session=session)
        return found

    def _find_running(self, session: str) -> Session:
        found = self._find(session)
        found.check_runs()
        if found.body is None:
            raise SessionNotFound("it is not open yet", session=session)
        return found

    # Acting on one.

    def resize(self, session: str, rows: int, cols: int) -> Later | None:
        for name, value in (("rows", rows), ("cols", cols)):
            if type(value) is not int or not 1 <= value <= LARGEST_SIZE:
                raise CallFailed(
                    f"{name} of a terminal are 1 to {LARGEST_SIZE}, not {excerpt(value)}",
                    name="rpc.invalid_params",
                )
        found = self._find_running(session)
        if not found.options.tty:
            raise TerminalError("it runs on pipes, which have no size", session=session)
        return found.resize(rows, cols)

    def signal(self, session: str, signal: str) -> None:
        number = signals.Signals.__members__.get(signal) if isinstance(signal, str) else None
        if number is None:
            known = ", ".join(sorted(one.name for one in signals.Signals))
            raise CallFailed(
                f"there is no signal {excerpt(signal)}; there are {known}", name="rpc.invalid_params"
            )
        body = self._find_running(session).body
        assert body is not None
        body.signal(number)

    def close_stdin(self, session: str, total: int) -> None:
        if type(total) is not int or total < 0:
            raise CallFailed(
                f"input ends after 0 bytes or more, not {excerpt(total)}", name="rpc.invalid_params"
            )
        self._find_running(session).input.end_after(total)

    # Ending.

    def has_input(self, session: str, stdin: int) -> bool:
        """Whether there is such a session, opened by the call that named this stream."""
        found = self._sessions.get(session)
        return found is not None and found.input.number == stdin

    def close(self, session: str, missing_ok: bool = False) -> Later | None:
        """End a session with all that it started, and forget it; settled when it is gone."""
        found = self._sessions.get(session)
        if found is None:
            if missing_ok:
                return None
            self._find(session)
        assert found is not None
        # What an ended one left behind goes, too: the kernel hangs up a terminal's, nobody those of pipes.
        if found.is_over and session not in self._closings and found.has_left_nothing():
            self._forget(found)
            return None
        return self._begin_closing(found, "the host closed the session", GRACE_S).done

    def _begin_closing(
        self, session: Session, reason: str, grace: float, table: ProcessTable | None = None
    ) -> Closing:
        with self._lock:
            is_known = self._sessions.get(session.id) is session
            closing = self._closings.get(session.id) if is_known else None
            if closing is not None:
                return closing
            closing = Closing(session, self._reactor, self._clock, self._forget_closed)
            ctx = None
            if is_known:  # or it has gone just now
                self._closings[session.id] = closing
                session.closed_by = reason
                ctx = self._contexts.get(session.id)
        if ctx is not None:
            ctx.cancelled.set(reason)
        if session.body is not None or not is_known:  # one that only starts is ended by who starts it
            closing.begin(grace, table)
        return closing

    def _forget(self, session: Session) -> Closing | None:
        with self._lock:
            if self._sessions.get(session.id) is not session:
                return None  # its id may be another's by now
            del self._sessions[session.id]
            self._contexts.pop(session.id, None)
            closing = self._closings.pop(session.id, None)
        session.forget_output()
        return closing

    def _forget_closed(self, session: Session) -> None:
        self._forget(session)

    def _retire(self, session: Session) -> None:
        """A session has ended: it stays for a while."""
        self._sweep()

    def _sweep(self) -> None:
        """Forget ended ones that are too many, or ended long enough ago; the timer holds none of them."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        now = self._clock.monotonic()
        with self._lock:
            ended = [one for one in self._sessions.values() if one.state == ENDED]
        ended.sort(key=lambda one: one.ended_at, reverse=True)
        left = []
        for rank, one in enumerate(ended):
            until = self._kept_until(one, rank, now)
            if until <= now:
                self._forget_ended(one)
            else:
                left.append(until)
        if left:
            self._sweeping = self._reactor.call_at(min(left), self._sweep)

    def _kept_until(self, session: Session, rank: int, now: float) -> float:
        """How long an ended session is kept after which `rank` others have ended."""
        limits, until = self._limits, now
        if session.awaits_viewer and rank < _AWAITED_SESSIONS:
            until = session.ended_at + FIRST_LOOK_S
        if rank >= limits.ended_sessions:
            return until
        if session.is_watched:
            return now + max(limits.ended_s, _LOOK_S)
        return max(until, session.last_seen + limits.ended_s)

    def _forget_ended(self, session: Session) -> None:
        if session.id not in self._closings:
            self._forget(session)

    def shutdown(self, grace: float) -> None:
        """End every session, within `grace` seconds, and take no more. Waits for it."""
        with self._lock:
            self._is_stopping = True
            sessions = [one for one in self._sessions.values() if one.state != ENDED]
        share = min(grace * 0.8, GRACE_S)
        table = ProcessTable.read() if sessions else None
        closings = [self._begin_closing(one, "the plugin is stopping", share, table) for one in sessions]
        for closing in closings:
            closing.hasten(share)
        until = self._clock.monotonic() + grace
        for closing in closings:
            try:
                closing.done.wait(max(0.0, until - self._clock.monotonic()))
            except CallTimeout:
                self._log("warning", "not every session ended in time")
                break
        self._reactor.close()
