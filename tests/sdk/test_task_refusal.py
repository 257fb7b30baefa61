"""Why a file cannot be had: each reason of the system is an error of its own, never just "not found"."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from plugin_host_sdk.errors import CallError, FileAccessError
from plugin_host_sdk.metadata.refusal import refusal_of
from tests.otheruser import lend_copies, needs_root, open_folder, reachable_python

__all__ = ["open_folder"]


@pytest.mark.parametrize(
    ("number", "is_folder", "name"),
    [
        (errno.ENOENT, False, "metadata.artifact_not_found"),
        (errno.ENOTDIR, False, "metadata.artifact_not_found"),
        (errno.ENOENT, True, "metadata.folder_not_found"),
        (errno.ENOTDIR, True, "metadata.not_folder"),
        (errno.EISDIR, False, "metadata.is_folder"),
        (errno.EACCES, False, "metadata.permission"),
        (errno.EPERM, True, "metadata.permission"),
        (errno.EIO, False, "metadata.file_unreadable"),
        (errno.EMFILE, False, "metadata.file_unreadable"),
        (errno.ENAMETOOLONG, True, "metadata.file_unreadable"),
    ],
)
def test_each_reason_has_its_name_and_travels(number: int, is_folder: bool, name: str) -> None:
    error = refusal_of(OSError(number, os.strerror(number)), "/a/b", is_folder=is_folder)
    assert (error.name, error.path) == (name, "/a/b")
    assert "/a/b" in str(error)
    arrived = CallError.from_map(error.to_map())
    assert isinstance(arrived, FileAccessError)
    assert (type(arrived), str(arrived), arrived.path) == (type(error), str(error), "/a/b")
    assert arrived.data["errno"] == number
    assert arrived.retryable == (number == errno.EMFILE)


AS_NOBODY = """
import os, sys
from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.exec.identity import find_identity
from plugin_host_sdk.metadata.reach import Reach
from plugin_host_sdk.metadata.refusal import refusal_of

try:
    find_identity("root")
except TerminalError as error:
    print(error.message)
print(find_identity("nobody"))
for name, opening in (("/file", Reach(None).open_file), ("", Reach(None).open_folder)):
    path = sys.argv[1] + name
    try:
        opening(os.fsencode(path))
    except OSError as error:
        print(refusal_of(error, path, is_folder=not name))
"""


@needs_root
@pytest.mark.edges
def test_worker_without_privileges_says_what_it_may_not(open_folder: Path) -> None:
    lend_copies(open_folder / "lent")
    secret = open_folder / "secret"
    secret.mkdir(mode=0o700)
    done = subprocess.run(
        [reachable_python(), "-c", AS_NOBODY, str(secret)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(open_folder / "lent")},
        user="nobody",
        group="nogroup",
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    refused, allowed, *denied = done.stdout.splitlines() or [done.stderr, ""]
    assert refused.startswith("the plugin runs as 'nobody' and may not run programs as 'root'"), done
    assert allowed == "None"
    assert denied == [f"the plugin's user may not read {path}" for path in (secret / "file", secret)], done
