"""plugin-host.toml: where it lies, what it may hold, and what it does to a plugin."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plugin_host import configuration
from plugin_host.candidate import Candidate
from plugin_host.configuration import (
    Configuration,
    HealthOverride,
    LimitsOverride,
    PluginConfiguration,
    RestartOverride,
    SandboxConfiguration,
    find,
    load,
    mode_of,
)
from plugin_host.errors import ConfigurationError, ManifestError
from plugin_host.manifest import Health, Launch, Limits, Manifest, Restart, SandboxNeeds
from plugin_host.override import apply
from plugin_host.trust import Sandbox, Trust

pytestmark = pytest.mark.edges

FULL = """
plugin_dirs = ["plugins", "/abs", "~/mine"]
entry_points = false
only = ["demo", "other"]
block = ["bad"]

[plugins.demo]
env = { A = "1" }
activation = "lazy"
permissions = ["host.echo"]
checksum = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
user = "nobody"
[plugins.demo.settings]
path = "/data"
deep = { list = [1, 2.5, true, "x"] }
[plugins.demo.restart]
policy = "never"
[plugins.demo.health]
misses = 1
[plugins.demo.limits]
memory_bytes = 1000

[control]
socket = "run/control.sock"
group = "staff"
mode = 0o660
share = "owner"
listen = "[::1]:7411"
psk_file = "psk"

[metadata]
name = "nightly"
deep = { list = [1, "x"] }

[commands]
dir = "run/commands"
mode = "0600"
group = "100"
debug = true
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "plugin-host.toml"


def written(file: Path, text: str | bytes) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def refusal(file: Path, text: str | bytes) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(written(file, text))
    assert caught.value.file == str(file)
    assert str(caught.value).startswith(f"{file}: ")
    return caught.value


def test_every_documented_key_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    found = load(written(file, FULL))
    base = file.parent
    assert found.plugin_dirs == (f"{base}/plugins", "/abs", "/home/me/mine")
    assert (found.entry_points, found.only, found.block) == (False, ("demo", "other"), ("bad",))
    demo = found.plugins["demo"]
    assert demo.settings == {"path": "/data", "deep": {"list": [1, 2.5, True, "x"]}}
    assert (demo.env, demo.activation, demo.user) == ({"A": "1"}, "lazy", "nobody")
    assert demo.permissions == ("host.echo",)
    assert demo.checksum == "sha256:" + "0" * 64
    assert demo.restart == RestartOverride(policy="never")
    assert demo.health == HealthOverride(misses=1)
    assert demo.limits == LimitsOverride(memory_bytes=1000)
    assert found.control.socket == f"{base}/run/control.sock"
    assert (found.control.group, found.control.mode, found.control.share) == ("staff", 0o660, "owner")
    assert (found.control.listen, found.control.psk_file) == ("[::1]:7411", f"{base}/psk")
    assert found.metadata == {"name": "nightly", "deep": {"list": [1, "x"]}}
    assert "nightly" not in repr(found)
    assert found.commands.dir == f"{base}/run/commands"
    assert (found.commands.mode, found.commands.group, found.commands.debug) == ("0600", "100", True)


def test_an_empty_file_is_the_default(file: Path) -> None:
    assert load(written(file, "")) == Configuration()


