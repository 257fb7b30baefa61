"""Leaves modules unread whose tests are all `edges`, where those are not run.

They are a third of all modules, and to import them takes every worker a third of the time before its first
test. Invariant: what is left unread here would have been deselected.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ALL = re.compile(r"^pytestmark = \[?pytest\.mark\.edges\b", re.MULTILINE)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "edges: about the kernel, the command line, peers, pages or this repository more than about the"
        " interpreter; tox runs it on the oldest version only",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return is_unread(collection_path, config) or None


def is_unread(path: Path, config: pytest.Config) -> bool:
    """Whether `path` is a module that this run leaves out as a whole."""
    if config.option.markexpr != "not edges" or path.suffix != ".py" or not path.is_file():
        return False
    return _ALL.search(path.read_text()) is not None
