"""Blocking hosts of the test's plugins; the counterpart of ``tests.stage``."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plugin_host.sync import PluginHost
from tests.source import ROOT
from tests.stage import PERSONALITIES

__all__ = ["blocking", "program"]


def blocking(*ids: str, dirs: Sequence[Path] = (), **options: Any) -> PluginHost:
    """A host of these plugins and no others; the first half of `with`."""
    folders = [PERSONALITIES, *dirs] if any((PERSONALITIES / id).is_dir() for id in ids) else dirs
    return PluginHost(plugin_dirs=folders, entry_points=False, only=ids, **options)


def program(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program that finds `blocking` imported, to its end."""
    text = "import os, sys, threading, time\nfrom tests.syncstage import blocking\n" + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", text, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=45,  # a busy machine takes its time for a program that uses it all
    )
