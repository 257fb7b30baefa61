"""A session as threads hold it: everything is done by the loop, and waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from plugin_host.errors import CallTimeout

from .terminal import DirectTerminal
from .viewer import Viewer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plugin_host.exec import session
    from plugin_host_sdk.types.session import Exit, SessionInfo

    from .loopthread import LoopThread

__all__ = ["Session"]


class Session:
    """One exec session; made by `PluginHost.exec` and `PluginHost.sessions`. See `plugin_host.Session`."""

    def __init__(self, thread: LoopThread, session: session.Session) -> None:
        self._thread = thread
        self._session = session

    def __repr__(self) -> str:
        return repr(self._session)

    @property
    def id(self) -> str:
        """Its id."""
        return self._session.id

    @property
    def info(self) -> SessionInfo:
        """The session as it was when it was opened or found."""
        return self._session.info

    @property
    def exit(self) -> Exit | None:
        """How it ended, None while it runs."""
        return self._session.exit

    @property
    def plugin(self) -> str:
        """The id of the plugin that runs it."""
        return self._session.plugin

    @property
    def tty(self) -> bool:
        """Whether it is a terminal."""
        return self._session.tty

    @property
    def terminal(self) -> DirectTerminal | None:
        """Its terminal, when it was opened `direct`."""
        terminal = self._session.terminal
        return None if terminal is None else DirectTerminal(self._thread, terminal)

    def get(self) -> SessionInfo:
        """The session at this moment, from the plugin."""
        return self._thread.run(self._session.get())

    def attach(
        self,
        offset: int | Mapping[str, int | None] | None = None,
        read_only: bool = False,
        lossless: bool | None = None,
        rows: int | None = None,
        cols: int | None = None,
    ) -> Viewer:
        """Look at the session: first what is kept from `offset`, then what comes, from the next byte.

        See `plugin_host.Session.attach` for the arguments.
        """
        viewer = self._thread.run(self._session.attach(offset, read_only, lossless, rows, cols))
        return Viewer(self._thread, self, viewer)

    def detach(self) -> None:
        """Detach every viewer that was attached through this object; the session runs on."""
        self._thread.run(self._session.detach())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write input, all of it, waiting while the program does not read.

        Raises SessionClosed, and SessionNotFound when it has ended and is forgotten.
        """
        self._thread.run(self._session.write(data))

    def close_stdin(self) -> None:
        """End the input after what was written: the program reads end of file.

        Does nothing when the session has ended. Raises SessionNotFound when it is forgotten, too.
        """
        self._thread.run(self._session.close_stdin())

    def resize(self, *, rows: int, cols: int) -> None:
        """Give the terminal a size, 1 to 65535 each way.

        Raises TerminalError, SessionClosed, SessionNotFound.
        """
        self._thread.run(self._session.resize(rows=rows, cols=cols))

    def signal(self, signal: str) -> None:
        """Send a signal by name, "SIGTERM": to the program's process group.

        Raises CallFailed for a name there is not, SessionClosed, SessionNotFound.
        """
        self._thread.run(self._session.signal(signal))

    def wait(self, timeout: float | None = None) -> Exit:
        """How the session ends; does not wait for viewers to read.

        Raises PluginDied, and CallTimeout when it has not ended within `timeout` seconds; it runs on then.
        """
        return self._thread.run(self._wait(timeout))

    async def _wait(self, timeout: float | None) -> Exit:
        if timeout is None:
            return await self._session.wait()
        try:
            async with asyncio.timeout(timeout):
                return await self._session.wait()
        except TimeoutError:
            text = f"session {self.id} of {self.plugin} has not ended within {timeout:g} s"
            raise CallTimeout(text, name="command.timeout") from None

    def totals(self) -> Mapping[str, int]:
        """How many bytes each output had in all, once it has ended. Raises PluginDied."""
        return self._thread.run(self._session.totals())

    def close(self) -> None:
        """End what runs and forget the session: hang-up or SIGTERM, after 2 s SIGKILL, for all of it.

        Returns when it is gone. Raises SessionNotFound the second time.
        """
        self._thread.run(self._session.close())
