"""What all who act in a run share: the host, the record, and whether it is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from plugin_host import PluginHost

    from .chronicle import Chronicle
    from .pulse import Pulse
    from .tally import Tally

__all__ = ["Scene"]


@dataclass(slots=True)
class Scene:
    """One run. `plugins` and `room` are its folders, `pause_s` the longest pause between two faults of a
    victim. `tainted` are victims on whose wires somebody else writes, so that what comes from there may
    be wrong without being known for it. Once `is_over`, nobody begins anything any more."""

    host: PluginHost
    tally: Tally
    pulse: Pulse
    chronicle: Chronicle
    plugins: Path
    room: Path
    pause_s: float
    tainted: set[str] = field(default_factory=set)
    is_over: bool = False
