"""Asks an interpreter for its version and what it can import, in a process that is ended after 5 s.

Nothing of a plugin is imported: the interpreter is started with `-I`, and only the places of top-level
modules are looked up. Invariants: each interpreter is asked once, all at a time; an interpreter runs as
the user that its plugins run as; what it is given of the environment is what programs need to start.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from plugin_host.account import Account

__all__ = ["NEEDED", "Answer", "Module", "Question", "ask", "parse"]

NEEDED = ("plugin_host_sdk", "msgpack", "msgspec", "ptyprocess")
"""What an interpreter must be able to import to serve plugins."""

_PATIENCE_S = 5.0
_GRACE_S = 0.5  # from the end of its output to its own
_MOST_BYTES = 64 * 1024
_AT_A_TIME = 8

# For any Python that there ever was: the answer of an old one is what it is asked for.
_CODE = """
import sys
answer = {"version": list(sys.version_info[:3]), "packages": {}, "modules": [], "sdk": None}
if sys.version_info >= (3, 4):
    import json, os
    from importlib.util import find_spec
    def find(name):
        try:
            return find_spec(name)
        except Exception:
            return None
    path, needed, modules = json.loads(sys.argv[1])
    sys.path[:0] = path
    for name in needed:
        answer["packages"][name] = find(name) is not None
    sdk = find("plugin_host_sdk")
    for folder in (sdk and sdk.submodule_search_locations) or ():
        try:
            with open(os.path.join(folder, "version.py")) as file:
                lines = [line.split('"')[1] for line in file if line.startswith("VERSION = ")]
            answer["sdk"] = lines[0]
        except (OSError, IndexError):
            pass
    before = list(sys.path)
    for name, folders in modules:
        sys.path[:] = before + folders
        answer["modules"].append(find(name) is not None)
    print("\\n" + json.dumps(answer))
else:
    print("\\n" + str(answer).replace("'", '"').replace("None", "null"))
"""


@dataclass(frozen=True, slots=True)
class Question:
    """An interpreter as it would be started: `path` comes from PYTHONPATH, `environment` is sorted."""

    program: str
    path: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    account: Account | None = None


@dataclass(frozen=True, slots=True)
class Module:
    """A top-level module to be looked up, with the folders that are searched last."""

    name: str
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the interpreter said. `sdk` is the version of the SDK, `lacking` those of `NEEDED` that it does
    not find, `found` whether each module asked for is there.

    With `trouble`, which says in words why there is no answer, nothing else counts.
    """

    version: tuple[int, ...] = ()
    sdk: str | None = None
    lacking: tuple[str, ...] = ()
    found: Mapping[Module, bool] | None = None
    trouble: str = ""


def ask(questions: Mapping[Question, Collection[Module]]) -> dict[Question, Answer]:
    """The answer to each question and to the modules asked for with it. Blocks, some 5 s at most for 8."""
    if not questions:
        return {}
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        answers = pool.map(lambda item: _ask(item[0], list(item[1])), questions.items())
        return dict(zip(questions, answers, strict=True))


def parse(output: bytes, modules: Collection[Module]) -> Answer | None:
    """The answer in what an interpreter wrote, in its last line; None when there is none."""
    try:
        raw = json.loads(output.decode("utf-8", "replace").strip().rpartition("\n")[2])
        version = tuple(int(number) for number in raw["version"])
        lacking = tuple(name for name in NEEDED if not raw["packages"].get(name))
        found = dict(zip(modules, map(bool, raw["modules"]), strict=False))
        sdk = raw["sdk"]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return Answer(version, sdk if isinstance(sdk, str) else None, lacking, found)


def _ask(question: Question, modules: list[Module]) -> Answer:
    asked = [question.path, NEEDED, [(module.name, module.folders) for module in modules]]
    account = question.account
    try:
        process = subprocess.Popen(
            [question.program, "-I", "-c", _CODE, json.dumps(asked)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=dict(question.environment),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=account.groups if account else None,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Answer(trouble=f"it cannot be started: {error}")
    assert process.stdout is not None
    with process.stdout:
        output = _read(process.stdout.fileno())
    status = _end(process, 0 if output is None else _GRACE_S)
    if output is None:
        return Answer(trouble=f"it did not answer within {_PATIENCE_S:g} s, or said far too much")
    return parse(output, modules) or Answer(trouble=f"it does not answer as Python does (status {status})")


def _read(fd: int) -> bytes | None:
    """All that is written, up to its end; None when that does not come, or not soon enough."""
    deadline = time.monotonic() + _PATIENCE_S
    output = b""
    while len(output) < _MOST_BYTES:
        ready = select.select((fd,), (), (), max(0.0, deadline - time.monotonic()))[0]
        if not ready:
            return None
        data = os.read(fd, _MOST_BYTES)
        if not data:
            return output
        output += data
    return None


def _end(process: subprocess.Popen[bytes], patience: float) -> int:
    """Its status; it and its group are killed when it has not ended by itself within `patience` seconds."""
    try:
        if patience:
            return process.wait(patience)
    except subprocess.TimeoutExpired:
        pass
    # It is not reaped yet, so the group is still its own.
    os.killpg(process.pid, signal.SIGKILL)
    return process.wait()
