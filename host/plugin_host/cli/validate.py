"""`plugin-host validate`: every fault of a manifest, a configuration, or a folder of plugins."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from . import output
from .option import Options, output_options

if TYPE_CHECKING:
    from pathlib import Path

    from .fault import Fault

__all__ = ["command"]

_HELP = """Check PATH and name every fault in it. Starts nothing.

PATH is a manifest, a configuration (a name that ends with .toml), a plugin's folder, or a folder of
such folders. The exit status is 1 when there are faults.

\b
Examples:
  plugin-host validate plugin_manifest.json
  plugin-host validate ./plugins
  plugin-host validate --json . | jq '.[].faults[]'
"""


@dataclass(frozen=True, slots=True)
class _Report:
    """One checked file, or a folder that could not be read as one of plugins."""

    file: str
    faults: list[Fault]


@click.command("validate", help=_HELP)
@click.argument("path", type=click.Path(exists=True))
@output_options
def command(options: Options, path: str) -> None:
    with options.reported():
        from pathlib import Path  # slow to import

        reports = _check(Path(path))
        if options.as_json:
            output.write_json([_as_map(report) for report in reports])
        else:
            output.write("".join(map(_as_text, reports)))
        if any(report.faults for report in reports):
            raise click.exceptions.Exit(1)


def _check(path: Path) -> list[_Report]:
    from .fault import configuration_faults, manifest_faults

    if path.is_dir():
        return _check_folder(path)
    faults = configuration_faults if path.suffix == ".toml" else manifest_faults
    return [_Report(str(path), faults(path))]


def _check_folder(folder: Path) -> list[_Report]:
    """A report for each plugin in the folder; two of one id are a fault of both."""
    from plugin_host import folder as source

    from .fault import Fault, manifest_faults

    reports: list[_Report] = []
    holders: defaultdict[str, list[_Report]] = defaultdict(list)
    for candidate in source.candidates(folder):
        if candidate.manifest_file is None:
            error = candidate.error
            assert error is not None
            message = str(error).removeprefix(f"{error.file}: ")
            reports.append(_Report(error.file or str(folder), [Fault(None, message)]))
            continue
        report = _Report(str(candidate.manifest_file), manifest_faults(candidate.manifest_file))
        reports.append(report)
        if candidate.error is None:
            holders[candidate.id].append(report)
    for plugin, of_that_id in holders.items():
        for report in of_that_id if len(of_that_id) > 1 else ():
            others = ", ".join(other.file for other in of_that_id if other is not report)
            report.faults.append(
                Fault("$.id", f"expected an id of its own, found `{plugin}` also in {others}")
            )
    return reports or [_Report(str(folder), [Fault(None, "expected plugins, found an empty folder")])]


def _as_text(report: _Report) -> str:
    if not report.faults:
        return f"{output.printable(report.file)}: ok\n"
    lines = (
        f"{report.file}: {f'{fault.path}: ' if fault.path else ''}{fault.message}"
        for fault in report.faults
    )
    return "".join(f"{output.printable(line, lines=True)}\n" for line in lines)


def _as_map(report: _Report) -> dict[str, Any]:
    faults = [{"path": fault.path, "message": fault.message} for fault in report.faults]
    return {"file": report.file, "ok": not report.faults, "faults": faults}
