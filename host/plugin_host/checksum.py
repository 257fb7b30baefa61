"""The checksum of a plugin's folder, and its verification before a launch.

Owns what the checksum covers and how it is computed; whether one is wanted is said by the manifest or
by the host's configuration, whose pin wins. Invariant: two folders have the same checksum exactly when
they hold the same relative paths with the same contents.

Covered are all files below the manifest's folder but the manifest itself and everything in
`__pycache__`. A symbolic link counts as the text of its target, and as the contents too when it leads
to a file that is not covered itself; a link to such a folder is refused.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from .errors import ManifestError
from .manifest import MANIFEST_NAME, Manifest
from .wording import shown

__all__ = ["checksum", "verify"]

_CHUNK = 1024 * 1024
_SKIPPED = b"__pycache__"


def checksum(folder: str | os.PathLike[str]) -> str:
    """`sha256:` and 64 hexadecimal digits for the contents of `folder`; raises `ManifestError`.

    Blocks while it reads every byte of every file.
    """
    root = os.fspath(folder)
    try:
        digest = hashlib.sha256()
        for relative in sorted(_covered(os.fsencode(root))):
            _add(digest, os.fsencode(root), relative)
    except OSError as error:
        where = shown(os.fsdecode(error.filename or root))
        message = f"{where}: the checksum needs every file, and this one: {error.strerror}"
        raise ManifestError(message, file=where) from None
    return f"sha256:{digest.hexdigest()}"


def verify(manifest: Manifest, root: Path | None, pin: str | None = None) -> None:
    """Raise `ManifestError` when the plugin's folder is not the one its checksum was made of.

    `pin` is the checksum in the host's configuration and wins over the manifest's. Without either
    nothing is read.
    """
    expected = pin or manifest.checksum
    if expected is None:
        return
    whose = "pinned by the host's configuration" if pin else "in its manifest"
    if root is None:
        raise ManifestError(
            f"plugin `{manifest.id}`: expected a folder with the checksum {expected} ({whose}), "
            "found no manifest beside the plugin's code, so there is no folder to check"
        )
    actual = checksum(root)
    if actual != expected:
        file = shown(root / MANIFEST_NAME)
        raise ManifestError(
            f"{file}: $.checksum: expected {expected} ({whose}), found {actual}: "
            f"the files of plugin `{manifest.id}` were changed after its checksum was made",
            file=file,
            path="$.checksum",
        )


def _covered(root: bytes) -> Iterator[bytes]:
    """The relative paths that count: files, links and special files, in no order."""
    pending = [b""]
    while pending:
        prefix = pending.pop()
        with os.scandir(os.path.join(root, prefix) if prefix else root) as entries:
            for entry in entries:
                relative = os.path.join(prefix, entry.name)
                if not entry.is_dir(follow_symlinks=False):
                    if relative != MANIFEST_NAME.encode():
                        yield relative
                elif entry.name != _SKIPPED:
                    pending.append(relative)


def _add(digest: hashlib._Hash, root: bytes, relative: bytes) -> None:
    path = os.path.join(root, relative)
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        _add_part(digest, b"link", relative, os.readlink(path))
        _add_outside(digest, root, path, relative)
    elif stat.S_ISREG(mode):
        _add_file(digest, path, relative)
    else:
        where = shown(os.fsdecode(path))
        message = f"{where}: expected files, folders and links only, found a device, pipe or socket"
        raise ManifestError(message, file=where)


def _add_outside(digest: hashlib._Hash, root: bytes, path: bytes, relative: bytes) -> None:
    """What a link adds that leads to what is not covered; one that leads nowhere adds nothing."""
    target = os.path.realpath(path)
    inside = os.path.join(os.path.realpath(root), b"")
    within = os.path.join(target, b"").startswith(inside)
    if within and _SKIPPED not in target[len(inside) :].split(b"/"):
        return
    if not os.path.exists(target):
        return
    if not os.path.isfile(target):
        where = shown(os.fsdecode(path))
        raise ManifestError(
            f"{where}: expected a link to a file, or to something in the plugin's folder, "
            f"found one to {shown(os.fsdecode(target))}, which no checksum covers",
            file=where,
        )
    _add_file(digest, target, relative)


def _add_file(digest: hashlib._Hash, path: bytes, relative: bytes) -> None:
    content = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            content.update(chunk)
    _add_part(digest, b"file", relative, content.digest())


def _add_part(digest: hashlib._Hash, kind: bytes, relative: bytes, content: bytes) -> None:
    """One entry, every field with its length before it, so that no two lists of entries look alike."""
    for field in (kind, relative, content):
        digest.update(len(field).to_bytes(8, "big") + field)
