"""A plugin's settings, as it gets them: held against its manifest's schema, with defaults filled in.

Owns who is told of what does not fit, and in which words. The work is `schemacheck`'s, for plugins that
have a schema. Invariant: no message says a value of the settings, which may be a secret;
only where it stands and of what kind it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .candidate import Candidate
from .errors import ConfigurationError, ManifestError
from .wording import path_of, shown, type_of

if TYPE_CHECKING:
    from .manifest import Manifest
    from .schemacheck.task import Answer, Task

__all__ = ["check_schema", "settle", "settled"]

_GIVEN = "the given settings"
_DEEPEST = 100

Steps = tuple[str | int, ...]


def settled(
    manifest: Manifest,
    given: Mapping[str, Any],
    *,
    file: str | None = None,
    manifest_file: str | None = None,
) -> dict[str, Any]:
    """What the plugin gets for the settings `given`, those of the configuration `file` if there is one.

    Blocks for some 0.2 s unless the settings plainly fit, or for 3 s when it turns out that the schema
    cannot be evaluated in time; runs in any thread.

    Raises ConfigurationError for settings that do not fit, and when this machine cannot check them;
    ManifestError for a schema that is of no use.
    """
    if manifest.settings_schema is None:
        return dict(given)
    task = _task(manifest, given, file)
    return _result(manifest, _answers([task])[0], file, manifest_file)


def check_schema(manifest: Manifest, *, file: str) -> None:
    """Hold the schema in the manifest `file` to being one; raises ManifestError."""
    if manifest.settings_schema is None:
        return
    from .schemacheck.task import Task

    (answer,) = _answers([Task(manifest.settings_schema, None)])
    if answer.text:
        raise _error(manifest, answer, None, file)


def settle(candidates: Sequence[Candidate], *, file: str | None = None) -> list[Candidate]:
    """The same list, with the settings of each as its plugin gets them, or it broken and explained.

    Those that are broken or skipped are as they were. All are checked by one process.
    """
    outcomes: dict[int, dict[str, Any] | ConfigurationError | ManifestError] = {}
    tasks: dict[int, Task] = {}
    for index, candidate in enumerate(candidates):
        manifest = candidate.manifest
        if manifest is None or manifest.settings_schema is None or candidate.skipped is not None:
            continue
        try:
            tasks[index] = _task(manifest, candidate.settings, file)
        except ConfigurationError as error:
            outcomes[index] = error
    if tasks:
        outcomes |= _outcomes(candidates, tasks, file)
    return [
        _with(candidate, outcomes[index]) if index in outcomes else candidate
        for index, candidate in enumerate(candidates)
    ]


def _outcomes(
    candidates: Sequence[Candidate], tasks: Mapping[int, Task], file: str | None
) -> dict[int, dict[str, Any] | ConfigurationError | ManifestError]:
    try:
        answers = dict(zip(tasks, _answers(list(tasks.values())), strict=True))
    except ConfigurationError as error:
        return dict.fromkeys(tasks, error)
    outcomes: dict[int, dict[str, Any] | ConfigurationError | ManifestError] = {}
    for index, answer in answers.items():
        candidate = candidates[index]
        assert candidate.manifest is not None
        manifest_file = None if candidate.manifest_file is None else shown(candidate.manifest_file)
        try:
            outcomes[index] = _result(candidate.manifest, answer, file, manifest_file)
        except (ConfigurationError, ManifestError) as error:
            outcomes[index] = error
    return outcomes


def _with(candidate: Candidate, outcome: dict[str, Any] | ConfigurationError | ManifestError) -> Candidate:
    if isinstance(outcome, Exception):
        return replace(candidate, manifest=None, error=outcome)
    return replace(candidate, settings=outcome)


def _answers(tasks: Sequence[Task]) -> list[Answer]:
    """At once where all is plain; by one process for all others."""
    from .schemacheck import plain  # most plugins have no schema

    quick = [plain.answer(task) for task in tasks]
    if None not in quick:
        return [answer for answer in quick if answer is not None]
    from .schemacheck.process import answers  # seldom needed

    others = iter(answers([task for task, answer in zip(tasks, quick, strict=True) if answer is None]))
    return [next(others) if answer is None else answer for answer in quick]


def _task(manifest: Manifest, given: Mapping[str, Any], file: str | None) -> Task:
    from .schemacheck.task import Task

    assert manifest.settings_schema is not None
    plain = _plain(given, ("plugins", manifest.id, "settings"), file)
    return Task(manifest.settings_schema, plain)


def _plain(value: Any, steps: Steps, file: str | None) -> Any:
    """`value` of the kinds that JSON has, to which schemas apply; raises ConfigurationError for others."""
    if len(steps) > _DEEPEST:
        raise _misfit(steps[:4], f"expected at most {_DEEPEST} levels, found more", file)
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise _misfit(steps, f"expected keys that are text, found {type_of(odd[0])}", file)
        return {str(key): _plain(one, (*steps, str(key)), file) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, (*steps, index), file) for index, one in enumerate(value)]
    if value is None or isinstance(value, str | int | float):
        return value
    raise _misfit(steps, f"expected a value of a kind that JSON has, found {type_of(value)}", file)


def _result(
    manifest: Manifest, answer: Answer, file: str | None, manifest_file: str | None
) -> dict[str, Any]:
    if answer.settings is None:
        raise _error(manifest, answer, file, manifest_file)
    return answer.settings


def _error(
    manifest: Manifest, answer: Answer, file: str | None, manifest_file: str | None
) -> ConfigurationError | ManifestError:
    if not answer.of_schema:
        return _misfit(("plugins", manifest.id, "settings", *answer.steps), answer.text, file)
    where = manifest_file or f"the manifest of plugin `{manifest.id}`"
    path = path_of(("settings_schema", *answer.steps))
    return ManifestError(f"{where}: {path}: {answer.text}", file=manifest_file, path=path)


def _misfit(steps: Steps, text: str, file: str | None) -> ConfigurationError:
    path = path_of(steps)
    return ConfigurationError(f"{file or _GIVEN}: {path}: {text}", file=file, path=path)
