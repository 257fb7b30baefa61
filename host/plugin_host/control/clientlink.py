"""The connection of a client to a host: who it is to the host, what it asks and follows, and its end.

Used from one event loop. Invariant: when the connection ends, every request, session, action, task and
subscription of it ends with the reason.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, TypeVar

from plugin_host.errors import CallError, CallFailed, CallTimeout, HostLost, PluginHostError
from plugin_host.link import Link
from plugin_host.linkowner import LinkOwner
from plugin_host.trace import current_trace
from plugin_host.version import VERSION
from plugin_host_sdk.connection import HOST, Connection
from plugin_host_sdk.protocol import PROTOCOL_VERSIONS

from .errormap import from_map
from .follower import WINDOW_BYTES, Follower
from .remoteaction import RemoteActions
from .remotesession import RemoteSessions
from .remotetasks import RemoteTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from plugin_host.channel import Channel

__all__ = ["ClientLink"]

_T = TypeVar("_T")

# How an error about a value begins: parameters are the first of a list in the message.
_IN_MESSAGE = "cannot send [0]."
# How much later than the host a client itself finds that there is no answer.
_LATER_S = 1.0


def _is_over(deadline: float | None) -> bool:
    """Whether this side's time is over; the host would have said it long before."""
    return deadline is not None and asyncio.get_running_loop().time() > deadline - _LATER_S / 2


def _pid(info: dict[str, Any]) -> int:
    """The host's process, by its own word: a network tells none."""
    host = info.get("host")
    pid = host.get("pid") if isinstance(host, dict) else None
    return pid if isinstance(pid, int) else 0


class ClientLink(LinkOwner):
    """One connection, an async context manager. `introduce` opens it for use.

    `info` is what the host said of itself, `token` what makes a later connection the same client.
    """

    def __init__(self, channel: Channel, path: str, pid: int) -> None:
        self.path = path
        self.pid = pid
        self.info: dict[str, Any] = {}
        self.token = ""
        self.link = Link(channel, Connection(HOST, peer="host"), self, "host")
        self._channel = channel
        self._sessions = RemoteSessions(self.link)
        self.actions = RemoteActions(self.link)
        self.tasks = RemoteTasks(self, self._sessions)
        self._followers: set[Follower[Any]] = set()
        self._why = ""
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.path} {'over' if self._over.done() else 'connected'}>"

    async def introduce(self, name: str, *, keep: bool, token: str | None) -> None:
        """Say who asks, and hear who answers. Raises HostLost."""
        link = self.link
        link.initialize(
            {
                "protocols": list(PROTOCOL_VERSIONS),
                "client": {"name": name, "version": VERSION},
                "release": "keep" if keep else "kill",
                "token": token,
                "limits": link.connection.limits.to_map(),
            }
        )
        await asyncio.wait((link.initialized, self._over), return_when=asyncio.FIRST_COMPLETED)
        if self._over.done() or not link.initialized.done():
            raise HostLost(self._why or "it ended the connection without a word")
        self.info = link.initialized.result()
        self.token = str(self.info.get("token", ""))
        self.pid = self.pid or _pid(self.info)

    async def close(self) -> None:
        """End the connection. Sessions are kept or closed as was chosen."""
        self.ended(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def wait_closed(self) -> None:
        """Wait until the connection has ended."""
        await asyncio.shield(self._over)

    # The link's.

    def notified(self, method: str, params: Any) -> None:
        if method.startswith("task."):
            self.tasks.told(method, params)
        elif method.startswith("action."):
            self.actions.told(method, params)
        else:
            self._sessions.told(method, params)

    def ended(self, error: Exception | None) -> None:
        if self._over.done():
            return
        self._over.set_result(None)
        self._why = str(error or "")
        self.link.close()
        self._channel.close()
        reason = self._end_of_connection()
        self.link.fail_calls(lambda: HostLost(reason))
        self._sessions.fail(lambda session: HostLost(reason))
        self.actions.fail(lambda action: HostLost(reason))
        self.tasks.fail(lambda: HostLost(reason))
        for follower in list(self._followers):
            follower.fail(HostLost(reason))

    def _end_of_connection(self) -> str:
        why = f": {self._why}" if self._why else ""
        return f"the connection to the host at {self.path} ended{why}"

    # Asking.

    async def ask(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: Callable[[float, float | None, str], None] | None = None,
    ) -> Any:
        """Any request of the control protocol, and its answer; it carries the trace of `traced`."""
        if self._over.done():
            raise HostLost(self._end_of_connection())
        arguments = dict(params or {})
        trace = current_trace.get()
        meta: dict[str, Any] = {} if trace is None else {**trace.to_meta()}
        deadline = None
        if timeout is not None:
            meta["timeout_ms"] = max(1, int(timeout * 1000))
            # The host says it more precisely; this is for one that says nothing.
            deadline = asyncio.get_running_loop().time() + timeout + _LATER_S
        self.link.survey(arguments)
        try:
            msgid, answer = self.link.request(method, arguments, meta or None, deadline, on_progress)
        except CallFailed as error:  # where in the message is no matter of who asks
            text = error.message.replace(_IN_MESSAGE, "cannot send ", 1)
            raise CallFailed(text, name=error.name, data=error.data) from None
        try:
            return await answer
        except asyncio.CancelledError:
            self.link.abandon(msgid)
            raise
        except CallError as error:
            if isinstance(error, CallTimeout) and _is_over(deadline):
                text = f"{method}: the host gave no answer within {timeout:g} s"
                raise CallTimeout(text, name=error.name, data=error.data) from None
            raise from_map(error) from None

    async def follow(self, method: str, asked: dict[str, Any], read: Callable[[Any], _T]) -> Follower[_T]:
        """What a request that names a stream makes the host tell on it, each line as `read` makes of it."""
        follower = Follower(self.link.streams, read, self._followers.discard)
        named = {"stream": follower.stream, "window": WINDOW_BYTES}
        self._followers.add(follower)
        try:
            await self.ask(method, asked | named)
        except PluginHostError:
            self.link.streams.forget(follower.stream)
            self._followers.discard(follower)
            raise
        except BaseException:
            await follower.close()
            raise
        return follower
