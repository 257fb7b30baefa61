"""The checking process: tasks come as lines of JSON on stdin, answers go as such to stdout.

It gives itself the limits within which it may live, anew for each task, so that a pattern that never
comes to an end, or references that multiply, end this process and nothing else. Answers are written one
by one: the first that is missing belongs to the task that was too much.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

from .check import Fault, check, settle

__all__ = ["answer", "main"]

MEMORY_BYTES = 1024 * 1024 * 1024
CPU_S = 2
ANSWER_BYTES = 4 * 1024 * 1024


def main() -> None:
    """Do the tasks."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    for task in sys.stdin:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + 1 + CPU_S)
        sys.stdout.write(answer(task) + "\n")
        sys.stdout.flush()


def answer(task: str) -> str:
    """The answer to one task, a `schema` with the `settings` for it, or with null to check it alone."""
    try:
        given = json.loads(task)
        schema, settings = given["schema"], given["settings"]
        result = check(schema) if settings is None else settle(schema, settings)
        text = json.dumps(_told(result) if isinstance(result, Fault) else {"settings": result})
    except MemoryError:
        return json.dumps(_told(Fault(True, (), "takes more memory to check than the host gives")))
    except RecursionError:
        return json.dumps(_told(Fault(True, (), "nested too deeply")))
    if len(text) > ANSWER_BYTES:
        return json.dumps(_told(Fault(True, (), "makes settings of more than 4 MiB")))
    return text


def _told(fault: Fault) -> dict[str, Any]:
    return {"of_schema": fault.of_schema, "steps": fault.steps, "text": fault.text}


def _limit(which: int, wanted: int) -> None:
    """As low as wanted, or as it is already; some systems cannot limit every resource."""
    _, hard = resource.getrlimit(which)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(which, (soft, hard))
    except (ValueError, OSError):
        pass


if __name__ == "__main__":
    main()
