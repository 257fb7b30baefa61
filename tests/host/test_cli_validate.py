"""`plugin-host validate` and `schema`: every fault with its place, and what a manifest may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plugin_host.checksum import checksum
from tests.host.cli_run import Cli, cli
from tests.source import ROOT

pytestmark = pytest.mark.edges

__all__ = ["cli"]

SOUND: dict[str, Any] = {"id": "a", "version": "1", "launch": {"argv": ["a"]}}


def manifest(folder: Path, **keys: Any) -> Path:
    """A sound manifest in `folder`, but for `keys`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "plugin_manifest.json"
    file.write_text(json.dumps({**SOUND, **keys}))
    return file


def faults(cli: Cli, path: Path) -> list[str | None]:
    """The places of all faults."""
    ended = cli("validate", "--json", path)
    places = [fault["path"] for report in ended.json for fault in report["faults"]]
    assert ended.status == (1 if places else 0)
    assert ended.err == ""
    return places


def test_real_plugins_have_no_faults(cli: Cli) -> None:
    ended = cli("validate", ROOT / "plugins")
    assert (ended.status, ended.err) == (0, "")
    count = len(list(ROOT.glob("plugins/*/plugin_manifest.json")))
    assert [line.rpartition(": ")[2] for line in ended.out.splitlines()] == ["ok"] * count


def test_every_fault_of_a_manifest_is_named_with_its_place(cli: Cli, tmp_path: Path) -> None:
    launch = {"argv": ["a", 3, "b", 4], "foo": 1, "env": {"OK": 3}, "start_timeout_s": -1}
    file = manifest(
        tmp_path,
        id="Bad Id",
        launch=launch,
        permissions=["host.x", "!!", "host.y", 7, "host.z", 8],
        restart={"policy": "maybe", "max_failures": 0},
        nmae="x",
    )
    assert faults(cli, file) == [
        "$.id",
        "$.launch.argv[1]",
        "$.launch.argv[3]",
        "$.launch.foo",
        "$.launch.env.OK",
        "$.launch.start_timeout_s",
        "$.permissions[1]",
        "$.permissions[3]",
        "$.permissions[5]",
        "$.restart.policy",
        "$.restart.max_failures",
        "$.nmae",
    ]


def test_text_names_file_place_expectation_and_what_was_found(cli: Cli, tmp_path: Path) -> None:
    file = manifest(tmp_path, nmae="x", authors="me")
    ended = cli("validate", file)
    assert (ended.status, ended.err) == (1, "")
    first, second = ended.out.splitlines()
    assert first.startswith(f"{file}: $.nmae: unknown key (did you mean `name`?): expected one of ")
    assert second == f'{file}: $.authors: expected a list, found "me"'


