"""A nightly job: take an inventory of a machine, pack it, fetch the archive, and print a report.

    python examples/nightly/nightly.py [FOLDER]

The plugin `automation` runs the script `inventory.sh`, whose output is shown as it comes. The plugin
`runner` has the task of packing what the script wrote; the archive is its artifact, and is saved in FOLDER,
by default the current one. Both plugins run in processes of their own, and are stopped at the end.

The status is 0 when everything went well, and 1 otherwise. It takes one line of a crontab:

    15 3 * * *  cd /srv/inventory && python /opt/plugin-host/examples/nightly/nightly.py
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from plugin_host import PluginHost, PluginHostError, action

HERE = Path(__file__).resolve().parent
PLUGINS = HERE.parents[1] / "plugins"
ARCHIVE = "inventory.tar.gz"
LONGEST_S = 300.0


@dataclass(frozen=True)
class Step:
    """One line of the report."""

    name: str
    went_well: bool
    seconds: float
    remark: str


async def take_inventory(host: PluginHost, folder: Path) -> Step:
    """Run the script in `folder`, showing what it says."""
    began = time.monotonic()
    script = action.RunScript(
        name="inventory",
        data=(HERE / "inventory.sh").read_bytes(),
        working_directory=str(folder),
        timeout=LONGEST_S,
    )
    run = await host.actions.trigger("automation", script)
    async for piece in run.output():
        for line in piece.data.decode(errors="replace").splitlines():
            print(f"  {piece.stream}: {line}")
    result = await run.result()
    remark = result.exec_error or result.reason
    return Step("inventory", result.success, time.monotonic() - began, remark)


async def pack(host: PluginHost, folder: Path, target: Path) -> Step:
    """Have the files packed, and save the archive as `target`."""
    began = time.monotonic()
    command = ["sh", "-c", f"tar -czf {ARCHIVE} *.txt && echo packed $(ls *.txt | wc -l) files"]
    task = await host.tasks.run("runner", command, cwd=folder, tty=False, timeout=LONGEST_S)
    async with task:
        async for piece in task.log():
            print(f"  log: {piece.decode(errors='replace').rstrip()}")
        result = await task.result()
        if not result.success:
            return Step("pack", False, time.monotonic() - began, result.reason)
        async with await task.get_artifact(str(folder / ARCHIVE)) as archive:
            await archive.save(target)
            remark = f"{archive.size} bytes, SHA-256 {archive.sha256[:16]}"
    return Step("pack", True, time.monotonic() - began, remark)


async def nightly(target: Path) -> list[Step]:
    """Everything, one step behind the other; a step that fails is the last."""
    plugin_dirs = [PLUGINS / "automation", PLUGINS / "runner"]
    steps = []
    with tempfile.TemporaryDirectory(prefix="nightly-") as folder:
        async with PluginHost(plugin_dirs=plugin_dirs, entry_points=False) as host:
            work: dict[str, Callable[[], Awaitable[Step]]] = {
                "inventory": lambda: take_inventory(host, Path(folder)),
                "pack": lambda: pack(host, Path(folder), target),
            }
            for name, step in work.items():
                try:
                    steps.append(await step())
                except (PluginHostError, OSError) as error:
                    steps.append(Step(name, False, 0.0, str(error)))
                if not steps[-1].went_well:
                    break
    return steps


def report(steps: list[Step]) -> str:
    """The report, a line for each step."""
    lines = [f"{'STEP':<10}  {'RESULT':<7}  {'TIME':>7}  REMARK"]
    for step in steps:
        result = "ok" if step.went_well else "failed"
        lines.append(f"{step.name:<10}  {result:<7}  {step.seconds:5.2f} s  {step.remark}".rstrip())
    return "\n".join(lines)


def main() -> int:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve() / ARCHIVE
    steps = asyncio.run(nightly(target))
    print(report(steps))
    return 0 if all(step.went_well for step in steps) else 1


if __name__ == "__main__":
    sys.exit(main())
