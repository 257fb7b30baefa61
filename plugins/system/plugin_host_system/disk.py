"""How full the file systems are, which ones are mounted, and what their devices have done.

A file system that does not answer (a dead network mount) holds its call until it does: the kernel
offers no way to give up. Only that call waits.
"""

from __future__ import annotations

import os

import plugin_host_sdk as sdk

from . import deferred, failure, text

__all__ = ["disk_usage", "disks", "mount_point"]


def disk_usage(ctx: sdk.Context, path: str = "/") -> dict[str, object]:
    """Tell how full the file system that holds `path` is, in bytes.

    A relative path starts at the plugin's own working directory, so better pass an absolute one; the
    answer says which path was meant. `free_bytes` is what an ordinary user may still write, and
    `percent` is used of used and free, as `df` has it.

    Ends with status 1 (no such path), 3 (permission denied) or 4 (path is not accessible).
    """
    try:
        # An empty path would mean the working directory, which nobody means by it.
        full = os.path.abspath(path) if path else path
        usage = _usage(full)
        mounted = mount_point(full)
    except (OSError, ValueError) as error:
        raise failure.path_failure(error, path) from error
    return {"path": text.clean(full), "mount_point": text.clean(mounted), **usage}


def disks(ctx: sdk.Context, all_mounts: bool = False) -> dict[str, object]:
    """List the mounted file systems with how full each is, and the devices' counters since boot.

    Without `all_mounts` only those on real devices. A file system that cannot be asked is listed
    with an `error` and without figures.
    """
    mounts = [
        {
            "device": text.clean(part.device),
            "mount_point": text.clean(part.mountpoint),
            "file_system": part.fstype,
            "options": part.opts.split(",") if part.opts else [],
            **_usage_or_error(part.mountpoint),
        }
        for part in deferred.psutil.disk_partitions(all=all_mounts)
    ]
    return {"mounts": mounts, "devices": _devices()}


def mount_point(path: str) -> str:
    """The folder that the file system holding `path` is mounted on, symlinks followed."""
    folder = os.path.realpath(path)
    while not os.path.ismount(folder):
        folder = os.path.dirname(folder)
    return folder


def _usage(path: str) -> dict[str, object]:
    usage = deferred.psutil.disk_usage(path)
    return {
        "total_bytes": usage.total,
        "used_bytes": usage.used,
        "free_bytes": usage.free,
        "percent": usage.percent,
    }


def _usage_or_error(path: str) -> dict[str, object]:
    try:
        return _usage(path)
    except OSError as error:
        return {"error": error.strerror or str(error)}


def _devices() -> dict[str, object]:
    """What each block device has done since boot; empty where the system does not count it."""
    try:
        counters = deferred.psutil.disk_io_counters(perdisk=True)
    except NotImplementedError:
        counters = {}
    return {
        name: {
            "read_bytes": count.read_bytes,
            "written_bytes": count.write_bytes,
            "reads": count.read_count,
            "writes": count.write_count,
        }
        for name, count in counters.items()
    }
