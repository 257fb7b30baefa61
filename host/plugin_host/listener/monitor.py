"""The commands of one listener, by name; it listens while there are any.

Invariants: the first handler starts the listener and the last one to go stops it, both before the call
returns; a listener that cannot start leaves no handler behind; no lock is held while a handler runs, so
handlers register and unregister as they like, and what runs finishes.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import ContextVar, copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from plugin_host.servicethread import ServiceThreads
from plugin_host.wording import shown, suggestion
from plugin_host_sdk.errors import RegistrationError

from .reply import Reply, Status, lifted
from .server import CommandServer, log_note

if TYPE_CHECKING:
    from plugin_host.localsocket import LocalSocket

    from .limit import Limits
    from .request import Request

__all__ = ["Handler", "Monitor", "current_monitor"]

Handler: TypeAlias = "Callable[[Request], Any]"
"""Takes the request, which is a map of its free fields; what it returns is the reply's, see `Reply`."""

# How often who waits for the loop looks whether it still runs.
_LOOK_S = 0.2

_current: ContextVar[Monitor] = ContextVar("plugin_host_monitor")


def current_monitor() -> Monitor:
    """The monitor whose handler runs here. Raises LookupError where none runs."""
    return _current.get()


class Monitor:
    """Handlers for a command listener at `place`; without a place, none listens.

    Handlers are only noted until `start`, or until one is registered inside a running loop, unless the
    monitor is `deferred`. May be used from any thread, and from inside handlers. With `debug` clients are
    sent the tracebacks of handlers that fail. `note(text)` is told what operators are to know of.
    """

    def __init__(
        self,
        place: LocalSocket | None,
        limits: Limits | None = None,
        *,
        deferred: bool = False,
        debug: bool = False,
        note: Callable[[str], None] = log_note,
    ) -> None:
        self._server: CommandServer | None = None
        if place is not None:
            self._server = CommandServer(place, self._answer, limits, debug=debug, note=note)
        self._lock = threading.RLock()
        self._handlers: dict[str, Handler] = {}  # replaced, never changed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = deferred
        self._threads = ServiceThreads()

    def __repr__(self) -> str:
        return f"<Monitor {self._server!r} commands={', '.join(self.names) or 'none'}>"

    @property
    def names(self) -> list[str]:
        """The registered commands, sorted."""
        return sorted(self._handlers)

    @property
    def is_listening(self) -> bool:
        return self._server is not None and self._server.is_listening

    @property
    def path(self) -> str | None:
        """The listener's socket, None when there is none to be."""
        return None if self._server is None else self._server.path

    def start(self) -> None:
        """Listen on the running loop whenever there are handlers; started already, nothing.

        Raises SocketError.
        """
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._is_closed = False
            if self._handlers and self._server is not None:
                self._server.start(self._loop)

    def register(self, name: str, handler: Handler) -> None:
        """Take a command: `handler(request)` runs on the loop if it is async, else in a thread.

        It returns a map of fields for the reply, or any other value, which becomes the field `Result`; it
        raises CommandError to end with a status of its own. Raises RegistrationError for a name that is
        taken, and SocketError when this is the first handler and the listener cannot start.
        """
        if not isinstance(name, str) or not name or not callable(handler):
            raise RegistrationError(f"a command has a name and a function, not {name!r} and {handler!r}")
        self._on_loop(self._register, name, handler)

    def unregister(self, name: str) -> None:
        """Give a command up; calls that run finish. Raises RegistrationError for one that is not there."""
        self._on_loop(self._unregister, name)

    async def aclose(self, grace_s: float | None = None) -> None:
        """Stop listening, until `start`; what runs has `grace_s` seconds. The handlers stay registered."""
        self._is_closed = True
        try:
            if self._server is not None:
                await self._server.aclose(grace_s)
        finally:
            self._threads.close()
            self._threads = ServiceThreads()

    async def __aenter__(self) -> Monitor:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _register(self, name: str, handler: Handler) -> None:
        with self._lock:
            if name in self._handlers:
                raise RegistrationError(f"command {name!r} is registered already")
            if self._server is not None and self._loop is not None and not self._is_closed:
                self._server.start(self._loop)
            self._handlers = {**self._handlers, name: handler}

    def _unregister(self, name: str) -> None:
        with self._lock:
            handlers = dict(self._handlers)
            if handlers.pop(name, None) is None:
                hint = suggestion(name, handlers)
                raise RegistrationError(f"command {name!r} is not registered{hint}")
            self._handlers = handlers
            if not handlers and self._server is not None:
                self._server.stop()

    def _on_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        """Do it where the listener lives, and return when it is done.

        A loop that does not run, now or any more, does nothing meanwhile: then it is done here.
        """
        running = _running_loop()
        while True:
            loop = self._loop
            if loop is None or loop.is_closed():
                loop = self._loop = running
            if loop is None or loop is running or not loop.is_running():
                function(*arguments)
                return
            done: Future[None] = Future()
            try:
                loop.call_soon_threadsafe(_perform, done, function, *arguments)
            except RuntimeError:  # it was closed at this moment
                continue
            if _is_begun(done, loop):
                done.result()
                return

    async def _answer(self, request: Request) -> Reply:
        handler = self._handlers.get(request.command)
        if handler is None:
            return self._not_found(request.command)
        _current.set(self)  # in the context of this request alone
        if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004 - an object whose call is async
        ):
            result = await handler(request)
        else:
            context = copy_context()
            result = await self._threads.run(lambda: context.run(handler, request))
        return result if isinstance(result, Reply) else Reply(fields=lifted(result))

    def _not_found(self, name: str) -> Reply:
        known = self.names
        if not name:
            text = "no Command was given"
        else:
            text = f"no command `{shown(name[:60])}`{suggestion(name, known)}"
        return Reply(Status.NOT_FOUND, f"{text}; there are: {', '.join(known)}")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _perform(done: Future[None], function: Callable[..., None], *arguments: Any) -> None:
    """On the loop, unless nobody waits for it any more."""
    if not done.set_running_or_notify_cancel():
        return
    try:
        function(*arguments)
    except Exception as error:
        done.set_exception(error)
    else:
        done.set_result(None)


def _is_begun(done: Future[None], loop: asyncio.AbstractEventLoop) -> bool:
    """Wait until it is done, or the loop has stopped before it came to it: then it never will be."""
    while True:
        wait([done], timeout=_LOOK_S)
        if done.done():
            return True
        if not loop.is_running() and done.cancel():
            return False