def test_relative_paths_do_not_depend_on_the_current_folder(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(file, 'plugin_dirs = ["p"]')
    monkeypatch.chdir(file.parent)
    assert load(file.name).plugin_dirs == (f"{file.parent}/p",)


@pytest.mark.parametrize(("mode", "bits"), [(0o640, 0o640), ("640", 0o640), ("0600", 0o600)])
def test_a_mode_is_a_number_or_its_octal_digits(mode: int | str, bits: int) -> None:
    assert mode_of(mode) == bits


def test_an_override_has_the_fields_of_what_it_overrides() -> None:
    pairs = [(RestartOverride, Restart), (HealthOverride, Health), (LimitsOverride, Limits)]
    for override, part in pairs:
        assert override.__struct_fields__ == part.__struct_fields__


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("plugin_dir = []", "$.plugin_dir", "unknown key (did you mean `plugin_dirs`?)"),
        ('plugin_dirs = "p"', "$.plugin_dirs", 'expected a list, found "p"'),
        ('plugin_dirs = [""]', "$.plugin_dirs[0]", 'expected a path without NUL characters, found ""'),
        ('plugin_dirs = ["a\\u0000"]', "$.plugin_dirs[0]", "without NUL"),
        ('plugin_dirs = ["~nobody-of-this-name/x"]', "$.plugin_dirs[0]", "home folder of a user"),
        ('entry_points = "no"', "$.entry_points", "expected true or false"),
        ("only = []", "$.only", "expected a list of ids, not empty, found an empty list"),
        ('only = ["A"]', "$.only[0]", "expected an id"),
        ("[plugins.Demo]", "$.plugins", "wrong key: expected an id: a small letter, then at most"),
        ("only = 0x1" + "0" * 9000, "$.only", "found a whole number of very many digits"),
        ("[metrics]\nport = 0x1" + "0" * 9000, "$.metrics.port", "of very many digits"),
        ('[control]\nlisten = "::1:7411"', "$.control.listen", "expected HOST:PORT, with an IPv6 address"),
        ('[control]\nlisten = "host"', "$.control.listen", "expected HOST:PORT"),
        ("[control]\nlisten = 7411", "$.control.listen", "expected HOST:PORT"),
        ("[metadata]\nday = 2026-01-01", "$.metadata.day", "found a date or time; quote it"),
        ("metadata = 3", "$.metadata", "expected a map, found 3"),
        ("plugins = 3", "$.plugins", "expected a map, found 3"),
        ("[plugins]\ndemo = 3", "$.plugins.demo", "expected a map, found 3"),
        ("[plugins.demo]\nsettings = 3", "$.plugins.demo.settings", "found a whole number"),
        (
            "[plugins.demo]\n[plugins.other]\nsetings = {}",
            "$.plugins.other.setings",
            "did you mean `settings`?",
        ),
        (
            "[plugins.demo.settings]\nwhen = { a = [2024-01-01] }",
            "$.plugins.demo.settings.when.a[0]",
            "found a date or time; quote it",
        ),
        (
            "[plugins.demo.settings]\nn = 99999999999999999999999",
            "$.plugins.demo.settings.n",
            "at most 64 bits",
        ),
        ("[plugins.demo.env]\nA = 1", "$.plugins.demo.env.A", "expected text"),
        ('[plugins.demo.env]\n"A=B" = "1"', "$.plugins.demo.env", "a variable's name"),
        (
            "[plugins.one]\n[plugins.two.restart]\nwindow_s = -1",
            "$.plugins.two.restart.window_s",
            "seconds above 0, at most a year, found -1",
        ),
        ("[plugins.a.health]\ninterval_s = inf", "$.plugins.a.health.interval_s", "found inf"),
        ("[plugins.a.health]\ninterval_s = nan", "$.plugins.a.health.interval_s", "found nan"),
        ("[plugins.a]\nuser = 'a b'", "$.plugins.a.user", "a user's or group's name"),
        ("[plugins.a]\nchecksum = 'x'", "$.plugins.a.checksum", "sha256:"),
        ("[control]\nmode = 660", "$.control.mode", "a mode: 0o660"),
        ("[control]\nmode = '798'", "$.control.mode", "a mode: 0o660"),
        ("[control]\nshare = 'all'", "$.control.share", '"owner", "token", "user"'),
        ("[control]\ndir = 'x'", "$.control.dir", "unknown key"),
        ("[commands]\nsocket = 'x'", "$.commands.socket", "unknown key"),
    ],
)
def test_a_wrong_value_is_explained(file: Path, text: str, path: str, words: str) -> None:
    error = refusal(file, text)
    assert error.path == path
    assert words in str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = ", "expected TOML: Invalid value (at "),
        ("a = 1\na = 2", "expected TOML: Cannot overwrite a value"),
        (b"a = '\xff'", "found byte 0xff at line 1, column 6"),
        (b"\xef\xbb\xbfa = 1", "byte order mark"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "1" * 5000, "a number has more digits than Python reads"),
        ("#" * (1024 * 1024 + 1), "expected at most 1048576 bytes"),
    ],
)
def test_what_is_not_toml_is_explained(file: Path, text: str | bytes, words: str) -> None:
    assert words in str(refusal(file, text))


