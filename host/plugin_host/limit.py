"""How each limit of a plugin is held on this machine, or why it is not.

Pure: a plan follows from the limits and from what the machine has. Invariants: every limit that is set
is in the plan once; memory and processes are never bounded by rlimits, of which the one stops threads
and the other counts everything that the user runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .machine import RESOURCES

if TYPE_CHECKING:
    from .machine import Controller, Machine
    from .manifest import Limits

__all__ = ["Enforcement", "How", "amount", "named", "plan"]

How = Literal["rlimit", "cgroup v1", "cgroup v2", "sampling"]

_CONTROLLERS: dict[str, Controller] = {"memory_bytes": "memory", "processes": "pids"}
_NAMES = {
    "memory_bytes": "its memory limit of {}",
    "cpu_s": "its cpu limit of {} of processor time",
    "open_files": "its limit of {} open files",
    "processes": "its limit of {} processes",
    "address_space_bytes": "its address space limit of {}",
}
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Enforcement:
    """One limit as it is held: `how` None means that it is not.

    `value` is in the unit of the manifest. `reason` says why it is held no better, or by less; it is
    empty when there is nothing to say.
    """

    limit: str
    value: float
    how: How | None
    reason: str = ""

    @property
    def is_held(self) -> bool:
        """Whether the kernel itself holds the plugin to it, at every moment."""
        return self.how not in (None, "sampling")

    def describe(self) -> str:
        """In words: "its memory limit of 256 MiB is only looked at once a second: …"."""
        name = named(self.limit, self.value)
        end = f": {self.reason}" if self.reason else ""
        if self.how is None:
            return f"{name} is not enforced{end}"
        if self.how == "sampling":
            return f"{name} is only looked at once a second{end}"
        return f"{name} is enforced by {self.how}{end}"


def plan(limits: Limits, machine: Machine) -> tuple[Enforcement, ...]:
    """How each limit that is set is held on `machine`, in the order of the manifest's type."""
    found = []
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        if value is not None:
            by = _by_rlimit if name in RESOURCES else _by_cgroup
            found.append(by(name, value, machine))
    return tuple(found)


def named(limit: str, value: float) -> str:
    """A limit for people: "its memory limit of 256 MiB", "its limit of 64 processes"."""
    return _NAMES[limit].format(amount(limit, value))


def amount(limit: str, value: float) -> str:
    """A value of a limit with its unit: "256 MiB", "60 s", "64"."""
    if limit.endswith("_bytes"):
        return _size(int(value))
    return f"{value:g} s" if limit == "cpu_s" else str(int(value))


def _by_rlimit(name: str, value: float, machine: Machine) -> Enforcement:
    if name not in machine.ceilings:
        return Enforcement(name, value, None, "this system has no such limit")
    ceiling = machine.ceilings[name]
    if ceiling is not None and ceiling < value:
        return Enforcement(
            name, value, "rlimit", f"the host itself may have no more than {amount(name, ceiling)}"
        )
    return Enforcement(name, value, "rlimit")


def _by_cgroup(name: str, value: float, machine: Machine) -> Enforcement:
    controller = _CONTROLLERS[name]
    place = machine.places.get(controller)
    if place is None:
        return Enforcement(name, value, "sampling", machine.lacking.get(controller, ""))
    return Enforcement(name, value, "cgroup v1" if place.version == 1 else "cgroup v2")


def _size(value: int) -> str:
    size, unit = float(value), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size /= 1024
        unit += 1
    return f"{size:.4g} {_UNITS[unit]}"
