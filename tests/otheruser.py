"""What a plugin needs that runs as another user than the tests: folders and a Python within its reach."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from plugin_host.access import obstacle
from plugin_host.account import Account
from tests.venv import SDK_AND_ITS_NEEDS

NOBODY = pwd.getpwnam("nobody")
_EXCHANGE = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
try:
    sock.connect(sys.argv[1])
except OSError as error:
    sys.exit(error.errno)
try:
    sock.sendall(sys.stdin.buffer.read())
    sock.shutdown(socket.SHUT_WR)
except BrokenPipeError:
    pass
while data := sock.recv(65536):
    sys.stdout.buffer.write(data)
"""
_ACCOUNT = Account("nobody", NOBODY.pw_uid, NOBODY.pw_gid, (NOBODY.pw_gid,))

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may change users")


@cache
def reachable_python() -> str:
    """A Python that everybody may run: that of the tests, or else the system's."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        prefix = os.path.dirname(os.path.dirname(os.path.realpath(python)))
        if obstacle(python, os.X_OK, _ACCOUNT) or obstacle(prefix, os.R_OK | os.X_OK, _ACCOUNT):
            continue
        recent = "import sys; sys.exit(sys.version_info < (3, 11))"
        if subprocess.run([python, "-c", recent], check=False, timeout=20).returncode == 0:
            return python
    raise AssertionError("no Python from 3.11 on is within the reach of all users: install python3")


def answer_to_nobody(path: Path | str, data: bytes, *groups: int) -> bytes:
    """All that is said to the user nobody, a member of `groups`, who connects and sends `data`.

    Raises OSError where the kernel does not let it connect.
    """
    ran = subprocess.run(
        [reachable_python(), "-c", _EXCHANGE, str(path)],
        input=data,
        stdout=subprocess.PIPE,
        user=NOBODY.pw_uid,
        group=NOBODY.pw_gid,
        extra_groups=groups,
        cwd="/",
        check=False,
        timeout=20,
    )
    if ran.returncode:
        raise OSError(ran.returncode, os.strerror(ran.returncode))
    return ran.stdout


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, as those of pytest are not."""
    folder = Path(tempfile.mkdtemp(prefix="ph-open-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Run the test without privilege; one that has none to begin with runs as it is."""
    if os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY.pw_gid)
    os.seteuid(NOBODY.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def lend_copies(packages: Path) -> None:
    """Copy the SDK and what it needs into `packages`; where the tests have them nobody else may look.

    What is compiled for another version of Python than the one that runs there falls back to plain code.
    """
    import importlib.util

    for name in SDK_AND_ITS_NEEDS:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.submodule_search_locations is not None, name
        source = next(iter(spec.submodule_search_locations))
        shutil.copytree(source, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
