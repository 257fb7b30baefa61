"""One client's use of one session: its viewers, and what it types.

Between two connections: what the session puts out goes on to the client under the client's credit, and what
the client types goes on to the session under the session's. Invariant: a client that does not read holds
back its own viewers and nothing else, and when it has left, none of them is left.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.errors import CallFailed, LocalProtocolError, PluginHostError, SessionClosed
from plugin_host.exec.viewer import Gap
from plugin_host.outbound import Outbound
from plugin_host_sdk.protocol import TERMINAL_WINDOW_BYTES

from .errormap import to_map
from .inbound import Inbound

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.exec.session import Session
    from plugin_host.exec.viewer import Viewer
    from plugin_host.stream import Streams
    from plugin_host_sdk.types.session import AttachOptions

__all__ = ["Seat"]

# How long a plugin may take to let viewers go whose client has gone.
_DETACH_S = 2.0


class Seat:
    """The streams are those of the client's connection."""

    def __init__(self, session: Session, streams: Streams) -> None:
        self.session = session
        self._streams = streams
        self._viewers: dict[int, tuple[Viewer, asyncio.Task[None]]] = {}
        self._input: tuple[Inbound, asyncio.Task[None]] | None = None
        self._writer: Viewer | None = None  # whose size counts while this client types
        self._tasks: set[asyncio.Task[None]] = set()
        self._left: Callable[[], None] | None = None

    # Looking.

    async def attach(self, options: AttachOptions) -> dict[str, Any]:
        """Add a viewer; the answer is that of a plugin. Raises as `Session.attach`."""
        if options.viewer in self._viewers:
            raise CallFailed(f"viewer {options.viewer} is attached already", name="rpc.invalid_params")
        viewer = await self.session.attach(
            offset=options.offset, read_only=options.read_only, lossless=options.lossless
        )
        try:
            outs = self._open_outs(viewer, options)
        except BaseException:
            await viewer.detach()
            raise
        if not options.read_only:
            self._writer = viewer
        task = self._start(self._show(options.viewer, viewer, outs), "viewer")
        self._viewers[options.viewer] = viewer, task
        answer: dict[str, Any] = msgspec.to_builtins(viewer.attached)
        return answer

    def _open_outs(self, viewer: Viewer, options: AttachOptions) -> dict[str, Outbound]:
        numbers = {"stdout": options.stdout}
        if "stderr" in viewer.start:
            if options.stderr is None:
                text = f"session {self.session.id} has stderr apart: name a stream for it"
                raise CallFailed(text, name="rpc.invalid_params")
            numbers["stderr"] = options.stderr
        outs: dict[str, Outbound] = {}
        try:
            for name, number in numbers.items():
                outs[name] = Outbound(self._streams, number)
                outs[name].open(options.window)
        except LocalProtocolError as error:
            for out in outs.values():
                out.refuse("it was not opened")
            raise CallFailed(str(error), name="rpc.invalid_params") from None
        return outs

    async def _show(self, number: int, viewer: Viewer, outs: dict[str, Outbound]) -> None:
        error = None
        try:
            async for piece in viewer:
                out = outs[piece.stream]
                if isinstance(piece, Gap):
                    out.skip(piece.size)
                else:
                    await out.write(piece.data)
        except BrokenPipeError:
            pass  # the client wants no more
        except PluginHostError as problem:
            error = to_map(problem)
        finally:
            self._viewers.pop(number, None)
            for out in outs.values():
                out.refuse("the viewer has ended", error)
            with contextlib.suppress(PluginHostError):
                await viewer.detach()

    async def detach(self, number: int) -> None:
        """Remove a viewer; one that is not there is no error."""
        found = self._viewers.get(number)
        if found is not None:
            viewer, task = found
            task.cancel()
            await asyncio.wait((task,))
            if self._writer is viewer:
                self._writer = None

    # Typing.

    def open_input(self, number: int) -> int:
        """The client types on stream `number`; the credit it has to begin with.

        A second one takes the place of the first.
        """
        self.end_input()
        inbound = Inbound(self._streams)
        inbound.number = number
        try:
            self._streams.accept(number, TERMINAL_WINDOW_BYTES, inbound)
        except LocalProtocolError as error:
            raise CallFailed(str(error), name="rpc.invalid_params") from None
        self._input = inbound, self._start(self._type(inbound), "input")
        return TERMINAL_WINDOW_BYTES

    def has_input(self, number: int) -> bool:
        """Whether the client types on this stream."""
        return self._input is not None and self._input[0].number == number

    async def _type(self, inbound: Inbound) -> None:
        try:
            async for data in inbound:
                if self._writer is not None:
                    await self._writer.write(data)
                else:
                    await self.session.write(data)
        except PluginHostError:
            inbound.stop()  # the client learns from the session's end why

    def end_input(self) -> None:
        """The session has ended, and takes no more."""
        if self._input is not None:
            self._input[0].stop()

    async def close_stdin(self, total: int) -> None:
        """End the session's input after the first `total` bytes of the client."""
        if self._input is not None:
            inbound, task = self._input
            waiting = asyncio.ensure_future(inbound.wait_taken(total))
            try:
                await asyncio.wait((waiting, task), return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            if inbound.taken < total:
                await self.session.check_kept()
                raise SessionClosed("it takes no more input", session=self.session.id)
        await self.session.close_stdin()

    async def resize(self, rows: int, cols: int) -> None:
        """The client's terminal has this size."""
        if self._writer is not None:
            await self._writer.resize(rows=rows, cols=cols)
        else:
            await self.session.resize(rows=rows, cols=cols)

    # Leaving.

    def retire(self, left: Callable[[], None]) -> None:
        """The session is forgotten: viewers get what they still are to get; then `left` is called."""
        self.end_input()
        self._left = left
        if not self._tasks:
            left()

    def _start(self, work: Any, what: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=f"{what} of session {self.session.id}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._left is not None and not self._tasks:
            self._left()

    def leave(self) -> None:
        """The client has gone."""
        for task in self._tasks:
            task.cancel()

    async def wait_left(self) -> None:
        """Wait until its viewers are detached, or the plugin has had time enough for that."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_DETACH_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
