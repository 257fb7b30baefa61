"""Programs whose family is looked for, each with a mark of its own."""

from __future__ import annotations

import itertools
import os

from plugin_host_sdk.exec.family import Family
from plugin_host_sdk.exec.process import PipeProcess, spawn_pipes
from tests.sdk.ends import ENV

NAME = "PLUGIN_HOST_SESSION"

_marks = (f"{NAME}=test-{os.getpid()}-{number}" for number in itertools.count())


def fresh_mark() -> str:
    """An entry that no other process has."""
    return next(_marks)


def start(*argv: str, mark: str | None = None) -> PipeProcess:
    entry = dict([mark.split("=")]) if mark else {}
    return spawn_pipes(argv, cwd=None, env=ENV | entry)


def family_of(*argv: str) -> tuple[PipeProcess, Family]:
    process = start(*argv, mark=(mark := fresh_mark()))
    return process, Family(process.pid, mark)
