"""A session as embedders hold it.

Everything is asked of the plugin; what is kept here is what the plugin cannot know: who looks from this
host and with which size, and how the session ended once that was told. Invariants: after the exit, or the
plugin's end, nobody waits any more; what is known to be forgotten is never asked for again, because its
id may be another's by then.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from plugin_host.errors import CallError, CallFailed, SessionClosed, SessionNotFound, TerminalError
from plugin_host_sdk.protocol import OUTPUT_WINDOW_BYTES, TERMINAL_WINDOW_BYTES
from plugin_host_sdk.types.session import AttachOptions, Exit, HandlerInfo, SessionFailure, SessionInfo

from .input import Input
from .offset import offset_given
from .size import Sizes, check_whole
from .viewer import Viewer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from plugin_host.errors import PluginHostError
    from plugin_host_sdk.types.session import Attached, Created

    from .carrier import SessionCarrier
    from .terminal import DirectTerminal

__all__ = ["Exit", "HandlerInfo", "Session", "SessionFailure", "SessionInfo"]

TAKEN = "its id is another's by now"
# How long a plugin may take to say whether it still keeps a session that has ended.
_KEPT_S = 2.0


class Session:
    """One exec session; made by `PluginHost.exec` and `PluginHost.sessions`.

    `info` is the session as it was when it was last opened or listed, `exit` how it ended, None while it
    runs, `terminal` its terminal when it was opened `direct`. Every method raises PluginDied, which is
    retryable, when its plugin dies. Of a session that has ended, `write`, `resize` and `signal` raise
    SessionClosed while the plugin keeps it. Once it is forgotten they raise SessionNotFound, and so do
    `close_stdin`, `attach`, `get` and `close`.
    """

    def __init__(self, proxy: SessionCarrier, info: SessionInfo) -> None:
        self.id = info.id
        self.info = info
        self.exit: Exit | None = info.exit
        self.terminal: DirectTerminal | None = None
        self._proxy = proxy
        self._input: Input | None = None
        self._joining = asyncio.Lock()
        self._sizes = Sizes((info.rows, info.cols) if info.rows and info.cols else None)
        self._viewers: dict[int, Viewer] = {}
        self._totals: Mapping[str, int] = {name: kept.end for name, kept in info.output.items()}
        self.looked_at = 0.0
        self._was_read = False  # by a viewer that has left
        self._over = asyncio.Event()
        self._forgotten = ""  # why it is not there any more
        if info.exit is not None:
            self._over.set()

    def __repr__(self) -> str:
        return f"<Session {self.id} of {self.plugin} {'ended' if self.exit else 'running'}>"

    @property
    def plugin(self) -> str:
        """The id of the plugin that runs it."""
        return self._proxy.plugin

    @property
    def tty(self) -> bool:
        """Whether it is a terminal."""
        return self.info.tty

    @property
    def is_over(self) -> bool:
        """Whether its end is known, or its plugin gone."""
        return self._over.is_set()

    @property
    def is_read(self) -> bool:
        """Whether somebody here has read its output up to the end, or it comes past its plugin."""
        is_known = self._was_read or self.terminal is not None
        return is_known or any(viewer.has_all for viewer in self._viewers.values())

    async def get(self) -> SessionInfo:
        """The session at this moment, from the plugin."""
        with self._forgettable():
            info = await self._proxy.get(self.id)
        self._check_same(info)
        return info

    # Looking.

    async def attach(
        self,
        offset: int | Mapping[str, int | None] | None = None,
        read_only: bool = False,
        lossless: bool | None = None,
        rows: int | None = None,
        cols: int | None = None,
    ) -> Viewer:
        """Look at the session: first what is kept from `offset`, then what comes, from the next byte.

        `offset` counts the bytes of an output since the session began: None is the oldest kept byte, -1
        only what comes; a number counts for the terminal or stdout, a map gives one for each of "stdout",
        "stderr". What is kept no longer is one `Gap`. A lossless viewer, as those that may write are unless
        told otherwise, stops the session when it is not iterated over; others get gaps. `rows` and `cols`
        are the viewer's size. Raises CallFailed named `rpc.invalid_params` for one of them alone, and for
        an offset beyond the end.
        """
        check_whole("attach", rows, cols)
        viewer = Viewer(self, self.next_viewer(), read_only=read_only)
        await self.join(viewer, offset=offset, lossless=not read_only if lossless is None else lossless)
        if rows is not None and cols is not None and self.tty and not read_only and self.exit is None:
            await self._give_size(viewer, rows, cols)
        return viewer

    def next_viewer(self) -> int:
        """A number for another viewer."""
        return self._proxy.next_viewer()

    async def join(
        self, viewer: Viewer, *, offset: int | Mapping[str, int | None] | None = None, lossless: bool = True
    ) -> None:
        """Attach a viewer of the caller's own making, whose number is `next_viewer`; raises as `attach`.

        It may be given bytes before this returns.
        """
        with self._forgettable():
            await self._join_viewer(viewer, offset, lossless)

    async def _join_viewer(
        self, viewer: Viewer, offset: int | Mapping[str, int | None] | None, lossless: bool
    ) -> None:
        wanted = offset_given(offset)
        streams = self._proxy.streams
        window = TERMINAL_WINDOW_BYTES if self.tty else OUTPUT_WINDOW_BYTES
        numbers: dict[str, int] = {}
        for name in ("stdout",) if self.tty else ("stdout", "stderr"):
            numbers[name] = streams.open_receive(window, viewer)
            viewer.name(numbers[name], name)
        options = AttachOptions(
            viewer=viewer.number,
            stdout=numbers["stdout"],
            stderr=numbers.get("stderr"),
            window=window,
            offset=wanted,
            lossless=lossless,
            read_only=viewer.read_only,
        )
        # Not cancelled with this: only its answer says whether there are streams that will end.
        asking = asyncio.ensure_future(self._proxy.attach(self.id, options))
        try:
            attached = await asyncio.shield(asking)
            viewer.joined(attached)
        except CallError as error:
            self._give_back(viewer.streams, error)
            raise
        except BaseException:
            # The plugin may attach it yet, and would wait for a viewer that nobody is.
            for number in viewer.streams:
                streams.stop(number)
            asking.add_done_callback(partial(self._came_late, viewer.streams))
            raise
        try:
            self._check_same(attached.session)
        except SessionNotFound:
            await self.detach_viewer(viewer)
            raise
        self._viewers[viewer.number] = viewer

    def _came_late(self, numbers: list[int], answer: asyncio.Future[Attached]) -> None:
        """The answer to an attach that nobody waits for any more."""
        error = None if answer.cancelled() else answer.exception()
        if isinstance(error, CallError) and not self._proxy.is_over:
            self._give_back(numbers, error)

    def _give_back(self, numbers: list[int], error: CallError) -> None:
        """Streams of a viewer that was refused; after an odd answer they may be open all the same."""
        streams = self._proxy.streams
        for number in numbers:
            (streams.stop if error.name == "rpc.foreign" else streams.forget)(number)

    async def _give_size(self, viewer: Viewer, rows: int, cols: int) -> None:
        """The size that a viewer comes with; when it is refused there is no viewer."""
        try:
            await viewer.resize(rows=rows, cols=cols)
        except SessionClosed:
            pass  # it has just ended, and can be read
        except BaseException:
            self._viewers.pop(viewer.number, None)
            for number in () if self._proxy.is_over else viewer.streams:
                self._proxy.streams.stop(number)
            raise

    async def detach(self) -> None:
        """Detach every viewer that was attached through this object; the session runs on."""
        for viewer in list(self._viewers.values()):
            await viewer.detach()

    async def detach_viewer(self, viewer: Viewer) -> None:
        """See `Viewer.detach`."""
        self._viewers.pop(viewer.number, None)
        self._was_read |= viewer.has_all
        self.looked_at = monotonic()
        streams = viewer.streams
        if self._proxy.is_over or not streams:
            return
        for number in streams:
            self._proxy.streams.stop(number)
        try:
            await self._proxy.detach(self.id, viewer.number)
            if self.exit is None:
                await self._apply(self._sizes.left(viewer.number))
        except SessionNotFound:
            pass  # closed meanwhile, and its viewers with it

    def consume(self, stream: int, size: int) -> None:
        """A viewer has used so many bytes."""
        self._proxy.streams.consume(stream, size)

    def stop(self, stream: int) -> None:
        """A viewer wants no more of one of its outputs; it hears nothing of it any more."""
        if not self._proxy.is_over:
            self._proxy.streams.stop(stream)

    # Acting.

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write input, all of it, waiting while the program does not read.

        Raises SessionClosed when the session has ended, when its program takes no more, and after
        `close_stdin`; SessionNotFound when it has ended and is forgotten.
        """
        try:
            await (await self._open_input()).write(data)
        except SessionClosed:
            await self.check_kept()
            raise

    async def write_as(self, viewer: Viewer, data: bytes | bytearray | memoryview) -> None:
        """See `Viewer.write`."""
        await self._apply(self._sizes.active(viewer.number))
        await self.write(data)

    async def close_stdin(self) -> None:
        """End the input after what was written: the program reads end of file.

        A terminal has no end: there the end-of-file character, Ctrl-D, is typed, and again whenever the
        program is silent after it has put something out. Does nothing when the session has ended; raises
        SessionNotFound when it is forgotten, too.
        """
        if self.exit is not None:
            await self.check_kept()
            return
        total = await (await self._open_input()).end()
        try:
            with self._forgettable():
                await self._proxy.close_stdin(self.id, total)
        except SessionClosed:
            pass  # it has just ended, or closed its input itself

    async def resize(self, *, rows: int, cols: int) -> None:
        """Give the terminal a size, 1 to 65535 each way.

        Raises CallFailed out of that range, TerminalError for a session on pipes and for a handler that
        does not take the size, SessionClosed, SessionNotFound.
        """
        await self._resize(None, rows, cols)

    async def resize_as(self, viewer: Viewer, rows: int, cols: int) -> None:
        """See `Viewer.resize`."""
        await self._resize(viewer.number, rows, cols)

    async def _resize(self, viewer: int | None, rows: int, cols: int) -> None:
        await self._check_still_runs()
        with self._forgettable():
            await self._proxy.resize(self.id, rows, cols)
        self._sizes.resized(viewer, (rows, cols))
        self._sizes.current = (rows, cols)

    async def _apply(self, size: tuple[int, int] | None) -> None:
        """Give the terminal the size of another viewer than up to now."""
        if size is None:
            return
        self._sizes.current = size
        try:
            with self._forgettable():
                await self._proxy.resize(self.id, *size)
        except (SessionClosed, TerminalError):
            pass  # it has just ended, or its handler is deaf to sizes

    async def signal(self, signal: str) -> None:
        """Send a signal by name, "SIGTERM": to the program's process group.

        What a keyboard sends (SIGINT, SIGQUIT, SIGTSTP) goes to whoever has the terminal. Raises
        CallFailed for a name there is not, SessionClosed, SessionNotFound.
        """
        await self._check_still_runs()
        with self._forgettable():
            await self._proxy.signal(self.id, signal)

    async def _open_input(self) -> Input:
        self._check_runs()
        if self._input is None:
            async with self._joining:
                return self._input or await self._join()
        return self._input

    async def _join(self) -> Input:
        """Its input, for an object that has not opened the session."""
        number = self._proxy.streams.reserve()
        try:
            credit = await self._proxy.join_input(self.id, number)
        except BaseException:
            self._proxy.streams.forget(number)
            raise
        joined = self.open_input(number)
        joined.open(credit)
        return joined

    def _check_runs(self) -> None:
        """Raise why it takes no more input, if so."""
        self._check_known()
        if self.exit is not None:
            raise SessionClosed(f"it has ended: {self.exit.reason}", session=self.id)

    # Ending.

    async def wait(self) -> Exit:
        """How the session ends; does not wait for viewers to read. Raises PluginDied.

        A session that was not opened detached and has no viewer stops when its ring is full.
        """
        await self._over.wait()
        if self.exit is None:
            self.check_plugin()
        assert self.exit is not None
        return self.exit

    async def totals(self) -> Mapping[str, int]:
        """How many bytes each output had in all. Raises PluginDied."""
        await self.wait()
        return self._totals

    async def close(self) -> None:
        """End what runs and forget the session: hang-up or SIGTERM, after 2 s SIGKILL, for all of it.

        Returns when it is gone. Raises SessionNotFound the second time.
        """
        await self.check_kept()
        with self._forgettable():
            await self._proxy.close(self.id)
        self.forget("it was closed")
        self._proxy.drop(self)
        # A program that nothing can end is the last to be told of.
        self.note_exit(Exit(reason="it was closed, and its plugin did not say how it ended"), {})

    # Being forgotten.

    async def check_kept(self) -> None:
        """Raise SessionNotFound when the session has ended and its plugin has forgotten it since.

        A plugin tells of no such thing by itself, so it is asked, unless that is known; one that does not
        answer keeps it.
        """
        self._check_known()
        if self.exit is None:
            return
        try:
            async with asyncio.timeout(_KEPT_S):
                await self.get()
        except (TimeoutError, CallFailed):
            return

    async def _check_still_runs(self) -> None:
        """Raise SessionClosed when it has ended, as for all that is known, or SessionNotFound."""
        if self.exit is not None:
            await self.check_kept()
            self._check_runs()

    def _check_same(self, info: SessionInfo) -> None:
        """Raise SessionNotFound when that is a later session, which has the id of this one."""
        if self.exit is not None and info.created_at != self.info.created_at:
            self.forget(TAKEN)
            self._check_known()

    def precedes(self, info: SessionInfo) -> bool:
        """Whether that is a later session, which has its id since it was forgotten."""
        return self.exit is not None and 0 < self.info.created_at < info.created_at

    def forget(self, reason: str) -> None:
        """The plugin has it no longer, for this reason."""
        self._forgotten = self._forgotten or f"there is no such session any more: {reason}"

    def _check_known(self) -> None:
        """Raise why there is nobody, or nothing, to ask for, if so."""
        self.check_plugin()
        if self._forgotten:
            raise SessionNotFound(self._forgotten, session=self.id)

    @contextmanager
    def _forgettable(self) -> Iterator[None]:
        """In which the plugin is asked for the session, and may answer that it has it no longer."""
        self._check_known()
        try:
            yield
        except SessionNotFound as error:
            if self.exit is not None:
                self._forgotten = error.message
            raise

    # The proxy's.

    def open_input(self, number: int) -> Input:
        """Its input, on a stream that the plugin is asked for."""
        self._input = Input(
            self.id, self._proxy.streams, number, urgent=self.tty, check_session=self._check_runs
        )
        return self._input

    def opened(self, created: Created) -> None:
        """The plugin has made it."""
        self.info = created.session
        assert self._input is not None
        self._input.open(created.stdin_window)

    def check_plugin(self) -> None:
        """Raise why the plugin cannot be asked any more, if so."""
        self._proxy.check(self.id)

    def failure(self, error: Any) -> PluginHostError:
        """The exception for an error map with which a stream of the plugin ended."""
        return self._proxy.failure(error)

    def note_exit(self, exit: Exit, totals: Mapping[str, int]) -> None:
        """The plugin says how it ended."""
        if self.exit is None:
            self.exit, self._totals = exit, totals
            self._wake_all()

    def lose(self) -> None:
        """The plugin is gone."""
        self._wake_all()

    def _wake_all(self) -> None:
        self._over.set()
        if self._input is not None:
            self._input.wake()
        for viewer in self._viewers.values():
            viewer.wake()
        if self.terminal is not None:
            self.terminal.wake()
