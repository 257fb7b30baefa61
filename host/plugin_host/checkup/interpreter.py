"""The interpreters of Python plugins: whether each can serve them, and has their modules.

An interpreter of a plugin that is to run in a sandbox is not run outside of it, unless it is the host's
own, which runs already.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

from .compatibility import OLDEST_PYTHON, fits, python_is_new_enough, requirement
from .finding import Finding, fault, note, ok
from .probe import Answer, Module, Question, ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .launching import Launching

__all__ = ["find", "judge", "module_of", "question_of"]

_SECTION = "interpreters"
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR")
_PASSED_PREFIXES = ("LD_", "DYLD_", "LC_")


def find(launchings: Iterable[Launching], version: str) -> list[Finding]:
    """What is to be said of the interpreter of each Python plugin; `version` is the host's."""
    users: defaultdict[Question, list[Launching]] = defaultdict(list)
    found: list[Finding] = []
    for launching in launchings:
        if not launching.is_python:
            continue
        question = question_of(launching)
        if launching.candidate.trust.sandbox is not None and question.program != sys.executable:
            text = f"{question.program} is there; it is not tried, since the plugin is to run in a sandbox"
            found.append(note(_SECTION, launching.candidate.id, text))
            continue
        users[question].append(launching)
    asked = {question: [module_of(one) for one in many] for question, many in users.items()}
    answers = ask(asked)
    for question, many in users.items():
        for launching in many:
            module = module_of(launching)
            found += judge(launching.candidate.id, question.program, answers[question], module, version)
    return sorted(found, key=lambda one: one.subject)


def question_of(launching: Launching) -> Question:
    """How the plugin's interpreter is started, as far as that decides what it finds."""
    spec = launching.spec
    path = spec.env.get("PYTHONPATH", "").split(os.pathsep)
    passed = {
        name: value
        for name, value in spec.env.items()
        if name in _PASSED or name.startswith(_PASSED_PREFIXES)
    }
    return Question(
        spec.argv[0], tuple(filter(None, path)), tuple(sorted(passed.items())), launching.account
    )


def module_of(launching: Launching) -> Module:
    """The top-level module of the plugin's entry point."""
    name = (launching.manifest.launch.entry_point or "").partition(":")[0].partition(".")[0]
    return Module(name, tuple(launching.candidate.sys_path))


def judge(plugin: str, program: str, answer: Answer, module: Module, version: str) -> Iterator[Finding]:
    """What `answer` means for a plugin whose entry point lies in `module`."""
    if answer.trouble:
        yield fault(
            _SECTION, plugin, f"{program}: {answer.trouble}", "see what it says when you start it by hand"
        )
        return
    python = "Python " + ".".join(map(str, answer.version))
    if not python_is_new_enough(answer.version):
        needed = ".".join(map(str, OLDEST_PYTHON))
        yield fault(_SECTION, plugin, f"{program} is {python}", f"use Python {needed} or later")
        return
    install = f"{program} -m pip install {requirement(version)}"
    if answer.lacking:
        names = ", ".join(answer.lacking)
        yield fault(_SECTION, plugin, f"{program} ({python}) does not find {names}", install)
    elif answer.sdk is None or not fits(answer.sdk, version):
        yield fault(
            _SECTION,
            plugin,
            f"{program} ({python}) has plugin-host-sdk {answer.sdk or 'of no known version'}, and this host"
            f" is {version}",
            install,
        )
    elif not (answer.found or {}).get(module, True):
        where = f" and in {', '.join(module.folders)}" if module.folders else ""
        yield fault(
            _SECTION,
            plugin,
            f"{program} ({python}) does not find the module {module.name}{where}",
            "correct launch.entry_point, or install the package that holds the module",
        )
    else:
        yield ok(_SECTION, plugin, f"{program}, {python}, plugin-host-sdk {answer.sdk}")
