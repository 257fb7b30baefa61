"""Whether sandboxes can be made here, and what is said when not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from plugin_host import bubblewrap

TRIAL = (
    "import os; from plugin_host import bubblewrap; print(*(bubblewrap.problem(os.environ) or ['fine']))"
)


def test_sandboxes_can_be_made_here() -> None:
    assert bubblewrap.problem(os.environ) is None


def test_missing_program_is_named_with_its_package(tmp_path: Path) -> None:
    found = bubblewrap.problem({"PATH": str(tmp_path)})
    assert found is not None
    assert found.why == "bubblewrap (`bwrap`) is not in PATH"
    assert "the package is called bubblewrap" in found.hint


def test_forbidden_namespaces_are_told_with_the_switch_that_forbids_them() -> None:
    # Without capabilities, for with them no user namespace is needed.
    script = 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all "$@"'
    made = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", sys.executable, "-c", TRIAL],
        capture_output=True,
        text=True,
        check=True,
        timeout=15,
    )
    assert "bubblewrap cannot make a sandbox for" in made.stdout
    assert "user namespaces are forbidden here (user.max_user_namespaces is 0)" in made.stdout


def test_root_needs_no_user_namespaces() -> None:
    script = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    made = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", sys.executable, "-c", TRIAL],
        capture_output=True,
        text=True,
        check=True,
        timeout=15,
    )
    assert made.stdout == "fine\n"


def fake(folder: Path, script: str) -> dict[str, str]:
    program = folder / "bwrap"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": str(folder)}


def test_what_bubblewrap_says_is_passed_on(tmp_path: Path) -> None:
    found = bubblewrap.problem(
        fake(tmp_path, "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1")
    )
    assert found is not None
    assert found.why.endswith(": setting up uid map: Permission denied")
    assert "the container's profile" in found.hint


def test_program_that_fails_in_silence_is_told_by_its_status(tmp_path: Path) -> None:
    found = bubblewrap.problem(fake(tmp_path, "exit 9"))
    assert found is not None
    assert found.why.endswith(": status 9")


def test_program_that_cannot_be_run_is_a_problem(tmp_path: Path) -> None:
    environ = fake(tmp_path, "")
    (tmp_path / "bwrap").write_text("#!/no/such/shell\n")
    found = bubblewrap.problem(environ)
    assert found is not None
    assert "could not be tried" in found.why