def test_what_is_missing_is_named_and_the_rest_read_on(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "plugin_manifest.json"
    file.write_text('{"name": 5}')
    assert faults(cli, file) == ["$.name", "$.id", "$.version", "$.launch"]


def test_mending_a_part_makes_no_new_faults(cli: Cli, tmp_path: Path) -> None:
    assert faults(cli, manifest(tmp_path, launch={"argv": []})) == ["$.launch.argv"]
    assert faults(cli, manifest(tmp_path, launch={"entry_point": "x"})) == ["$.launch.entry_point"]
    assert faults(cli, manifest(tmp_path, launch=None, protocol="msgpack-rpc")) == ["$.launch"]


def test_rules_between_keys_are_named_too(cli: Cli, tmp_path: Path) -> None:
    both = {"argv": ["a"], "entry_point": "a:b", "warm": 1}
    assert faults(cli, manifest(tmp_path, launch=both)) == ["$.launch.warm", "$.launch"]
    served = {"entry_point": "a:b"}
    assert faults(cli, manifest(tmp_path, launch=served, protocol="msgpack-rpc", name=1)) == ["$.name", "$"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\ufeff{}", '{"manifest_version": 9}', "[" * 9999])
def test_document_that_is_no_manifest_has_one_fault(cli: Cli, tmp_path: Path, text: str) -> None:
    file = tmp_path / "plugin_manifest.json"
    file.write_text(text)
    assert len(faults(cli, file)) == 1


def test_every_fault_of_a_settings_schema_is_named(cli: Cli, tmp_path: Path) -> None:
    properties = {"a": {"type": "strnig"}, "b": {"$ref": "http://127.0.0.1:9/x"}, "c": {"type": "string"}}
    schema = {"type": "object", "properties": properties}
    file = manifest(tmp_path, id="Bad Id", settings_schema=schema)
    within = "$.settings_schema.properties"
    assert faults(cli, file) == ["$.id", f"{within}.a.type", f"{within}.b.$ref"]
    assert 'a.type: expected one of "array", "boolean",' in cli("validate", file).out


def test_checksum_is_verified(cli: Cli, tmp_path: Path) -> None:
    manifest(tmp_path)
    (tmp_path / "code.py").write_text("1")
    file = manifest(tmp_path, checksum=checksum(tmp_path))
    assert faults(cli, file) == []
    (tmp_path / "code.py").write_text("2")
    ended = cli("validate", file)
    assert ended.status == 1
    assert "checksum" in ended.out


def test_folder_is_checked_plugin_by_plugin(cli: Cli, tmp_path: Path) -> None:
    for name in ("one", "two"):
        manifest(tmp_path / name, id="same")
    manifest(tmp_path / "three", id=3)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    reports = {Path(report["file"]): report for report in cli("validate", "--json", tmp_path).json}
    one, two = (reports[tmp_path / name / "plugin_manifest.json"] for name in ("one", "two"))
    assert [fault["path"] for fault in (*one["faults"], *two["faults"])] == ["$.id", "$.id"]
    assert "two/plugin_manifest.json" in one["faults"][0]["message"]
    assert len(reports[tmp_path / "three" / "plugin_manifest.json"]["faults"]) == 1
    assert "link to" in reports[tmp_path / "gone"]["faults"][0]["message"]


def test_folder_without_plugins_is_a_fault(cli: Cli, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert faults(cli, empty) == [None]
    (empty / "readme").touch()
    assert "expected a plugin_manifest.json here or in a subfolder" in cli("validate", empty).out


def test_every_fault_of_a_configuration_is_named(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "plugin-host.toml"
    file.write_text("""
        plugin_dirz = []
        only = []
        [plugins.Bad]
        [plugins.ok]
        settings = {since = 1979-05-27}
        restart = {policy = "x"}
        [control]
        mode = "999"
    """)
    assert faults(cli, file) == [
        "$.plugin_dirz",
        "$.only",
        "$.plugins",
        "$.plugins.ok.restart.policy",
        "$.control.mode",
        "$.plugins.ok.settings.since",
    ]
    file.write_text("only = [")
    assert faults(cli, file) == [None]
    file.write_text("only = ['a']")
    assert faults(cli, file) == []


def test_settings_of_a_configuration_are_held_against_the_schemas(cli: Cli, tmp_path: Path) -> None:
    for id in ("a", "b", "c"):
        schema = {"properties": {"port": {"type": "integer"}}}
        manifest(tmp_path / "plugins" / id, id=id, settings_schema=schema if id != "c" else None)
    file = tmp_path / "p.toml"
    lines = ['plugin_dirs = ["plugins"]', "entry_points = false", 'block = ["a"]']
    lines += [f"[plugins.{id}.settings]\nport = 'secret'" for id in ("a", "b", "c", "gone")]
    file.write_text("\n".join(lines))
    ended = cli("validate", file)
    assert (ended.status, ended.err) == (1, "")
    assert ended.out.splitlines() == [
        f"{file}: $.plugins.{id}.settings.port: expected a whole number, found text" for id in ("a", "b")
    ]
    file.write_text(file.read_text().replace("'secret'", "80"))
    assert faults(cli, file) == []


def test_path_that_does_not_exist_is_wrong_usage(cli: Cli, tmp_path: Path) -> None:
    assert cli("validate", tmp_path / "nope").status == 2
    assert cli("validate").status == 2


def test_schema_is_the_one_in_the_repository(cli: Cli) -> None:
    ended = cli("schema")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == (ROOT / "plugin_manifest.schema.json").read_text()
    assert cli("schema", "--json").out == ended.out
