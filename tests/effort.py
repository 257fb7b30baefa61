"""How much a run puts into tests that could go on for ever: examples of properties, rounds, bytes.

Most runs are short, and each draws other examples. ``tox -e long`` sets PLUGIN_HOST_TEST_LONG and takes
its time.
"""

from __future__ import annotations

import os
from typing import TypeVar

__all__ = ["IS_LONG", "by_effort", "examples"]

_T = TypeVar("_T")

IS_LONG = os.environ.get("PLUGIN_HOST_TEST_LONG") == "1"

TIMES = 10
"""What a long run tries more of."""


def by_effort(short: _T, long: _T) -> _T:
    """`short`, or `long` in a long run."""
    return long if IS_LONG else short


def examples(count: int) -> int:
    """How many examples of a property are tried where a short run tries `count`."""
    return by_effort(count, count * TIMES)
