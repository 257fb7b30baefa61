"""A host with plugins of the test's choice: those with a name in ``tests/personalities``, or written
on the spot.

Nothing that happens to be installed is found, and `python3` means the interpreter that runs the test.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from plugin_host import PluginHost
from plugin_host.link import Link

PERSONALITIES = Path(__file__).parent / "personalities"


def stage(*ids: str, dirs: Sequence[Path] = (), **options: Any) -> PluginHost:
    """A host of these plugins and no others; the first half of `async with`."""
    folders = [PERSONALITIES, *dirs] if any((PERSONALITIES / id).is_dir() for id in ids) else dirs
    return PluginHost(plugin_dirs=folders, entry_points=False, only=ids, **options)


def link_of(host: PluginHost, plugin: str) -> Link:
    """The link of a plugin that is ready."""
    link = host._supervisors[plugin].link
    assert link is not None
    return link


def runs(pid: int | None) -> bool:
    """Whether there is a process of this number, dead or alive."""
    return Path(f"/proc/{pid}").exists()


def write_plugin(
    folder: Path,
    id: str,
    code: str = "",
    *,
    head: str = "",
    launch: dict[str, Any] | None = None,
    **keys: Any,
) -> Path:
    """Write a plugin into `folder/id` and return `folder`, to be used as a plugin folder.

    `code` is what follows `plugin = sdk.Plugin(id, ...)`, `head` what precedes it; `keys` go into the
    manifest and `launch` into its part of that name.
    """
    home = folder / id
    home.mkdir(parents=True)
    start = {"stop_timeout_s": 1, **(launch or {})}
    if "argv" not in start:
        start.setdefault("entry_point", f"{id}_plugin:plugin")
    # A test that wants its plugin back says so: the others look at what is left of it.
    manifest = {"id": id, "version": "1.0.0", "launch": start, "restart": {"policy": "never"}, **keys}
    (home / "plugin_manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    lines = [
        textwrap.dedent(head),
        "import plugin_host_sdk as sdk",
        f"plugin = sdk.Plugin({id!r}, version='1.0.0')",
        textwrap.dedent(code),
    ]
    (home / f"{id}_plugin.py").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _python3_is_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"])


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The host's log from DEBUG on."""
    with caplog.at_level(logging.DEBUG, logger="plugin_host"):
        yield caplog