def test_a_file_that_is_named_and_missing_is_an_error(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="found nothing there"):
        load(file)
    file.mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="found a folder"):
        load(file)


def test_the_named_file_wins_over_the_environment_and_that_over_the_users(tmp_path: Path) -> None:
    users = tmp_path / "xdg" / "plugin-host" / "plugin-host.toml"
    users.parent.mkdir(parents=True)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "PLUGIN_HOST_CONFIG": "/by/environment"}
    assert find("/by/option", environ) == Path("/by/option")
    assert find(None, environ) == Path("/by/environment")
    environ["PLUGIN_HOST_CONFIG"] = ""
    assert find(None, environ) is None
    users.touch()
    assert find(None, environ) == users


def test_the_home_folder_is_used_without_xdg(tmp_path: Path) -> None:
    users = tmp_path / ".config" / "plugin-host" / "plugin-host.toml"
    users.parent.mkdir(parents=True)
    users.touch()
    assert find(None, {"HOME": str(tmp_path)}) == users
    assert find(None, {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "relative"}) == users


def test_the_current_folder_is_never_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / configuration.CONFIGURATION_NAME).touch()
    (tmp_path / "plugin-host").mkdir()
    (tmp_path / "plugin-host" / configuration.CONFIGURATION_NAME).touch()
    monkeypatch.chdir(tmp_path)
    assert find(None, {"HOME": "/nonexistent", "XDG_CONFIG_HOME": "."}) is None


def test_a_named_file_is_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("x.toml") == tmp_path / "x.toml"
    assert find(None, {"PLUGIN_HOST_CONFIG": "y.toml"}) == tmp_path / "y.toml"


