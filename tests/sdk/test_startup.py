"""What a plugin has imported before it is ready: msgpack and a few small modules, each for a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run import Run
from tests.stage import stage, write_plugin

REASONS = {
    "__future__": "annotations that are not evaluated",
    "msgpack": "the wire",
    "threading": "the reader and the workers",
    "faulthandler": "the line at which C crashed, and the stacks of a plugin that hangs",
    "fcntl": "moving the wire to descriptors that no child inherits",
    "gc": "no collections while modules are imported",
}
"""Everything the SDK imports before ready that an interpreter has not by itself."""

HEAVY = [
    "asyncio",
    "concurrent.futures",
    "dataclasses",
    "difflib",
    "enum",
    "inspect",
    "json",
    "logging",
    "msgspec",
    "multiprocessing",
    "pathlib",
    "queue",
    "random",
    "re",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "traceback",
    "typing",
]
"""Each costs milliseconds, or more than all that is needed together."""

CODE = """
    import sys

    @plugin.command("modules")
    def modules(ctx):
        return list(sys.modules)

    @plugin.command("typed")
    def typed(ctx, count: int):
        return list(sys.modules)

    @plugin.command("later")
    async def later(ctx):
        return list(sys.modules)

    @plugin.command("fail")
    def fail(ctx):
        raise LookupError
"""


def modules_of(*imports: str) -> set[str]:
    """What a bare interpreter has in `sys.modules` after these imports."""
    code = f"import sys{''.join(f', {name}' for name in imports)}; print(' '.join(sys.modules))"
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    # By an interpreter of its own: one that was forked has what its forkserver imported.
    return write_plugin(tmp_path, "light", CODE, launch={"warm": False})


def of_plugin(run: Run, folder: Path, *calls: tuple[str, object]) -> set[str]:
    """The modules in a plugin after these calls."""

    async def body() -> set[str]:
        async with stage("light", dirs=[folder]) as host:
            answer = None
            for command, params in calls:
                answer = await host.call("light", command, params)
            assert isinstance(answer, list)
            return set(answer)

    return run(body())


def test_nothing_but_the_sdk_and_what_it_has_reasons_for(run: Run, folder: Path) -> None:
    found = of_plugin(run, folder, ("modules", None)) - modules_of(*REASONS) - {"light_plugin"}
    others = {name for name in found if name.partition(".")[0] != "plugin_host_sdk"}
    assert others == set()


def test_every_reason_is_still_one(run: Run, folder: Path) -> None:
    found = of_plugin(run, folder, ("modules", None))
    assert [name for name in REASONS if name not in found] == []


def test_nothing_heavy_is_imported(run: Run, folder: Path) -> None:
    found = of_plugin(run, folder, ("modules", None)) - modules_of()
    assert [name for name in HEAVY if name in found] == []


def test_typed_handler_brings_msgspec_at_its_first_call(run: Run, folder: Path) -> None:
    found = of_plugin(run, folder, ("modules", None), ("typed", {"count": 1}))
    assert "msgspec" in found
    assert "asyncio" not in found


def test_async_handler_brings_asyncio_at_its_first_call(run: Run, folder: Path) -> None:
    found = of_plugin(run, folder, ("modules", None), ("later", None))
    assert "asyncio" in found
    assert "msgspec" not in found


def test_importing_the_sdk_brings_no_more_than_serving_does() -> None:
    brought = modules_of("plugin_host_sdk") - modules_of(*REASONS)
    assert {name for name in brought if name.partition(".")[0] != "plugin_host_sdk"} == set()


def test_author_can_see_what_a_start_costs(tmp_path: Path) -> None:
    """`python -X importtime -m plugin_host_sdk` ends by itself when there is no host, and says why."""
    write_plugin(tmp_path, "light")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "plugin_host_sdk", "light_plugin:plugin"],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 64
    assert "import time:" in done.stderr


def test_without_limits_nothing_of_them_is_imported(run: Run, folder: Path) -> None:
    found = of_plugin(run, folder, ("modules", None))
    assert [name for name in ("plugin_host_sdk.runtime.shim", "resource", "ctypes") if name in found] == []


OF_TASKS = {"capability", "option", "reader"}
"""What a plugin that takes tasks has of `plugin_host_sdk.metadata` once it is imported."""


def test_plugin_without_tasks_imports_nothing_of_them(run: Run, folder: Path) -> None:
    found = of_plugin(run, folder, ("modules", None))
    parts = {name.split(".")[1] for name in found if name.startswith("plugin_host_sdk.")}
    assert parts & {"metadata", "types", "exec"} == set()


def test_declaring_tasks_imports_nothing_heavy() -> None:
    code = (
        "import sys, plugin_host_sdk as sdk; plugin = sdk.Plugin('light', version='1');"
        "capability = sdk.metadata.register_plugin(plugin, sdk.metadata.PluginOpts(on_task=print));"
        "capability.describe(), capability.routes; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True, timeout=20
    )
    found = set(done.stdout.split()) - modules_of()
    assert [name for name in HEAVY if name in found] == []
    others = {name for name in found - modules_of(*REASONS) if not name.startswith("plugin_host_sdk")}
    assert others == set()
    prefix = "plugin_host_sdk.metadata."
    assert {name.removeprefix(prefix) for name in found if name.startswith(prefix)} == OF_TASKS
