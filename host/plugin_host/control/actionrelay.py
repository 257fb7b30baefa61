"""One client that follows one action: its output, its signs of life and its end.

Offsets are those of the action: what the client does not get, because it is kept no longer or known there,
is left out as such. Invariant: the end is told once, with the totals behind which it counts.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.action.runstate import STREAMS
from plugin_host.errors import CallFailed, LocalProtocolError, PluginHostError
from plugin_host.outbound import Outbound

from .errormap import to_map

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plugin_host.action.run import ActionRun

    from .ask import Client

__all__ = ["ActionRelay"]


class ActionRelay:
    """A lossless one makes the action wait for a client that does not read."""

    def __init__(
        self,
        run: ActionRun,
        client: Client,
        *,
        since: Mapping[str, int] | None = None,
        lossless: bool,
    ) -> None:
        self._run = run
        self._client = client
        self._named = {"action": run.id, "plugin": run.plugin}
        self._reader = run.output(since=since, lossless=lossless)
        self._outs: dict[str, Outbound] = {}

    def begin(self, stdout: int, stderr: int, window: int) -> None:
        """Go on until the action ends or the client leaves. Raises CallFailed for streams of no use."""
        streams = self._client.link.streams
        try:
            for name, number in zip(STREAMS, (stdout, stderr), strict=True):
                out = Outbound(streams, number)
                out.open(window)
                self._outs[name] = out
        except LocalProtocolError as error:
            for out in self._outs.values():
                streams.forget(out.number)
            self._reader.release()
            raise CallFailed(str(error), name="rpc.invalid_params") from None
        name = f"action {self._run.id} for client {self._client.number}"
        self._client.feed(asyncio.get_running_loop().create_task(self._follow(), name=name))

    async def _follow(self) -> None:
        self._run.signs.append(self._alive)
        try:
            await self._show()
            said = await self._outcome()
        finally:
            self._run.signs.remove(self._alive)
        for name, out in self._outs.items():
            self._conclude(out, self._run.totals[name])
        totals = dict(self._run.totals)
        self._client.link.notify("action.finished", {**self._named, **said, "totals": totals})

    async def _show(self) -> None:
        try:
            async with self._reader as reader:
                async for piece in reader:
                    out = self._outs[piece.stream]
                    if piece.offset > out.total:
                        out.skip(piece.offset - out.total)
                    await out.write(piece.data)
        except (BrokenPipeError, PluginHostError):
            pass  # the client wants no more, or the action is lost, which its end says

    def _conclude(self, out: Outbound, total: int) -> None:
        if not out.is_over:
            if total > out.total:
                out.skip(total - out.total)
            out.refuse("the action has ended")

    async def _outcome(self) -> dict[str, Any]:
        try:
            result = await self._run.result()
        except Exception as error:
            return {"result": None, "error": to_map(error)}
        return {"result": msgspec.to_builtins(result, builtin_types=(bytes,)), "error": None}

    def _alive(self) -> None:
        elapsed = max(0.0, time.time() - self._run.started_at) * 1000
        self._client.link.notify("action.keepalive", {**self._named, "elapsed_ms": elapsed})