def test_a_configuration_that_cannot_be_looked_at_is_not_taken_for_absent(tmp_path: Path) -> None:
    loop = tmp_path / "plugin-host"
    loop.symlink_to(loop)
    found = find(None, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert found == loop / configuration.CONFIGURATION_NAME
    with pytest.raises(ConfigurationError, match="Too many levels"):
        load(found)


def candidate(**changes: Any) -> Candidate:
    launch = Launch(entry_point="a:b", env={"A": "manifest", "B": "manifest"})
    asked = Manifest(id="demo", version="1", launch=launch, **changes)
    return Candidate(id="demo", source="folder /x", manifest=asked)


def configured(**changes: Any) -> Configuration:
    return Configuration(plugins={"demo": PluginConfiguration(**changes)})


def test_without_a_word_about_the_plugin_the_manifest_stands() -> None:
    given = candidate(permissions=("host.a", "host.b"), restart=Restart(policy="always"))
    found = apply(Configuration(), given)
    assert found.manifest == given.manifest
    assert found.granted == ("host.a", "host.b")
    assert found.env == {"A": "manifest", "B": "manifest"}
    assert (found.settings, found.pin, found.trust) == ({}, None, Trust())


def test_single_values_are_overridden_and_their_neighbours_stay() -> None:
    found = apply(
        configured(
            restart=RestartOverride(policy="never"),
            health=HealthOverride(misses=9, action="report"),
            limits=LimitsOverride(open_files=50),
            activation="lazy",
        ),
        candidate(restart=Restart(window_s=7), limits=Limits(processes=3)),
    ).manifest
    assert found is not None
    assert found.restart == Restart(policy="never", window_s=7)
    assert found.health == Health(misses=9, action="report")
    assert found.limits == Limits(processes=3, open_files=50)
    assert found.activation == "lazy"


@pytest.mark.parametrize(
    ("listed", "granted"),
    [
        (None, ("host.a", "host.b")),
        (("host.b", "host.c"), ("host.b",)),
        ((), ()),
    ],
)
def test_granted_is_what_is_asked_and_listed(
    listed: tuple[str, ...] | None, granted: tuple[str, ...]
) -> None:
    given = candidate(permissions=("host.a", "host.b"))
    assert apply(configured(permissions=listed), given).granted == granted


def test_settings_variables_pin_and_user_arrive() -> None:
    pin = "sha256:" + "1" * 64
    found = apply(
        configured(settings={"x": 1}, env={"B": "operator"}, checksum=pin, user="nobody"),
        candidate(),
    )
    assert found.settings == {"x": 1}
    assert found.env == {"A": "manifest", "B": "operator"}
    assert (found.pin, found.trust.user) == (pin, "nobody")


def test_applying_changes_nothing_it_was_given_and_twice_is_once() -> None:
    given = candidate()
    wish = configured(env={"B": "operator"}, settings={"x": 1})
    once = apply(wish, given)
    assert given == candidate()
    assert apply(wish, once) == once


def test_a_broken_plugin_stays_as_it_is() -> None:
    broken = Candidate(id="demo", source="folder /x", error=ManifestError("no"))
    assert apply(configured(user="nobody"), broken) is broken


def test_the_environment_is_the_processes_when_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(os.environ, "PLUGIN_HOST_CONFIG", "/named")
    assert find() == Path("/named")


# Trust.


def test_operators_word_on_trust_wins_over_the_manifests() -> None:
    launch = Launch(argv=("x",), umask="027", no_new_privs=True)
    asked = Manifest(id="demo", version="1", launch=launch)
    given = Candidate(id="demo", source="folder /x", manifest=asked)
    assert apply(Configuration(), given).trust == Trust(umask=0o027, no_new_privs=True)
    said = configured(umask=0, no_new_privs=False, user="a", group="b")
    assert apply(said, given).trust == Trust(user="a", group="b", umask=0)


def test_group_of_who_found_the_plugin_goes_with_its_user_only() -> None:
    given = replace(candidate(), trust=Trust(user="found", group="its"))
    assert apply(Configuration(), given).trust == Trust(user="found", group="its")
    assert apply(configured(user="said"), given).trust == Trust(user="said")


def test_sandbox_is_what_the_operator_grants_and_not_what_the_manifest_needs(tmp_path: Path) -> None:
    file = tmp_path / "plugin-host.toml"
    file.write_text('[plugins.demo.sandbox]\nwritable = ["data", "~/x", "/var/lib"]\nreadable = ["."]\n')
    given = candidate(sandbox=SandboxNeeds(writable=("/etc",), network=True))
    found = apply(configuration.load(file), given).trust.sandbox
    home = os.path.expanduser("~")
    writable = (f"{tmp_path}/data", f"{home}/x", "/var/lib")
    assert found == Sandbox(writable=writable, readable=(f"{tmp_path}/.",))
    assert apply(Configuration(), given).trust.sandbox is None
    assert apply(configured(sandbox=SandboxConfiguration(enabled=False)), given).trust.sandbox is None


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ('group = "x"', "$.plugins.a", "expected user beside group, found group alone"),
        ("umask = 512", "$.plugins.a.umask", "a umask"),
        ('umask = "9"', "$.plugins.a.umask", "a umask"),
        ('no_new_privs = "yes"', "$.plugins.a.no_new_privs", "true or false"),
        ("sandbox = true", "$.plugins.a.sandbox", "a map"),
        ("sandbox = {network = 1}", "$.plugins.a.sandbox.network", "true or false"),
        ("sandbox = {read = []}", "$.plugins.a.sandbox.read", "unknown key"),
    ],
)
def test_wrong_words_on_trust_are_explained(tmp_path: Path, text: str, path: str, words: str) -> None:
    file = tmp_path / "plugin-host.toml"
    file.write_text(f"[plugins.a]\n{text}\n")
    with pytest.raises(ConfigurationError) as caught:
        configuration.load(file)
    assert caught.value.path == path
    assert words in str(caught.value)
