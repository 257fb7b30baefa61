"""Fails a test that leaves processes, descriptors or threads behind.

The comparison is made after all of a test's own fixtures are gone; module and session fixtures are
compared at the end of the run. What is on its way out gets a bounded time to go. Leaked processes
are killed after they were named, so that one bad test does not spoil the next.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.inventory import Inventory, Observer

_room = pytest.StashKey[str]()
_observer = pytest.StashKey[Observer]()
_known = pytest.StashKey[Inventory]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("leak_settle", "seconds in which what a test started may go away", default="5")


def pytest_configure(config: pytest.Config) -> None:
    # TMPDIR is part of the environment every plugin gets, so one of our own marks all descendants
    # of this run. Folders of tmp_path stay where pytest keeps them for inspection.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    room = config.stash[_room] = tempfile.mkdtemp(prefix="ph-")
    os.environ["TMPDIR"] = tempfile.tempdir = room
    config.stash[_observer] = Observer(f"TMPDIR={room}")
    config.stash[_known] = Inventory(frozenset(), frozenset(), frozenset())
    gc.disable()  # what collecting the tests makes stays until the end


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_room], ignore_errors=True)


def pytest_collection_finish() -> None:
    gc.enable()
    _collect()


def _collect() -> None:
    """Collect garbage, and set what has survived aside: the next collection, one per test, is cheap."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_at_all(pytestconfig: pytest.Config) -> Iterator[None]:
    with _watched(pytestconfig, "the run (a fixture of a module or of the session)"):
        yield
        gc.unfreeze()


@pytest.fixture(autouse=True)
def _nothing_left(
    pytestconfig: pytest.Config, request: pytest.FixtureRequest, _nothing_left_at_all: None
) -> Iterator[None]:
    with _watched(pytestconfig, request.node.nodeid):
        yield


@contextlib.contextmanager
def _watched(config: pytest.Config, who: str) -> Iterator[None]:
    before = config.stash[_observer].take()
    yield
    _collect()  # a descriptor held by a reference cycle is not leaked, only late
    left = _settled(config, before)
    if left:
        config.stash[_known] |= left
        lines = left.lines()
        _kill(left)
        pytest.fail("\n  ".join([f"left behind by {who}:", *lines]), pytrace=False)


def _settled(config: pytest.Config, before: Inventory) -> Inventory:
    """What is there now and was not ``before``, once nothing more goes away."""
    end = time.monotonic() + float(config.getini("leak_settle"))
    while True:
        left = config.stash[_observer].take() - before - config.stash[_known]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.01)


def _kill(left: Inventory) -> None:
    for process in left.processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
        with contextlib.suppress(OSError):  # an orphan is init's to reap
            os.waitpid(process.pid, 0)
