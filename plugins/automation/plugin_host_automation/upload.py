"""Writing a file that a host sends: in pieces, checked, and in its place in one step."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from plugin_host_sdk.action import ActionFailed, File, Identity, UploadFileAndExit, UploadResult, mode_bits

from . import setting
from .place import open_folder, parse
from .replacement import Replacement

if TYPE_CHECKING:
    import plugin_host_sdk as sdk
    from plugin_host_sdk.action import UploadFile

    from .setting import Settings

__all__ = ["check", "check_file", "run", "write_file"]


def check(ctx: sdk.Context, request: UploadFile) -> None:
    """Refuse what is not allowed, or cannot be, before a byte was sent."""
    place = parse(request.path, setting.current(ctx.settings).roots)
    Identity.to_own(request.owner)
    if not request.parents:
        os.close(open_folder(place.folders))


def run(ctx: sdk.Context, request: UploadFile) -> UploadResult:
    """Write the file; afterwards the plugin ends, if that was asked for."""
    place = parse(request.path, setting.current(ctx.settings).roots)
    owner = Identity.to_own(request.owner)
    with Replacement(place, mode=mode_bits(request.mode), owner=owner, parents=request.parents) as file:
        for data in ctx.action.data:
            file.write(data)
            if request.size is not None and file.size > request.size:
                break
        if request.size is not None and file.size != request.size:
            more = "more" if file.size > request.size else f"{file.size}"
            raise ActionFailed(f"{request.path}: {more} bytes came, not {request.size}")
        if request.sha256 is not None and file.sha256 != request.sha256:
            raise ActionFailed(
                f"{request.path}: what came has the SHA-256 {file.sha256}, not {request.sha256}"
            )
        file.commit()
        result = UploadResult(path=request.path, size=file.size, sha256=file.sha256, replaced=file.replaces)
    if isinstance(request, UploadFileAndExit):
        ctx.action.after_reply(lambda: ctx.action.end_plugin(f"{request.path} was written"))
    return result


def check_file(file: File, settings: Settings) -> None:
    """Refuse a file that goes with a script as `check` does."""
    parse(file.path, settings.roots)
    Identity.to_own(file.owner)


def write_file(file: File, settings: Settings) -> None:
    """Write a file that goes with a script. Raises ActionFailed."""
    place = parse(file.path, settings.roots)
    owner = Identity.to_own(file.owner)
    with Replacement(place, mode=mode_bits(file.mode), owner=owner) as replacement:
        replacement.write(file.data or b"")
        replacement.commit()
