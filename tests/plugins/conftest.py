"""Lets the tests import this repository's plugins where they are not installed.

Where they are, the installed ones are tested.
"""

from __future__ import annotations

import sys
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"

for name in ("system", "shell", "runner"):
    sys.path.append(str(PLUGINS / name))
