"""Plugins of installed distributions: found from metadata, without running a line of theirs."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_host import entry_point
from plugin_host.candidate import Candidate
from plugin_host.manifest import MANIFEST_NAME

Install = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, the only one there is."""
    folder = tmp_path / "site"
    folder.mkdir()
    rest = [path for path in sys.path if "site-packages" not in path]
    monkeypatch.setattr(sys, "path", [str(folder), *rest])
    return folder


def install(
    site: Path, name: str, points: str | bytes, *, version: str | None = "1.0", more: str = ""
) -> Path:
    """A distribution's metadata as pip would leave them; `points` of the plugins' group."""
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    if version is not None:
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}"
        (folder / "METADATA").write_text(about)
    data = points if isinstance(points, bytes) else points.encode()
    (folder / "entry_points.txt").write_bytes(b"[plugin_host.plugins]\n" + data)
    return folder


def package(site: Path, name: str, manifest: object = None) -> Path:
    """A package whose code, if it ever ran, would leave a file behind and fail."""
    folder = site.joinpath(*name.split("."))
    folder.mkdir(parents=True)
    proof = site / "proof"
    for part in (folder, *folder.parents):
        if part == site:
            break
        (part / "__init__.py").write_text(f"open({str(proof)!r}, 'w').close()\nraise SystemExit(1)")
    if manifest is not None:
        (folder / MANIFEST_NAME).write_text(json.dumps(manifest))
    return folder


def only_one() -> Candidate:
    (found,) = entry_point.candidates()
    return found


def refusal() -> str:
    error = only_one().error
    assert error is not None
    return str(error)


def test_name_version_and_value_stand_for_a_manifest(site: Path) -> None:
    install(site, "some-dist", "demo = demo_code.sub:plugin", more="Summary: It demonstrates.\n")
    package(site, "demo_code.sub")
    found = only_one()
    assert found.manifest is not None
    assert (found.id, found.source) == ("demo", "entry point of some-dist 1.0")
    assert (found.manifest.id, found.manifest.version) == ("demo", "1.0")
    assert found.manifest.launch.entry_point == "demo_code.sub:plugin"
    assert found.manifest.description == "It demonstrates."
    assert (found.root, found.manifest_file, found.sys_path) == (None, None, ())


@pytest.mark.parametrize("with_manifest", [False, True])
def test_no_code_of_the_plugin_runs(site: Path, with_manifest: bool) -> None:
    install(site, "dist", "demo = demo_code.sub.mod:plugin")
    content = {"id": "demo", "version": "2", "launch": {"entry_point": "demo_code.sub.mod:plugin"}}
    package(site, "demo_code.sub", content if with_manifest else None)
    found = only_one()
    assert found.error is None
    assert not (site / "proof").exists()
    assert not [name for name in sys.modules if name.startswith("demo_code")]


def test_a_manifest_in_the_package_is_what_counts(site: Path) -> None:
    install(site, "dist", "demo = demo_code:plugin")
    launch = {"entry_point": "demo_code:plugin", "venv": "v"}
    folder = package(site, "demo_code", {"id": "demo", "version": "7", "launch": launch})
    found = only_one()
    assert found.manifest is not None
    assert (found.manifest.version, found.manifest.launch.venv) == ("7", "v")
    assert (found.root, found.manifest_file) == (folder, folder / MANIFEST_NAME)
    assert found.sys_path == ()


def test_the_deepest_manifest_is_taken(site: Path) -> None:
    install(site, "dist", "demo = top.sub.mod:plugin\nother = top:plugin")
    package(site, "top.sub", {"id": "demo", "version": "1", "launch": {"argv": ["deep"]}})
    high = {"id": "other", "version": "1", "launch": {"argv": ["high"]}}
    (site / "top" / MANIFEST_NAME).write_text(json.dumps(high))
    launches = {one.id: one.manifest and one.manifest.launch.argv for one in entry_point.candidates()}
    assert launches == {"demo": ("deep",), "other": ("high",)}


def test_a_package_without_code_is_adopted_by_its_manifest(site: Path) -> None:
    install(site, "dist", "neo = neo_package")
    (site / "neo_package").mkdir()
    content = {"id": "neo", "version": "1", "launch": {"argv": ["nvim"]}, "protocol": "msgpack-rpc"}
    (site / "neo_package" / MANIFEST_NAME).write_text(json.dumps(content))
    found = only_one()
    assert found.manifest is not None
    assert found.manifest.launch.argv == ("nvim",)
    assert found.root == site / "neo_package"


def test_a_plain_module_never_takes_a_manifest_of_its_neighbours(site: Path) -> None:
    install(site, "dist", "demo = single:plugin")
    (site / "single.py").write_text("raise SystemExit(1)")
    (site / MANIFEST_NAME).write_text("{}")
    found = only_one()
    assert found.error is None
    assert found.manifest_file is None


def test_a_package_that_is_not_there_is_left_to_the_launch(site: Path) -> None:
    install(site, "dist", "demo = nowhere.deep:plugin")
    found = only_one()
    assert found.manifest is not None
    assert found.manifest.launch.entry_point == "nowhere.deep:plugin"


def test_a_manifest_and_an_entry_point_of_two_ids_are_an_error_naming_both(site: Path) -> None:
    install(site, "dist", "demo = demo_code:plugin")
    package(site, "demo_code", {"id": "other", "version": "1", "launch": {"argv": ["a"]}})
    words = refusal()
    assert only_one().id == "demo"
    assert "entry point `demo` of dist 1.0: " in words
    assert "$.id: expected `demo`, as the entry point says, found `other`" in words
    assert str(site / "demo_code" / MANIFEST_NAME) in words


