"""Puts every test under the same rules; each rule lives in a module of its own.

``deadline`` ends a test that hangs, ``leak`` fails one that leaves something behind, ``run`` and
``wait`` give tests the two waits they need so that none of them sleeps for a fixed time.
``warmup`` shares the work before the first test, ``edges`` leaves some of it out. ``cli_fork``
starts the many commands of the tests of the command line.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.effort import examples

pytest_plugins = [
    "tests.deadline", "tests.leak", "tests.run", "tests.wait", "tests.edges", "tests.warmup",
    "tests.host.cli_fork",
]  # fmt: skip

# An example's time says more about the machine's other work than about the code: the deadline of
# the whole test is the limit. A failing example prints what is needed to run it again elsewhere.
settings.register_profile("project", deadline=None, print_blob=True, max_examples=examples(40))
settings.load_profile("project")


_numbers = itertools.count()


@pytest.fixture(scope="session")
def sockets() -> Iterator[str]:
    """A folder for sockets, whose paths must be short."""
    folder = tempfile.mkdtemp(prefix="ph-")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def own_socket(sockets: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The control socket of the test's hosts: no other test's, and not that of the user."""
    path = f"{sockets}/{next(_numbers)}/control.sock"
    monkeypatch.setenv("PLUGIN_HOST_SOCKET", path)
    return path


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where a user would have caches; shared, as what tests look for in it has paths of its own."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def own_cache(cache_home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered from before, and nothing is left in the user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", cache_home)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "bare: needs interpreters that nothing watches (times, memory, what is imported)"
    )
