"""Who takes part: the plugins of a run, half of them victims, and the folders they are found in."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MEMORY_BYTES", "PROCESSES", "Part", "cast", "write"]

ROOT = Path(__file__).resolve().parents[2]
ENTRY_POINT = "tests.chaos.subject:plugin"

MEMORY_BYTES = 160 * 1024 * 1024
PROCESSES = 64

_PERMISSIONS = ["host.relay", "host.stamp"]
# Quick to notice and to come back, so that much happens in a minute. Nobody gives them up.
_VICTIM: dict[str, Any] = {
    "restart": {
        "policy": "always",
        "max_failures": 1_000_000,
        "backoff_initial_s": 0.05,
        "backoff_max_s": 0.4,
    },
    "health": {"interval_s": 0.5, "timeout_s": 1.0, "misses": 2},
}
_LIMITS = {"limits": {"memory_bytes": MEMORY_BYTES, "processes": PROCESSES}}
# One that is given up often, one whose quiet end is the end, one that sleeps when nobody calls.
_PECULIAR: tuple[dict[str, Any], ...] = (
    {"restart": _VICTIM["restart"] | {"max_failures": 3, "window_s": 10.0}},
    {"restart": _VICTIM["restart"] | {"policy": "on-failure"}},
    {"activation": "lazy", "idle_stop_s": 0.2},
)


@dataclass(frozen=True, slots=True)
class Part:
    """One plugin. What `keys` has goes into its manifest; a `program` is started by its command line,
    and so speaks over pipes."""

    id: str
    is_victim: bool
    is_program: bool = False
    keys: dict[str, Any] = field(default_factory=dict)

    @property
    def is_limited(self) -> bool:
        """Whether it has limits. One that has none is ended without their help."""
        return "limits" in self.keys


def cast(number: int) -> list[Part]:
    """So many plugins; of those the second half are victims."""
    bystanders = [Part(f"bystander-{n}", False, is_program=n == 1) for n in range(number - number // 2)]
    victims = []
    for n in range(number // 2):
        own = _PECULIAR[n] if n < min(len(_PECULIAR), number // 2 - 1) else {}
        is_program = n == number // 2 - 1
        limits = _LIMITS if n % 2 else {}
        victims.append(Part(f"victim-{n}", True, is_program, _VICTIM | own | limits))
    return [*bystanders, *victims]


def write(parts: Sequence[Part], folder: Path) -> None:
    """Write them into `folder`, to be used as a plugin folder."""
    for part in parts:
        home = folder / part.id
        home.mkdir(parents=True)
        manifest = {
            "id": part.id,
            "version": "1.0.0",
            "permissions": _PERMISSIONS,
            "launch": _launch(part, home),
            **part.keys,
        }
        (home / "plugin_manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _launch(part: Part, home: Path) -> dict[str, Any]:
    launch: dict[str, Any] = {
        "stop_timeout_s": 1.0,
        "env": {"PYTHONPATH": str(ROOT), "CHAOS_PLUGIN": part.id, "CHAOS_FOLDER": str(home)},
    }
    if part.is_program:
        launch["argv"] = [sys.executable, "-P", "-m", "plugin_host_sdk", ENTRY_POINT]
    else:
        launch["entry_point"] = ENTRY_POINT
    if part.is_victim:
        launch["start_timeout_s"] = 8.0
    else:
        launch["start_timeout_s"] = 30.0  # how long all of them take together is the machine's matter
    return launch
