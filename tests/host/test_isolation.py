"""From an operator's words to what a launch does about them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from plugin_host import isolation
from plugin_host.account import Account
from plugin_host.bytecode import BytecodeFolders
from plugin_host.candidate import Candidate
from plugin_host.errors import LaunchError
from plugin_host.isolation import Isolation, isolate
from plugin_host.launchspec import isolate as isolate_launch
from plugin_host.launchspec import process_spec, restraints
from plugin_host.manifest import Launch, Manifest, SandboxNeeds
from plugin_host.trust import Sandbox, Trust

OUTER = {"PATH": os.environ["PATH"], "TMPDIR": "/host/tmp", "XDG_RUNTIME_DIR": "/run/user/0", "HOME": "/h"}


def candidate(root: Path, launch: dict[str, Any] | None = None, **trust: Any) -> Candidate:
    needs = SandboxNeeds(writable=("data", "/var/lib/demo"), network=True)
    start = Launch(**(launch or {"argv": ("sh",)}))
    manifest = Manifest(id="demo", version="1", launch=start, sandbox=needs)
    return Candidate(id="demo", source="test", manifest=manifest, root=root, trust=Trust(**trust))


def isolated(one: Candidate, *argv: str, cwd: str | None = None) -> Isolation:
    return isolate(one, argv or ("sh",), cwd, OUTER, BytecodeFolders())


def bound(made: Isolation, option: str) -> list[str]:
    words = made.wrapper
    return [words[n + 2] for n, word in enumerate(words) if word == option]


def test_plugin_of_whom_nothing_is_asked_is_left_as_it_is(tmp_path: Path) -> None:
    one = candidate(tmp_path)
    assert one.manifest is not None
    made = asyncio.run(isolate_launch(one, one.manifest, OUTER, BytecodeFolders()))
    assert made == Isolation()
    spec = process_spec(one, one.manifest, "r/demo/1", OUTER, isolation=made)
    assert (spec.wrapper, spec.account, spec.umask, spec.cwd, spec.sandboxed) == (
        (),
        None,
        None,
        None,
        False,
    )
    assert spec.env["TMPDIR"] == "/host/tmp"


def test_sandboxed_plugin_starts_at_the_top_without_folders_that_are_hidden(tmp_path: Path) -> None:
    one = candidate(tmp_path, sandbox=Sandbox())
    assert one.manifest is not None
    spec = process_spec(one, one.manifest, "r/demo/1", OUTER, isolation=isolated(one))
    assert spec.sandboxed
    assert spec.cwd == "/"
    assert [*spec.wrapper, *spec.argv][-1] == "sh"
    assert not {"TMPDIR", "XDG_RUNTIME_DIR"} & set(spec.env)
    assert spec.env["HOME"] == "/h"


def test_plugins_own_folder_is_shown_where_it_is_hidden(tmp_path: Path) -> None:
    made = isolated(candidate(tmp_path, sandbox=Sandbox()))
    assert str(tmp_path) in bound(made, "--ro-bind")  # it lies in /tmp


def test_link_that_leads_to_the_plugin_is_shown_too(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    made = isolated(candidate(tmp_path / "link", sandbox=Sandbox()))
    assert {str(tmp_path / "link"), str(tmp_path / "real")} <= set(bound(made, "--ro-bind"))


def test_plugins_own_folder_stays_read_only_in_one_that_is_writable(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    made = isolated(candidate(tmp_path / "demo", sandbox=Sandbox(writable=(str(tmp_path),))))
    words = list(made.wrapper)
    assert bound(made, "--bind") == [str(tmp_path)]
    assert words.index("--bind") < len(words) - 1 - words[::-1].index(str(tmp_path / "demo"))
    assert str(tmp_path / "demo") in bound(made, "--ro-bind")


def test_interpreter_and_sdk_are_shown_where_folders_are_named() -> None:
    launch = {"entry_point": "demo:plugin"}
    made = isolated(
        candidate(Path("/usr/share"), launch, sandbox=Sandbox(readable=("/srv",))), sys.executable
    )
    import plugin_host_sdk

    shown = bound(made, "--ro-bind")
    package = os.path.dirname(os.path.realpath(plugin_host_sdk.__file__))
    for path in (package, os.path.realpath(os.__file__), os.path.dirname(sys.executable)):
        assert any(f"{path}/".startswith(f"{folder}/") for folder in shown), path


@pytest.mark.parametrize("name", ["writable", "readable"])
def test_path_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    sandbox = Sandbox(**{name: (str(tmp_path / "none"),)})  # type: ignore[arg-type]
    with pytest.raises(LaunchError, match=f"`{name}` of its sandbox names .*none, which does not exist"):
        isolated(candidate(tmp_path, sandbox=sandbox))


def test_sandbox_that_cannot_be_made_is_never_left_out(tmp_path: Path) -> None:
    one = candidate(tmp_path, sandbox=Sandbox())
    with pytest.raises(
        LaunchError, match=r"in a sandbox, and bubblewrap \(`bwrap`\) is not in PATH"
    ) as caught:
        isolate(one, ["sh"], None, {"PATH": str(tmp_path)}, BytecodeFolders())
    assert caught.value.plugin == "demo"
    assert caught.value.hint is not None


def test_needs_that_are_not_granted_are_told(tmp_path: Path) -> None:
    made = isolated(candidate(tmp_path, sandbox=Sandbox()))
    assert made.unmet == ("the network", f"writing to {tmp_path}/data", "writing to /var/lib/demo")
    granted = Sandbox(writable=(str(tmp_path), "/var/lib"), network=True)
    assert isolated(candidate(tmp_path, sandbox=granted)).unmet == ()


def test_another_user_has_their_own_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Account("other", 3999999, 3999998, (3999998,), "/home/other", "/bin/zsh")
    monkeypatch.setattr(isolation, "account_of", lambda *_: other)
    monkeypatch.setattr(isolation, "obstacle", lambda *_: None)
    one = candidate(tmp_path, user="other", umask=0o077)
    assert one.manifest is not None
    made = isolated(one)
    spec = process_spec(one, one.manifest, "r/demo/1", OUTER, isolation=made)
    assert (spec.account, spec.umask, spec.cwd) == (other, 0o077, "/")
    named = {name: spec.env[name] for name in ("HOME", "USER", "LOGNAME", "SHELL")}
    assert named == {"HOME": "/home/other", "USER": "other", "LOGNAME": "other", "SHELL": "/bin/zsh"}
    assert not {"TMPDIR", "XDG_RUNTIME_DIR"} & set(spec.env)


def test_program_is_looked_for_where_the_user_may_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("closed", "open"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tool").write_text("")
    monkeypatch.setattr(isolation, "obstacle", lambda path, bits, account: "closed" in path or None)
    search = os.pathsep.join(str(tmp_path / folder) for folder in ("none", "closed", "open"))
    assert isolation._located("tool", None, search, None) == str(tmp_path / "open" / "tool")
    assert isolation._located("none", None, search, None) is None
    assert isolation._located("./tool", str(tmp_path / "open"), "", None) == str(tmp_path / "open" / "tool")


def test_new_privileges_are_given_up_at_the_start_or_by_the_sandbox(tmp_path: Path) -> None:
    plain = candidate(tmp_path)
    asked = candidate(tmp_path, no_new_privs=True)
    boxed = candidate(tmp_path, no_new_privs=True, sandbox=Sandbox())
    assert [restraints(one) for one in (plain, asked, boxed)] == [(), ("--no-new-privs",), ()]
