"""`plugin-host list`: everything that is found, the broken with the reason, and nothing started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import convert

from plugin_host.limit import plan
from plugin_host.machine import survey
from plugin_host.manifest import Limits
from tests.host.cli_plugin import plugins
from tests.host.cli_run import Cli, cli, install
from tests.source import ROOT
from tests.stage import write_plugin

pytestmark = pytest.mark.edges

__all__ = ["cli", "plugins"]


def test_real_plugins_are_listed(cli: Cli) -> None:
    ended = cli("list", "--plugin-dir", ROOT / "plugins")
    assert (ended.status, ended.err) == (0, "")
    title, *rows = ended.out.splitlines()
    assert title.split() == ["PLUGIN", "VERSION", "STATUS", "PERMISSIONS", "SOURCE"]
    assert [row.split()[:3] for row in rows] == [
        [name, "0.1.0", "ok"] for name in ("automation", "neovim", "runner", "shell", "system")
    ]


def test_broken_plugins_are_listed_with_the_reason(cli: Cli, plugins: Path) -> None:
    for name, text in {
        "half": "{",
        "wrong": '{"id": "wrong", "version": "1", "launch": {"argv": []}}',
    }.items():
        (plugins / name).mkdir()
        (plugins / name / "plugin_manifest.json").write_text(text)
    write_plugin(plugins / "more", "odd")
    ended = cli("list", "--plugin-dir", plugins, "--plugin-dir", plugins / "more")
    assert (ended.status, ended.err) == (0, "")
    assert f"half is broken: {plugins}/half/plugin_manifest.json: expected JSON" in ended.out
    assert f"wrong is broken: {plugins}/wrong/plugin_manifest.json: $.launch.argv: expected" in ended.out
    assert "odd is broken: expected one plugin of the id `odd`, found 2: " in ended.out


def test_settings_that_do_not_fit_are_listed_with_the_reason(cli: Cli, plugins: Path) -> None:
    schema = {"properties": {"port": {"type": "integer"}}}
    write_plugin(plugins, "strict", settings_schema=schema)
    cli.config.write_text("entry_points = false\n[plugins.strict.settings]\nport = 'secret'\n")
    ended = cli("list", "--plugin-dir", plugins)
    place = "$.plugins.strict.settings.port"
    assert f"strict is broken: {cli.config}: {place}: expected a whole number, found text" in ended.out
    assert "secret" not in ended.out + ended.err
    refused = cli("call", "strict", "anything", "--plugin-dir", plugins)
    assert refused.status == 2
    assert refused.err == f"plugin-host: {cli.config}: {place}: expected a whole number, found text\n"


def test_json_is_a_list_of_plugins(cli: Cli, plugins: Path) -> None:
    cli.config.write_text("entry_points = false\n[plugins.odd]\npermissions = []\n")
    (plugins / "half").mkdir()
    (plugins / "half" / "plugin_manifest.json").write_text("{")
    half, odd, raw = cli("list", "--json", "--plugin-dir", plugins, "--no-plugin", "raw").json
    assert (half["id"], half["status"], half["version"]) == ("half", "broken", None)
    assert half["reason"].startswith(half["manifest"])
    assert (odd["id"], odd["status"], odd["reason"]) == ("odd", "ok", None)
    assert odd["permissions"] == {"asked": ["host.echo"], "granted": []}
    assert odd["source"] == f"folder {plugins}/odd"
    assert (raw["status"], raw["reason"], raw["protocol"]) == ("skipped", "blocked", "msgpack-rpc")


def test_withheld_permissions_are_seen(cli: Cli, plugins: Path) -> None:
    assert " host.echo " in cli("list", "--plugin-dir", plugins).out
    cli.config.write_text("entry_points = false\n[plugins.odd]\npermissions = []\n")
    assert "(host.echo withheld)" in cli("list", "--plugin-dir", plugins).out


def test_configuration_adds_plugins(cli: Cli, plugins: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(f"entry_points = false\nplugin_dirs = [{json.dumps(str(plugins))}]\nblock = ['raw']\n")
    found = {one["id"]: one["status"] for one in cli("list", "--json", "--config", other).json}
    assert found == {"odd": "ok", "raw": "skipped"}
    assert cli("list", "--json").json == []


def test_configuration_that_is_named_by_nothing_is_not_the_one_by_default(cli: Cli) -> None:
    ended = cli("list", "--config", "")
    assert (ended.status, ended.out) == (2, "")
    assert "expected a file, found nothing" in ended.err


def test_no_plugins_is_no_failure(cli: Cli) -> None:
    ended = cli("list")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("No plugins found")


def test_only_of_an_unknown_plugin_is(cli: Cli, plugins: Path) -> None:
    ended = cli("list", "--plugin-dir", plugins, "--only", "odd,rawr")
    assert ended.status == 3
    assert "no plugin `rawr` was found (did you mean `raw`?)\n  found: odd, raw" in ended.err


def test_nothing_is_started_and_no_code_imported(cli: Cli, plugins: Path, tmp_path: Path) -> None:
    mark = tmp_path / "imported"
    site = tmp_path / "site"
    code = f"open({str(mark)!r}, 'w')"
    install(site, "pack", "[plugin_host.plugins]\npack = pack_module:plugin\n", {"pack_module": code})
    write_plugin(plugins, "loud", head=code)
    cli.config.write_text("")
    found = cli("list", "--json", "--plugin-dir", plugins, env={"PYTHONPATH": str(site)}).json
    assert {"pack", "loud"} <= {one["id"] for one in found if one["status"] == "ok"}
    assert not mark.exists()


def test_extension_that_cannot_be_loaded_is_named(cli: Cli, plugins: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "ext", "[plugin_host]\next = ext_module\n", {"ext_module": "raise ValueError('no luck')"})
    words = ("list", "--plugin-dir", plugins)
    ended = cli(*words, env={"PYTHONPATH": str(site)})
    assert ended.status == 0
    assert "odd" in ended.out
    assert ended.err == "plugin-host: extension ext: could not be loaded: ValueError: no luck\n"
    assert cli(*words, "--no-plugin", "ext", env={"PYTHONPATH": str(site)}).err == ""


def test_columns_have_no_colours_and_no_trailing_blanks(cli: Cli, plugins: Path) -> None:
    ended = cli("list", "--plugin-dir", plugins, env={"FORCE_COLOR": "1", "TERM": "xterm-256color"})
    assert "\x1b" not in ended.out
    assert [line for line in ended.out.splitlines() if line != line.rstrip()] == []


@pytest.mark.parametrize("name", ["bell\x07", "tab\there", "col\x1b[31mour"])
def test_names_of_folders_cannot_drive_the_terminal(cli: Cli, tmp_path: Path, name: str) -> None:
    (tmp_path / "odd" / name).mkdir(parents=True)
    (tmp_path / "odd" / name / "plugin_manifest.json").write_text("{")
    ended = cli("list", "--plugin-dir", tmp_path / "odd")
    assert [char for char in ended.out if not char.isprintable() and char != "\n"] == []


def test_limits_are_listed_as_this_machine_holds_them(cli: Cli, plugins: Path) -> None:
    limits = {"memory_bytes": 2**28, "cpu_s": 1.5, "open_files": 10**12, "processes": 9}
    write_plugin(plugins, "bounded", limits=limits)
    expected = plan(convert(limits, Limits), survey())
    bounded, odd, _ = cli("list", "--json", "--plugin-dir", plugins).json
    assert odd["limits"] == {}
    assert bounded["limits"] == {
        one.limit: {"value": one.value, "how": one.how, "reason": one.reason or None} for one in expected
    }
    assert "the host itself may have no more than" in bounded["limits"]["open_files"]["reason"]
    told = cli("list", "--plugin-dir", plugins).out
    lines = {f"bounded: {one.describe()}" for one in expected if one.reason or not one.is_held}
    assert lines == {line for line in told.splitlines() if line.startswith("bounded: ")}
    assert len(lines) >= 1
