"""What the host asks of the guest of a task: each question is an action, or several tries of one.

Owns the shells and the transfers of one task. Invariant: after `close` none of them is left, and nothing
runs on.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from plugin_host.errors import CallFailed, InvalidPayload, PluginHostError, SessionExists, SessionNotFound
from plugin_host.exec.opening import make_options
from plugin_host.task.artifact import Artifact

from .folder import LIST_BYTES, entries
from .reported import reported
from .shellcarrier import ShellCarrier
from .transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from plugin_host.exec.session import Session
    from plugin_host.task.worker import FilePath
    from plugin_host_sdk.types.session import SessionOptions
    from plugin_host_sdk.types.task import FolderEntry

    from .action import Action
    from .actiondesk import ActionDesk
    from .actiontable import Reply
    from .body import Body
    from .times import GuestTimes

__all__ = ["GuestWorker"]

# A list that is read within a millisecond or two.
_SHORT_BYTES = 64 * 1024
# What a shell of a guest is told of; the rest is the guest's configuration.
_TOLD = ("id", "tty", "rows", "cols", "labels", "replay_bytes", "detached")


class GuestWorker:
    """A `TaskWorker` that asks through `desk`."""

    def __init__(self, desk: ActionDesk, times: GuestTimes) -> None:
        self.has_begun = False  # the guest has fetched what it is to run
        self.has_ended = False
        self._desk = desk
        self._times = times
        self._shells: dict[str, ShellCarrier] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._killing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<GuestWorker shells={len(self._shells)} tasks={len(self._tasks)}>"

    # TaskWorker.

    async def list_folder(self, task: str, path: FilePath, recursive: bool) -> list[FolderEntry]:
        """The files in a folder; see `TaskWorker`. Guests do not tell sizes and modes, and no folders."""
        folder = _text(path)

        async def receive(action: Action, reply: Reply, body: Body) -> list[FolderEntry] | PluginHostError:
            if reply.error is not None:
                return reported(action, reply.error)
            data = await body.read(LIST_BYTES)
            if len(data) > _SHORT_BYTES:  # the loop would stand still meanwhile
                return await asyncio.to_thread(entries, data, folder, recursive)
            return entries(data, folder, recursive)

        return await self._desk.ask(receive, type="list-folder", path=folder)

    async def get_artifact(self, task: str, path: FilePath) -> Artifact:
        """A file; see `TaskWorker`. Its size is 0 where the guest does not say."""
        transfer = Transfer(_text(path))
        fetching = self._spawn(self._fetch(transfer, _text(path)), "a guest's artifact")
        transfer.on_close = fetching.cancel
        try:
            size = await transfer.opened
        except BaseException:
            transfer.close()
            raise
        return Artifact(transfer, path=_text(path), size=size)

    async def _fetch(self, transfer: Transfer, path: str) -> None:
        try:
            await self._desk.ask(transfer.receive, type="get-artifact", path=path)
        except PluginHostError as error:
            transfer.conclude(error)
        except asyncio.CancelledError:
            transfer.conclude(CallFailed(f"artifact {path!r}: it was closed", name="rpc.cancelled"))
            raise
        else:
            transfer.conclude(None)

    async def open_shell(self, task: str, command: Sequence[str] | None, **given: Any) -> Session:
        """A session; see `TaskWorker`. Raises InvalidPayload for a folder or an environment of its own."""
        for name, value in given.items():
            if value and name not in _TOLD:
                raise InvalidPayload(f"a guest's shell takes no {name}: its configuration has that")
        options = make_options(command, given)
        if options.id in self._shells:
            raise SessionExists("the id is taken", session=options.id)

        async def receive(action: Action, reply: Reply, body: Any) -> ShellCarrier | PluginHostError:
            if reply.error is not None:
                return reported(action, reply.error)
            made.append(self._opened(options))
            return made[0]

        made: list[ShellCarrier] = []
        command = options.command or None
        try:
            carrier = await self._desk.ask(receive, type="exec-shell", command=command, tty=options.tty)
        except BaseException:
            for carrier in made:
                carrier.link.drop()
            raise
        return carrier.session

    def _opened(self, options: SessionOptions) -> ShellCarrier:
        carrier = ShellCarrier(options, self._times, forget=lambda: self._shells.pop(options.id, None))
        self._shells[options.id] = carrier
        return carrier

    async def kill(self, task: str, grace: float) -> str:
        """End what the task runs; see `TaskWorker`. Guests have a grace of their own, 5 s."""
        if self.has_ended:
            return "ended"
        if not self.has_begun:
            self._kill_soon()  # the guest remembers it
            return "remembered"
        await self._desk.ask(_acknowledged, type="kill-process")
        return "killed"

    def begin(self, is_to_be_killed: bool) -> None:
        """The guest fetches what it is to run. One that was not there for the kill hears of it now."""
        self.has_begun = True
        if is_to_be_killed:
            self._kill_soon()

    def _kill_soon(self) -> None:
        """A guest that does not poll yet is no reason to wait."""
        if self._killing is None or self._killing.done():
            self._killing = self._spawn(self._kill_quietly(), "a guest's kill")

    async def _kill_quietly(self) -> None:
        try:
            await self._desk.ask(_acknowledged, type="kill-process")
        except PluginHostError:
            pass  # who waits for the result sees that there is none

    async def close(self, task: str) -> None:
        """Ask nothing more, end the shells, and cut off what is still being read."""
        self._desk.close("the task is closed")
        await self._end_shells()
        await self.stop()

    async def _end_shells(self) -> None:
        async def end(carrier: ShellCarrier) -> None:
            try:
                await carrier.session.close()
            except SessionNotFound:
                pass

        await asyncio.gather(*map(end, list(self._shells.values())))

    def lose(self, reason: str) -> None:
        """The guest is gone: its shells are lost."""
        for carrier in list(self._shells.values()):
            carrier.link.drop(reason)

    async def stop(self) -> None:
        """Wait for nothing any more."""
        await asyncio.sleep(0)  # those who were told why it ends, say so
        for task in (left := set(self._tasks)):
            task.cancel()
        if left:
            await asyncio.wait(left)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _acknowledged(action: Action, reply: Reply, body: Body) -> PluginHostError | None:
    return None if reply.error is None else reported(action, reply.error)


def _text(path: FilePath) -> str:
    """A path as a guest is told. Raises InvalidPayload for one that JSON does not carry."""
    text = os.fsdecode(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidPayload(f"{path!r} cannot be told to a guest, whose paths are Unicode") from None
    return text
