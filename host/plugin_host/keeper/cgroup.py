"""Cgroup folders that were made for plugins: who is in them, ending all of these, taking them away.

Both versions of cgroups. Invariant: a folder that holds this process itself is never touched, whoever
said that it should be.
"""

from __future__ import annotations

import os

__all__ = ["kill", "members", "remove"]

_READ_BYTES = 64 * 1024


def members(folders: list[bytes]) -> set[int]:
    """The processes in these folders and in those inside them."""
    found: set[int] = set()
    for folder in folders:
        inside = _inside(folder)
        if os.getpid() not in inside:
            found |= inside
    return found


def kill(folders: list[bytes]) -> None:
    """End everybody at once where the kernel can (`cgroup.kill`); elsewhere let nobody fork any more."""
    for folder in folders:
        if os.getpid() in _inside(folder):
            continue
        _write(folder + b"/pids.max", b"0")
        _write(folder + b"/cgroup.kill", b"1")


def remove(folders: list[bytes]) -> bool:
    """Take the folders away with those inside them; whether all are gone."""
    for folder in folders:
        for each in _tree(folder):
            try:
                os.rmdir(each)
            except OSError:  # somebody is still in it, or it is gone already
                pass
    return not any(map(os.path.exists, folders))


def _inside(folder: bytes) -> set[int]:
    found: set[int] = set()
    for each in _tree(folder):
        found.update(map(int, _read(each + b"/cgroup.procs").split()))
    return found


def _tree(folder: bytes) -> list[bytes]:
    """The folder with all inside it, the deepest first."""
    found = [folder]
    for each in found:
        try:
            with os.scandir(each) as entries:
                found += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:  # gone meanwhile
            pass
    return found[::-1]


def _read(path: bytes) -> bytes:
    data = b""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return data
    try:
        while more := os.read(fd, _READ_BYTES):
            data += more
    except OSError:  # a folder of threads has no list of processes
        pass
    finally:
        os.close(fd)
    return data


def _write(path: bytes, value: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)  # never made where there is none
    except OSError:
        return
    try:
        os.write(fd, value)
    except OSError:  # no leave to
        pass
    finally:
        os.close(fd)
