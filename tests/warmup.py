"""Shares the work before the first test between the workers of one run.

Every worker imports every module of tests, and an import that nobody has made before is a slow one: its
assertions are rewritten, and the result is kept on the disk. Workers that go in the same order all do that
work for each module. So each begins with modules of its own, and finds what the others have made.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edges import is_unread


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    worker = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    number = int(worker["workerid"].removeprefix("gw"))
    for name in sorted(_modules(session.config))[number :: worker["workercount"]]:
        with contextlib.suppress(BaseException):  # the collection meets it again, and tells
            importlib.import_module(name)


def _modules(config: pytest.Config) -> Iterator[str]:
    """The modules of tests in the folders that are asked for, named as the collection names them."""
    for argument in config.args:
        folder = (config.invocation_params.dir / argument).resolve()
        if folder.is_dir():
            paths = (path for path in folder.rglob("test_*.py") if not is_unread(path, config))
            yield from (module_name(path, config.rootpath) for path in paths)


def module_name(path: Path, root: Path) -> str:
    """What a module of tests is imported as."""
    return ".".join(path.relative_to(root).with_suffix("").parts)
