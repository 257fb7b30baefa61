"""The shell plugin's own decisions: which program, where, with which variables; and its packaging."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgpack
import pytest

import plugin_host_sdk as sdk
import plugin_host_shell
from plugin_host_sdk.types.session import SessionOptions
from plugin_host_shell import account, local, setting

pytestmark = pytest.mark.edges

FOLDER = Path(__file__).resolve().parents[2] / "plugins" / "shell"

SetAccount = Callable[..., None]


class Session:
    """What a context asks of a runtime, for one that serves nobody."""

    plugin_id = "shell"

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = MappingProxyType(settings)
        self.capabilities: dict[str, Any] = {}

    def log(self, *arguments: object) -> None: ...
    def progress(self, *arguments: object) -> None: ...
    def call_host(self, *arguments: object) -> Any: ...
    def start_call(self, *arguments: object) -> Any: ...


def ran(settings: dict[str, Any] | None = None, **options: Any) -> sdk.exec.ExecSpec:
    context = sdk.Context(Session(settings or {}), "local")
    return local.run(context, SessionOptions(id="one", **options))


@pytest.fixture
def has_account(monkeypatch: pytest.MonkeyPatch) -> SetAccount:
    """Replace this user's passwd entry; without arguments there is none."""

    def replace(shell: str | None = None, home: str = "/", name: str = "ada") -> None:
        def getpwuid(uid: int) -> pwd.struct_passwd:
            if shell is None:
                raise KeyError(f"getpwuid(): uid not found: {uid}")
            return pwd.struct_passwd((name, "x", uid, 100, "", home, shell))

        monkeypatch.setattr(pwd, "getpwuid", getpwuid)

    return replace


# which shell


def test_the_shell_is_that_of_the_passwd_entry(has_account: SetAccount) -> None:
    has_account("/bin/bash")
    assert account.shell({"SHELL": "/bin/dash"}) == "/bin/bash"


@pytest.mark.parametrize("entry", [None, "", "/no/such/shell", "bash", "/etc/passwd"])
def test_without_a_usable_passwd_entry_the_environment_names_the_shell(
    entry: str | None, has_account: SetAccount
) -> None:
    has_account(entry)
    assert account.shell({"SHELL": "/bin/bash"}) == "/bin/bash"


@pytest.mark.parametrize("named", ["", "/no/such/shell", "bash"])
def test_without_any_of_both_the_shell_is_bin_sh(named: str, has_account: SetAccount) -> None:
    has_account(None)
    assert account.shell({"SHELL": named}) == "/bin/sh"
    assert account.shell({}) == "/bin/sh"


def test_a_shell_that_lets_nobody_in_is_the_users_all_the_same(has_account: SetAccount) -> None:
    has_account("/usr/sbin/nologin")
    assert account.shell({"SHELL": "/bin/bash"}) == "/usr/sbin/nologin"


def test_a_shell_is_told_that_it_is_a_login_shell_where_it_understands() -> None:
    assert account.login_command("/bin/bash") == ("/bin/bash", "-l")
    assert account.login_command("/opt/elvish") == ("/opt/elvish",)


@pytest.mark.parametrize("shell", ["bash", "dash", "sh"])
def test_a_login_shell_takes_what_it_is_told(shell: str, tmp_path: Path) -> None:
    (tmp_path / ".profile").write_text("echo from the profile\n")
    command = account.login_command(f"/bin/{shell}")
    done = subprocess.run(
        command, input=b"echo $0\n", env={"HOME": str(tmp_path)}, stdout=subprocess.PIPE, check=True
    )
    assert done.stdout.splitlines()[0] == b"from the profile"


# what runs


