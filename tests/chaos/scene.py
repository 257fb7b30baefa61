"""What all who act in a run share: the host, the clock, the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin_host import PluginHost

    from .chronicle import Chronicle
    from .pulse import Pulse
    from .tally import Tally

__all__ = ["Scene"]


@dataclass(slots=True)
class Scene:
    """One run. `room` is its folder, `is_ended` says whether its time is up."""

    host: PluginHost
    tally: Tally
    pulse: Pulse
    chronicle: Chronicle
    plugins: Path
    room: Path
    is_ended: Callable[[], bool]

    @property
    def is_over(self) -> bool:
        """Whether nobody is to begin anything any more."""
        return self.is_ended()