def test_a_manifest_and_an_entry_point_of_two_values_are_an_error(site: Path) -> None:
    install(site, "dist", "demo = demo_code:plugin")
    launch = {"entry_point": "demo_code:other"}
    package(site, "demo_code", {"id": "demo", "version": "1", "launch": launch})
    assert "expected `demo_code:plugin`, as the entry point says, found `demo_code:other`" in refusal()


def test_a_broken_manifest_is_explained_and_the_others_are_found(site: Path) -> None:
    install(site, "dist", "demo = demo_code:plugin\nfine = fine:plugin")
    package(site, "demo_code", {"id": "demo", "version": 3, "launch": {"argv": ["a"]}})
    broken, fine = entry_point.candidates()
    assert broken.error is not None
    assert broken.error.path == "$.version"
    assert broken.error.file == str(site / "demo_code" / MANIFEST_NAME)
    assert fine.error is None


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("demo = ", "expected `module:attribute`"),
        ("demo = demo_code", f"or a package that holds a {MANIFEST_NAME}, found `demo_code`"),
        ("demo = de mo:plugin", "$.launch.entry_point: expected an entry point"),
        ("demo = demo:plugin()", "$.launch.entry_point: expected an entry point"),
        ("demo = ../demo:plugin", "$.launch.entry_point: expected an entry point"),
        ("demo = .demo:plugin", "$.launch.entry_point: expected an entry point"),
        ("demo = demo:", "$.launch.entry_point: expected an entry point"),
        ("demo = :plugin", "$.launch.entry_point: expected an entry point"),
        ("demo = a:b:c", "$.launch.entry_point: expected an entry point"),
        ("Demo Thing = demo:plugin", "$.id: expected an id: a small letter"),
        ("demo.x = demo:plugin", "$.id: expected an id: a small letter"),
    ],
)
def test_a_malformed_entry_point_is_explained(site: Path, point: str, words: str) -> None:
    install(site, "dist", point)
    text = refusal()
    assert words in text
    assert "of dist 1.0" in text
    assert only_one().id == point.partition(" = ")[0]


@pytest.mark.parametrize("value", ["demo:plugin [extra]", "demo : plugin", "  demo:plugin[a, b]"])
def test_extras_and_spaces_are_not_part_of_the_value(site: Path, value: str) -> None:
    install(site, "dist", f"demo = {value}")
    found = only_one()
    assert found.manifest is not None
    assert found.manifest.launch.entry_point == "demo:plugin"


def test_two_distributions_of_one_name_are_both_there_with_their_sources(site: Path) -> None:
    install(site, "one", "demo = one:plugin")
    install(site, "two", "demo = two:plugin")
    sources = [(found.id, found.source) for found in entry_point.candidates()]
    assert sources == [("demo", "entry point of one 1.0"), ("demo", "entry point of two 1.0")]


def test_of_a_distribution_found_twice_the_first_one_counts(site: Path, tmp_path: Path) -> None:
    later = tmp_path / "later"
    later.mkdir()
    sys.path.insert(1, str(later))
    install(site, "Some.Dist", "new = new:plugin", version="2.0")
    install(later, "some-dist", "old = old:plugin", version="1.0")
    assert [found.id for found in entry_point.candidates()] == ["new"]


def test_a_distribution_without_metadata_is_a_broken_line(site: Path) -> None:
    install(site, "dist", "demo = demo:plugin", version=None)
    install(site, "fine", "fine = fine:plugin")
    broken, fine = sorted(entry_point.candidates(), key=lambda one: one.id)
    assert broken.error is not None
    assert "$.version: expected a version" in str(broken.error)
    assert "without metadata" in broken.source
    assert fine.error is None


@pytest.mark.parametrize("points", ["no equals sign", b"demo = \xff:plugin"])
def test_entry_points_that_cannot_be_read_are_a_broken_line(site: Path, points: str | bytes) -> None:
    install(site, "dist", points)
    install(site, "fine", "fine = fine:plugin")
    broken, fine = entry_point.candidates()
    assert broken.id == "dist"
    assert broken.error is not None
    assert "entry_points.txt of dist 1.0: expected entry points" in str(broken.error)
    assert fine.error is None


def test_distributions_of_other_groups_are_nobodys_business(site: Path) -> None:
    folder = install(site, "dist", "")
    (folder / "entry_points.txt").write_bytes(b"[console_scripts]\nbroken\n\xff")
    assert entry_point.candidates() == []


def test_a_description_that_is_no_single_line_is_left_out(site: Path) -> None:
    install(site, "dist", "demo = demo:plugin", more="Summary: red \x1b[31m\n")
    found = only_one()
    assert found.manifest is not None
    assert found.manifest.description == ""


def test_a_finder_that_fails_is_a_broken_line(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == "demo_code":
                raise RuntimeError("out of order")

    install(site, "dist", "demo = demo_code:plugin")
    monkeypatch.setattr(sys, "meta_path", [Failing, *sys.meta_path])
    assert "expected to find the package `demo_code`, found RuntimeError: out of order" in refusal()


def test_entries_of_any_group_are_listed_by_name(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("b", "a"):
        folder = install(site, name, "")
        (folder / "entry_points.txt").write_text(f"[plugin_host]\next-{name} = {name}\n")
    folder = install(site, "bad", "")
    (folder / "entry_points.txt").write_text("[plugin_host]\nno equals sign\n")
    with caplog.at_level(logging.ERROR):
        found = entry_point.entries("plugin_host")
    assert [entry.name for entry in found] == ["ext-a", "ext-b"]
    assert "bad 1.0: entry points cannot be read" in caplog.text