def test_a_session_without_a_command_is_the_login_shell_at_home(
    has_account: SetAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    has_account("/bin/bash", home=str(tmp_path))
    for name in ("HOME", "USER", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)
    spec = ran()
    assert (spec.argv, spec.cwd) == (("/bin/bash", "-l"), str(tmp_path))
    assert spec.env == {
        "SHELL": "/bin/bash",
        "HOME": str(tmp_path),
        "USER": "ada",
        "LOGNAME": "ada",
    }


def test_a_command_runs_as_it_is_and_finds_the_same_surroundings(has_account: SetAccount) -> None:
    has_account("/bin/bash")
    spec, shell = ran(command=("ls", "-l")), ran()
    assert spec.argv == ("ls", "-l")
    assert (spec.cwd, spec.env) == (shell.cwd, shell.env)


def test_what_the_environment_says_of_the_user_is_left(
    has_account: SetAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    has_account("/bin/bash", home="/")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USER", "grace")
    monkeypatch.setenv("LOGNAME", "")
    spec = ran()
    assert spec.cwd == str(tmp_path)
    assert spec.env == {"SHELL": "/bin/bash", "LOGNAME": "ada"}


@pytest.mark.parametrize("home", ["/no/such/folder", "/etc/passwd", "relative", ""])
def test_a_home_that_cannot_be_entered_is_the_root(
    home: str, has_account: SetAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_account("/bin/bash", home=home)
    monkeypatch.delenv("HOME", raising=False)
    assert ran().cwd == "/"
    monkeypatch.setenv("HOME", home)
    assert ran().cwd == "/"


def test_a_user_without_passwd_entry_has_a_session_too(
    has_account: SetAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_account(None)
    for name in ("HOME", "SHELL", "USER", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)
    spec = ran()
    assert (spec.argv, spec.cwd) == (("/bin/sh", "-l"), "/")
    assert spec.env == {"SHELL": "/bin/sh", "HOME": "/"}


# settings


@pytest.mark.parametrize(
    ("shell", "argv"),
    [
        ("/bin/dash", ("/bin/dash", "-l")),
        ("/opt/elvish", ("/opt/elvish",)),
        (["/bin/dash"], ("/bin/dash",)),
        (["/bin/bash", "--norc", "-i"], ("/bin/bash", "--norc", "-i")),
    ],
)
def test_an_operator_may_name_another_shell(shell: object, argv: tuple[str, ...]) -> None:
    spec = ran({"shell": shell})
    assert spec.argv == argv
    assert spec.env["SHELL"] == argv[0]
    assert ran({"shell": shell}, command=("true",)).argv == ("true",)


def test_an_operator_may_name_where_sessions_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ran({"cwd": "/srv"}).cwd == "/srv"
    assert ran({"cwd": "~/work"}).cwd == str(tmp_path / "work")


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"shell": ""}, "shell"),
        ({"shell": []}, "shell"),
        ({"shell": [""]}, "shell"),
        ({"shell": 7}, "shell"),
        ({"shell": ["bash", 7]}, "shell"),
        ({"cwd": "relative"}, "cwd"),
        ({"cwd": "~nobody_of_this_name"}, "cwd"),
        ({"cwd": 7}, "cwd"),
        ({"sell": "/bin/sh"}, "sell"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(sdk.exec.ExecError) as caught:
        ran(settings)
    error = caught.value
    assert f"its setting {name} is {settings[name]!r}" in error.message
    assert name in error.suggestion
    assert not error.retryable


def test_the_manifest_describes_the_settings_there_are() -> None:
    schema = json.loads((FOLDER / "plugin_manifest.json").read_text())["settings_schema"]
    settings = setting.read({})
    assert schema["properties"].keys() == set(settings.__slots__)
    assert all(getattr(settings, name) is None for name in settings.__slots__)
    assert schema["additionalProperties"] is False


# packaging


def test_plugin_manifest_and_entry_point_agree() -> None:
    manifest = json.loads((FOLDER / "plugin_manifest.json").read_text())
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())
    declared = project["project"]["entry-points"]["plugin_host.plugins"]
    plugin = plugin_host_shell.plugin
    assert (manifest["id"], manifest["version"]) == (plugin.id, plugin.version)
    assert declared == {manifest["id"]: manifest["launch"]["entry_point"]}
    assert manifest["capabilities"] == list(plugin.capabilities)


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    program = """
import sys
import plugin_host_shell
heavy = ("msgspec", "ptyprocess", "typing", "subprocess", "logging", "selectors")
print([name for name in heavy if name in sys.modules])
"""
    modules: list[Any] = [plugin_host_shell, sdk, msgpack]
    folders = [str(Path(module.__file__).parents[1]) for module in modules]
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.pathsep.join(folders)},
        check=True,
    )
    assert done.stdout.strip() == "[]"
