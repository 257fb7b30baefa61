"""What is asked of a host whose loop has ended.

An error comes of it mostly, the one that an asyncio host raises once it is closed, or what had been there
before. Invariant: nobody waits for long for what may not come any more.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from plugin_host.errors import PluginHostError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .errand import Errand

__all__ = ["do_apart"]

_T = TypeVar("_T")

_CLOSED = "this host is closed, and so stays: make another one"
_PATIENCE_S = 1.0


def do_apart(errand: Errand[Any]) -> None:
    """Have it done: on another loop in a thread of its own, as this thread may have a loop that runs."""
    thread = threading.Thread(target=contextvars.copy_context().run, args=(_live, errand), daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter ends, or there can be no more threads
        errand.give_up()
        errand.end(None, PluginHostError(_CLOSED))


def _live(errand: Errand[_T]) -> None:
    if (work := errand.take()) is None:  # it was given up
        return
    try:
        with asyncio.Runner() as runner:
            errand.end(runner.run(_in_time(work)))
    except PluginHostError as error:
        errand.end(None, error)
    except (RuntimeError, OSError) as error:
        # It cannot be done without the loop that it began on, or there is no descriptor for another.
        closed = PluginHostError(_CLOSED)
        closed.__cause__ = error
        errand.end(None, closed)
    except BaseException as error:
        errand.end(None, error)
    finally:
        work.close()


async def _in_time(work: Coroutine[Any, Any, _T]) -> _T:
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=_PATIENCE_S)
    if not task.done():
        task.cancel()
        raise PluginHostError(_CLOSED)
    return task.result()
