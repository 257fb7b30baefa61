"""Plugins that are written for one measurement: as many as are wanted, all alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_plugins"]

_CODE = """\
import plugin_host_sdk as sdk

plugin = sdk.Plugin({id!r}, version="1.0.0")


@plugin.command("echo")
def echo(ctx, payload=None):
    return payload
"""


def write_plugins(folder: Path, count: int, more: str = "") -> list[str]:
    """Their ids, `p0` and on, in the order in which they were written. Each echoes, and runs `more` too."""
    ids = [f"p{number}" for number in range(count)]
    for id in ids:
        home = folder / id
        home.mkdir()
        manifest = {"id": id, "version": "1.0.0", "launch": {"entry_point": f"{id}_plugin:plugin"}}
        (home / "plugin_manifest.json").write_text(json.dumps(manifest))
        (home / f"{id}_plugin.py").write_text(_CODE.format(id=id) + more)
    return ids
