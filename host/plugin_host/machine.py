"""What this machine can enforce: where the host may make cgroups, and which bounds it has itself.

Looks and changes nothing. Invariant: a group is made in the host's own cgroup, or beside it in one that
was handed over to be divided, so that whatever bounds the host bounds its plugins too.
"""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

__all__ = ["RESOURCES", "Controller", "Machine", "Place", "survey"]

Controller = Literal["memory", "pids"]

RESOURCES = {
    "open_files": "RLIMIT_NOFILE",
    "cpu_s": "RLIMIT_CPU",
    "address_space_bytes": "RLIMIT_AS",
}
"""The limits that a process carries itself, by their names in a manifest."""

_DELEGATED = ("user.delegate", "trusted.delegate")  # what systemd marks a cgroup with that it hands over


class Place(NamedTuple):
    """A cgroup's folder, in a hierarchy of version 1 or 2."""

    version: Literal[1, 2]
    folder: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to enforce limits with; a machine without anything is `Machine()`.

    `places` are where groups with a controller can be made and `lacking` why they cannot. `killer` is
    where groups can be made that are killed in one step. `own_memory` is the cgroup that the host's own
    memory is counted in. `ceilings` are the host's hard rlimits by the limit's name, None for unlimited;
    one that is not there cannot be set here.
    """

    places: Mapping[Controller, Place] = field(default_factory=dict)
    lacking: Mapping[Controller, str] = field(default_factory=dict)
    killer: Place | None = None
    own_memory: Place | None = None
    ceilings: Mapping[str, int | None] = field(default_factory=dict)

    def without(self, controllers: Mapping[Controller, str]) -> Machine:
        """The same without these controllers, for the reasons given with them."""
        places = {name: place for name, place in self.places.items() if name not in controllers}
        return replace(self, places=places, lacking={**self.lacking, **controllers})


class _Mount(NamedTuple):
    version: Literal[1, 2]
    root: str
    folder: str
    controllers: frozenset[str]


def survey(mountinfo: str | None = None, own: str | None = None) -> Machine:
    """What this machine has. The arguments are what /proc/self/mountinfo and /proc/self/cgroup hold."""
    mounts = _mounts(_read("/proc/self/mountinfo") if mountinfo is None else mountinfo)
    paths = _paths(_read("/proc/self/cgroup") if own is None else own)
    places: dict[Controller, Place] = {}
    lacking: dict[Controller, str] = {}
    controllers: tuple[Controller, ...] = ("memory", "pids")
    for name in controllers:
        found = _own_folder(mounts, paths, name)
        verdict = found if isinstance(found, str) else _division(found, name)
        if isinstance(verdict, str):
            lacking[name] = verdict
        else:
            places[name] = verdict
    memory = _own_folder(mounts, paths, "memory")
    return Machine(
        places=places,
        lacking=lacking,
        killer=_killer(mounts, paths, places.get("memory") or places.get("pids")),
        own_memory=memory if isinstance(memory, Place) else None,
        ceilings=_ceilings(),
    )


def _own_folder(mounts: list[_Mount], paths: Mapping[str, str], name: str) -> Place | str:
    """The host's own cgroup in the hierarchy of a controller; or why there is none to be seen."""
    version: Literal[1, 2] = 1 if name in paths else 2
    path = paths.get(name, paths.get(""))
    if path is None:
        return "this system has no cgroups"
    for mount in mounts:
        if mount.version == version and (version == 2 or name in mount.controllers):
            inner = os.path.relpath(path, mount.root)
            if not inner.startswith(".."):
                return Place(version, os.path.normpath(os.path.join(mount.folder, inner)))
    return f"the cgroup of the host, {path}, is in no hierarchy of the {name} controller mounted here"


def _division(own: Place, name: Controller) -> Place | str:
    """Where groups with a controller can be made for plugins; or why nowhere."""
    if own.version == 1:
        return _refusal(own.folder) or own
    beside = os.path.dirname(own.folder)
    reason = _refusal_v2(own.folder, name)
    if reason and _is_delegated(beside) and not _refusal_v2(beside, name):
        return Place(2, beside)
    return reason or own


def _refusal(folder: str) -> str:
    if not os.path.isdir(folder):
        return f"the host's cgroup {folder} is not there"
    if os.access(folder, os.W_OK):
        return ""
    how = "is mounted read-only" if os.statvfs(folder).f_flag & os.ST_RDONLY else "may not be written"
    return f"the host's cgroup {folder} {how}"


def _refusal_v2(folder: str, name: Controller) -> str:
    """Why no group with this controller can be made in `folder`; empty when it can."""
    if reason := _refusal(folder):
        return reason
    if name not in _read(f"{folder}/cgroup.controllers").split():
        return f"the {name} controller is not given to the host's cgroup {folder}"
    if name in _read(f"{folder}/cgroup.subtree_control").split():
        return ""
    if not os.access(f"{folder}/cgroup.subtree_control", os.W_OK):
        return f"the host's cgroup {folder} may not be divided"
    is_root = not os.path.exists(f"{folder}/cgroup.type")
    if not is_root and _read(f"{folder}/cgroup.procs").strip():
        return (
            f"the host's cgroup {folder} holds processes, so groups inside it cannot be given the {name} "
            "controller: start the host in a cgroup below a delegated one (systemd: Delegate=yes and "
            "DelegateSubgroup=host)"
        )
    return ""


def _killer(mounts: list[_Mount], paths: Mapping[str, str], place: Place | None) -> Place | None:
    """Where a group can be killed in one step: with the controllers, else in a hierarchy without any."""
    if place is not None and place.version == 2:
        return place
    own = _own_folder(mounts, {"": paths[""]} if "" in paths else {}, "killer")
    if isinstance(own, str) or _refusal(own.folder):
        return None
    # Every cgroup but the root has the file, and its children have what it has.
    folder = own.folder
    is_root = not os.path.exists(f"{folder}/cgroup.type")
    return own if is_root or os.path.exists(f"{folder}/cgroup.kill") else None


def _is_delegated(folder: str) -> bool:
    if not hasattr(os, "getxattr"):
        return False
    for name in _DELEGATED:
        try:
            if os.getxattr(folder, name) == b"1":
                return True
        except OSError:
            pass  # not there, or only the administrator may look
    return False


def _mounts(mountinfo: str) -> list[_Mount]:
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) > 4 and kind[:1] in (["cgroup"], ["cgroup2"]):
            controllers = frozenset(kind[2].split(",")) if len(kind) > 2 else frozenset()
            root, folder = _unescaped(fields[3]), _unescaped(fields[4])
            found.append(_Mount(2 if kind[0] == "cgroup2" else 1, root, folder, controllers))
    return found


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _paths(own: str) -> dict[str, str]:
    """The host's cgroup by controller; by the empty name that of version 2."""
    paths = {}
    for line in own.splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names or number == "0":
            paths.update(dict.fromkeys(names.split(","), path))
    return paths


def _ceilings() -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for name, resource_name in RESOURCES.items():
        kind = getattr(resource, resource_name, None)
        if kind is None or (sys.platform == "darwin" and name == "address_space_bytes"):
            continue  # macOS takes that one and does not hold anybody to it
        hard = resource.getrlimit(kind)[1]
        found[name] = None if hard == resource.RLIM_INFINITY else hard
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
