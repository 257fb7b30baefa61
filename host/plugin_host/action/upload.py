"""The data of an action on its way to the plugin, no faster than the plugin takes it.

Invariant: the stream ends well only when all of the source was sent; a source that fails ends it with an
error, and the error is kept for who waits for the action.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from plugin_host.errors import ActionFailed, PluginHostError
from plugin_host.outbound import Outbound

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.stream import Streams

    from .source import Source

__all__ = ["Upload"]


class Upload(Outbound):
    """Sends `source`; `on_progress(sent, total)` is told after each piece. `error` is what went wrong."""

    def __init__(
        self, streams: Streams, source: Source, on_progress: Callable[[int, int | None], None] | None = None
    ) -> None:
        super().__init__(streams, streams.reserve())
        self.source = source
        self.is_whole = False
        self.error: Exception | None = None
        self._on_progress = on_progress

    async def run(self) -> None:
        """Returns when all is sent, the plugin takes no more, or the source has failed."""
        try:
            async with aclosing(aiter(self.source)) as pieces:
                async for piece in pieces:
                    await self.write(piece)
                    if self._on_progress is not None:
                        self._on_progress(self.total, self.source.size)
            await self.end()
            self.is_whole = True
        except BrokenPipeError:
            pass  # the plugin has enough, and says how the action ended
        except Exception as error:
            self.error = error
            text = str(error) if isinstance(error, PluginHostError) else f"{type(error).__name__}: {error}"
            failure = ActionFailed(f"the data could not be read: {text}")
            self.refuse("its source failed", failure.to_map())

    async def close(self) -> None:
        """Send no more, and close the source."""
        if not self.is_over:
            self.refuse("the action has ended", ActionFailed("the data was not sent to its end").to_map())
        await self.source.close()
