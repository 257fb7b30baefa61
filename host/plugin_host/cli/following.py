"""Writing what the running host tells, for as long as it tells it.

Invariant: whoever does not read stdout stops neither the loop nor, beyond what is under way, the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from plugin_host.errors import HostLost

if TYPE_CHECKING:
    from plugin_host.control import ControlClient
    from plugin_host.control.follower import Follower

__all__ = ["follow_lines"]

_T = TypeVar("_T")


async def follow_lines(
    client: ControlClient, told: Follower[_T], line: Callable[[_T], str], *, endless: bool
) -> None:
    """Write a line, which may be empty, for each thing told, and close `told`.

    Raises HostLost when the host is gone, and when what is `endless` ends because it has stopped.
    """
    from .outlet import Outlet

    outlet = Outlet()
    try:
        async with told:
            async for one in told:
                if text := line(one):
                    await outlet.write(text)
    finally:
        outlet.close()
    if endless:
        raise HostLost(f"the host at {client.path} has stopped")
