"""One action that was triggered, as an embedder holds it.

Output that nobody reads is drained into a ring, so the result never waits for a reader. Invariant: an
action ends here once: with what its plugin reports, after all output, or with the plugin's death.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

import msgspec

from plugin_host.errors import ActionFailed, CallError, CallFailed, PluginHostError
from plugin_host_sdk.types.action import KINDS, Finished, ScriptResult

from .info import ActionInfo
from .output import OutputRing
from .reader import ActionOutput
from .runstate import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .upload import Upload

__all__ = ["ActionRun", "Asker"]


class Asker(Protocol):
    """Who speaks with the plugin of an action."""

    def consume(self, stream: int, size: int) -> None:
        """So many bytes of a stream have been used."""

    def failure(self, error: Any) -> PluginHostError:
        """The exception for an error map."""

    async def cancel(self, action: str, reason: str, grace: float) -> str:
        """Ask the plugin to end an action."""


class ActionRun:
    """An action of `kind` in `plugin`; made by `PluginHost.actions`.

    `last_sign`, in seconds since the epoch, is when something was last heard of it: the plugin speaks up
    every few seconds also for one that is silent.
    """

    def __init__(self, asker: Asker, plugin: str, kind: str, id: str) -> None:
        self.id = id
        self.plugin = plugin
        self.kind = kind
        self.started_at = self.last_sign = time.time()
        self.is_accepted = False
        self.upload: Upload | None = None
        self.ring = OutputRing(self._give_back)
        self.signs: list[Callable[[], None]] = []  # called when the plugin says that it still runs
        self._asker = asker
        self._state = RunState()
        self._names: dict[int, str] = {}  # of its streams
        self._numbers: dict[str, int] = {}
        self._readers: WeakSet[ActionOutput] = WeakSet()
        self._waiters: set[asyncio.Future[None]] = set()
        self._finished: Finished | None = None
        self._make_error: Callable[[], Exception] | None = None
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sending: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<ActionRun {self.id} {self.kind} of {self.plugin} {self._state.state}>"

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or was lost with its plugin."""
        return self._state.is_over

    @property
    def progress(self) -> tuple[int, int | None]:
        """How many bytes of its data were sent, and of how many, as far as that is known."""
        return (0, None) if self.upload is None else (self.upload.total, self.upload.source.size)

    @property
    def info(self) -> ActionInfo:
        """The action at this moment."""
        sent, total = self.progress
        return ActionInfo(
            id=self.id,
            plugin=self.plugin,
            kind=self.kind,
            state=self._state.state,
            started_at=self.started_at,
            last_sign=self.last_sign,
            sent=sent,
            total=total,
        )

    @property
    def totals(self) -> Mapping[str, int]:
        """How many bytes of each output have arrived."""
        return self._state.arrived

    # Reading.

    def output(self, *, since: Mapping[str, int] | None = None, lossless: bool = True) -> ActionOutput:
        """What it puts out, from the oldest byte that is kept: an async iterator of `Output`.

        The newest 1,000,000 bytes are kept for who comes late. The action waits for a lossless reader, from
        the moment that is made until it is closed or dropped. `since` gives by stream the offsets
        before which everything is known already. Ends with the action; raises PluginDied.
        """
        reader = ActionOutput(self, since=since, lossless=lossless)
        self._readers.add(reader)
        return reader

    async def result(self) -> Any:
        """How it ended, as the Struct that belongs to its kind; does not wait for readers.

        Raises what the plugin refused or failed with (ActionError, CallFailed, CallCancelled), PluginDied
        when it was lost with its plugin, and what reading its data raised.
        """
        if self.is_over:  # can be asked for behind the end of the host's loop, too
            return self._outcome()
        task = asyncio.current_task()
        for reader in self._readers:
            if reader.task is task:  # it cannot read while it waits here
                reader.release()
        await asyncio.shield(self._over)
        return self._outcome()

    def _outcome(self) -> Any:
        if self.upload is not None and self.upload.error is not None:
            raise self.upload.error
        if self._make_error is not None:
            raise self._make_error()
        assert self._finished is not None
        if self._finished.error is not None:
            raise self._asker.failure(self._finished.error)
        kind = KINDS[self.kind]
        try:
            result = msgspec.convert(self._finished.result, kind.result)
        except msgspec.ValidationError as error:
            text = f"{self.plugin} ended {self.kind} oddly: {error}"
            raise CallFailed(text, name="rpc.foreign") from None
        self._check_upload(result)
        return result

    def _check_upload(self, result: Any) -> None:
        """Both sides must have had the same bytes."""
        theirs = getattr(result, "sha256", None)
        if self.upload is None or theirs is None:
            return
        if not self.upload.is_whole or theirs != self.upload.source.sha256:
            raise ActionFailed(f"{self.plugin} wrote other data than was sent: its SHA-256 is {theirs}")

    @property
    def succeeded(self) -> bool:
        """Whether it has ended, and well; a script with status 0."""
        try:
            result = self._outcome() if self.is_over else None
        except Exception:
            return False
        return result.success if isinstance(result, ScriptResult) else result is not None

    async def cancel(self, reason: str = "", *, grace: float = 2.0) -> str:
        """Ask it to end: SIGTERM to all that it started, and SIGKILL after `grace` seconds.

        "cancelling", or "not_running" for one that has ended; a second time does no harm. The result tells
        when it has ended, and how.
        """
        if self.is_over:
            return "not_running"
        try:
            return await self._asker.cancel(self.id, reason, grace)
        except PluginHostError:
            if not self._state.is_over:
                raise
            return "not_running"  # its plugin has just gone

    # The readers'.

    def wake(self) -> asyncio.Future[None]:
        """Done when something has changed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(future)
        future.add_done_callback(self._waiters.discard)
        return future

    def check_plugin(self) -> None:
        """Raise why the plugin is gone, if so."""
        if self._make_error is not None:
            raise self._make_error()

    def forget_reader(self, reader: ActionOutput) -> None:
        """It reads no more."""
        self._readers.discard(reader)

    def _give_back(self, stream: str, size: int) -> None:
        self._asker.consume(self._numbers[stream], size)

    # What the plugin sends; by the proxy and the streams.

    def name(self, stream: int, name: str) -> None:
        """One of its streams, before the plugin is asked."""
        self._names[stream] = name
        self._numbers[name] = stream

    def accept(self) -> None:
        """The plugin has taken it on; its data can go."""
        self.is_accepted = True
        if self.upload is not None:
            self._sending = asyncio.get_running_loop().create_task(
                self._send(self.upload), name=f"data of action {self.id}"
            )

    async def _send(self, upload: Upload) -> None:
        try:
            if not self.is_over:
                await upload.run()
            if upload.error is not None:
                await self.cancel("its data could not be read")
        except CallError:
            pass  # the plugin ends it by itself, or is gone
        finally:
            await upload.close()

    def received(self, stream: int, offset: int, data: bytes) -> None:
        self.last_sign = time.time()
        name = self._names[stream]
        self.ring.put(name, offset, data)
        self._count(lambda: self._state.arrive(name, len(data)))

    def skipped(self, stream: int, offset: int, size: int) -> None:
        self._count(lambda: self._state.arrive(self._names[stream], size))

    def ended(self, stream: int, total: int, error: Any) -> None:
        self._count(lambda: self._state.end(self._names[stream]))

    def alive(self) -> None:
        """The plugin says that it still runs."""
        self.last_sign = time.time()
        for tell in self.signs:
            tell()

    def finish(self, finished: Finished) -> None:
        """The plugin says how it ended; the first word counts, once its output has arrived."""
        self.last_sign = time.time()
        if self._finished is None:
            self._finished = finished
            self._count(lambda: self._state.report(msgspec.structs.asdict(finished.totals)))

    def _count(self, what: Callable[[], object]) -> None:
        if self.is_over:
            return
        try:
            what()
        except CallFailed as error:
            message = f"{self.plugin} miscounted the output of action {self.id}: {error.message}"
            self.lose(lambda: CallFailed(message, name="rpc.foreign"))
            return
        self._changed()

    def lose(self, make_error: Callable[[], Exception]) -> None:
        """Its plugin is gone, or cannot be believed; `make_error` says why."""
        if self._state.lose():
            self._make_error = make_error
            self._changed()

    def _changed(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self.is_over and not self._over.done():
            if self._sending is not None:  # later: a task that never began would close nothing
                self._over.get_loop().call_soon(self._sending.cancel)
            self._over.set_result(None)

    def when_over(self, tell: Callable[[ActionRun], None]) -> None:
        """Call `tell` once it has ended, from the loop."""
        self._over.add_done_callback(lambda _: tell(self))
