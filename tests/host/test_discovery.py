"""The one list of plugins: joined, in order, conflicts and choices explained."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from plugin_host.candidate import Candidate
from plugin_host.configuration import Configuration, PluginConfiguration
from plugin_host.discovery import discover
from plugin_host.errors import ManifestError, PluginNotFound
from plugin_host.extension import Extensions
from plugin_host.hookspecs import hookimpl
from plugin_host.manifest import MANIFEST_NAME, Launch, Manifest
from plugin_host.trust import Trust


def plugin(path: Path, plugin_id: str | None = None, **more: Any) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    content = {"id": plugin_id or path.name, "version": "1", "launch": {"argv": ["true"]}, **more}
    (path / MANIFEST_NAME).write_text(json.dumps(content))
    return path


def found_in(*folders: Path, **more: Any) -> list[Candidate]:
    return discover(plugin_dirs=folders, entry_points=False, **more)


def ids(found: list[Candidate]) -> list[str]:
    return [candidate.id for candidate in found]


def offering(*found: Any) -> Extensions:
    class Offering:
        @hookimpl
        def plugin_host_discover(self) -> list[Any]:
            return list(found)

    extensions = Extensions()
    assert extensions.register(Offering(), "offering")
    return extensions


def candidate(plugin_id: str = "demo", **changes: Any) -> Candidate:
    launch = changes.pop("launch", Launch(entry_point="demo:plugin"))
    manifest = Manifest(id=plugin_id, version="1", launch=launch)
    return Candidate(**{"id": plugin_id, "source": "", "manifest": manifest, **changes})


def install(site: Path, name: str, point: str) -> None:
    about = site / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[plugin_host.plugins]\n{point}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, the only one there is."""
    rest = [path for path in sys.path if "site-packages" not in path]
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *rest])
    return tmp_path / "site"


def test_every_source_is_in_one_list_sorted_by_id(tmp_path: Path, site: Path) -> None:
    install(site, "installed", "cc = installed_code:plugin")
    plugin(tmp_path / "given" / "bb")
    plugin(tmp_path / "configured" / "dd")
    found = discover(
        plugin_dirs=[tmp_path / "given"],
        configuration=Configuration(plugin_dirs=(str(tmp_path / "configured"),)),
        extensions=offering(candidate("aa")),
    )
    assert [(one.id, one.source) for one in found] == [
        ("aa", "hook offering"),
        ("bb", f"folder {tmp_path / 'given' / 'bb'}"),
        ("cc", "entry point of installed 1.0"),
        ("dd", f"folder {tmp_path / 'configured' / 'dd'}"),
    ]


def test_the_list_does_not_depend_on_the_order_of_the_folders(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    plugin(one / "b")
    plugin(two / "a")
    plugin(two / "b")
    described = [
        [(each.id, each.source, str(each.error)) for each in found_in(*folders)]
        for folders in ((one, two), (two, one))
    ]
    assert described[0] == described[1]


@pytest.mark.parametrize(("given", "configured"), [(False, True), (True, False)])
def test_entry_points_are_left_alone_when_either_says_so(site: Path, given: bool, configured: bool) -> None:
    install(site, "installed", "cc = installed_code:plugin")
    configuration = Configuration(entry_points=configured)
    assert discover(entry_points=given, configuration=configuration) == []


def test_two_plugins_of_one_id_are_both_broken_and_both_named(tmp_path: Path, site: Path) -> None:
    install(site, "installed", "demo = installed_code:plugin")
    folder = plugin(tmp_path / "given" / "x", "demo")
    plugin(tmp_path / "given" / "other")
    found = discover(plugin_dirs=[tmp_path / "given"])
    assert ids(found) == ["demo", "demo", "other"]
    for broken in found[:2]:
        assert broken.manifest is None
        assert broken.error is not None
        assert f"entry point of installed 1.0 and folder {folder}" in str(broken.error)
    assert found[2].error is None


def test_two_distributions_of_one_entry_point_are_both_broken(site: Path) -> None:
    install(site, "one", "demo = one:plugin")
    install(site, "two", "demo = two:plugin")
    found = discover()
    assert ids(found) == ["demo", "demo"]
    for broken in found:
        assert "entry point of one 1.0 and entry point of two 1.0" in str(broken.error)


def test_one_manifest_found_twice_is_one_plugin(tmp_path: Path, site: Path) -> None:
    plugins = tmp_path / "plugins"
    demo = plugin(plugins / "demo")
    (tmp_path / "link").symlink_to(plugins)
    site.mkdir()
    (site / "demo_code").symlink_to(demo)
    install(site, "installed", "demo = demo_code")
    (found,) = discover(plugin_dirs=[plugins, plugins, demo, tmp_path / "link"])
    assert found.error is None
    assert found.sys_path == (str(demo),)


def test_a_broken_one_does_not_take_a_sound_one_of_its_name_with_it(tmp_path: Path) -> None:
    plugin(tmp_path / "one" / "demo")
    (plugin(tmp_path / "two" / "demo") / MANIFEST_NAME).write_text("{")
    sound, broken = found_in(tmp_path / "two", tmp_path / "one")
    assert ids([sound, broken]) == ["demo", "demo"]
    assert sound.error is None
    assert broken.error is not None


def test_what_is_not_wanted_stays_in_the_list_with_the_reason(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        plugin(tmp_path / name)
    found = found_in(tmp_path, only=["one", "two"], block=["two"])
    skipped = {each.id: each.skipped for each in found}
    assert skipped == {"one": None, "two": "blocked", "three": "not among the wanted: one, two"}


def test_given_choices_replace_or_add_to_the_configured_ones(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        plugin(tmp_path / name)
    configuration = Configuration(only=("one", "three"), block=("three",))
    wanted = [each.id for each in found_in(tmp_path, configuration=configuration) if not each.skipped]
    assert wanted == ["one"]
    found = found_in(tmp_path, configuration=configuration, only=["two", "three"], block=["one"])
    assert [each.id for each in found if not each.skipped] == ["two"]
    assert all(each.skipped for each in found_in(tmp_path, only=[]))


def test_wanting_what_is_not_there_names_what_is_alike(tmp_path: Path) -> None:
    for name in ("system", "neovim"):
        plugin(tmp_path / name)
    with pytest.raises(PluginNotFound) as caught:
        found_in(tmp_path, only=["neovim", "sytem"])
    assert caught.value.plugin == "sytem"
    assert caught.value.near == ("system",)
    assert str(caught.value) == "no plugin `sytem` was found (did you mean `system`?)"
    with pytest.raises(PluginNotFound) as caught:
        found_in(tmp_path, only=["\x1b[31m"])
    assert str(caught.value).isprintable()
    assert caught.value.near == ()


def test_a_broken_plugin_that_is_wanted_is_found(tmp_path: Path) -> None:
    (plugin(tmp_path / "demo") / MANIFEST_NAME).write_text("{")
    (found,) = found_in(tmp_path, only=["demo"])
    assert found.error is not None


def test_blocked_or_configured_names_that_mean_nothing_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugin(tmp_path / "system")
    configuration = Configuration(plugins={"sistem": PluginConfiguration()})
    extensions = Extensions(block=["kept-out"])
    assert not extensions.register(object(), "kept-out")
    with caplog.at_level(logging.WARNING):
        found_in(
            tmp_path,
            block=["systen", "kept-out"],
            configuration=configuration,
            extensions=extensions,
        )
    assert [record.getMessage() for record in caplog.records] == [
        "configuration: [plugins.sistem]: no such plugin was found (did you mean `system`?)",
        "blocked: no plugin `systen` was found (did you mean `system`?)",
    ]


def test_the_configuration_is_applied(tmp_path: Path) -> None:
    plugin(tmp_path / "demo", permissions=["host.a", "host.b"])
    entry = PluginConfiguration(settings={"x": 1}, permissions=("host.b",), activation="lazy")
    (found,) = found_in(tmp_path, configuration=Configuration(plugins={"demo": entry}))
    assert found.manifest is not None
    assert (found.settings, found.granted) == ({"x": 1}, ("host.b",))
    assert found.manifest.activation == "lazy"


def test_without_a_configuration_all_that_is_asked_is_granted(tmp_path: Path) -> None:
    plugin(tmp_path / "demo", permissions=["host.a"], launch={"argv": ["x"], "env": {"A": "1"}})
    (found,) = found_in(tmp_path)
    assert (found.granted, found.env) == (("host.a",), {"A": "1"})


def test_an_extensions_candidate_keeps_what_it_brings() -> None:
    given = candidate(
        settings={"a": 1, "b": 1}, env={"X": "hook"}, trust=Trust(user="nobody"), skipped="not now"
    )
    entry = PluginConfiguration(settings={"b": 2})
    (found,) = discover(
        entry_points=False,
        configuration=Configuration(plugins={"demo": entry}),
        extensions=offering(given),
    )
    assert (found.settings, found.env) == ({"a": 1, "b": 2}, {"X": "hook"})
    assert (found.trust.user, found.skipped) == ("nobody", "not now")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (candidate("Bad Id"), "$.id: expected an id"),
        (candidate(id="other"), "$.id: expected `other`, the candidate's id, found `demo`"),
        (candidate(launch=Launch(argv=("a", "\0"))), "$.launch.argv[1]: expected text without NUL"),
        (candidate(launch=Launch(argv=("a", object()))), "hook offering: $: "),  # type: ignore[arg-type]
        (candidate(launch=Launch(entry_point="a:b", venv="v")), "$.launch.venv: expected an absolute"),
        (candidate(launch=Launch(entry_point="a:b", start_timeout_s=-1)), "$.launch.start_timeout_s"),
        (candidate(id=3), "id: found int in it"),
        (candidate(root="/x"), "root: found str in it"),
        (candidate(settings=3), "settings: found int in it"),
        (candidate(manifest={"id": "demo"}), "manifest: found dict in it"),
    ],
)
def test_an_extensions_candidate_is_validated_as_if_it_was_read(given: Candidate, words: str) -> None:
    fine, broken = sorted(
        discover(entry_points=False, extensions=offering(given, candidate("fine"))),
        key=lambda one: one.error is not None,
    )
    assert (fine.id, fine.error) == ("fine", None)
    assert broken.manifest is None
    assert words in str(broken.error)
    assert broken.source == "hook offering"


def test_an_extensions_broken_candidate_is_listed(tmp_path: Path) -> None:
    given = candidate(manifest=None, error=ManifestError("the cluster is away"))
    (found,) = discover(entry_points=False, extensions=offering(given))
    assert str(found.error) == "the cluster is away"


def test_a_candidate_is_sound_or_broken_and_never_both() -> None:
    with pytest.raises(ValueError, match="exactly one of manifest and error"):
        Candidate(id="demo", source="x")
    with pytest.raises(ValueError, match="exactly one of manifest and error"):
        candidate(error=ManifestError("no"))


def test_hundreds_of_plugins_are_found(tmp_path: Path) -> None:
    for index in range(200):
        plugin(tmp_path / f"p{index:03}")
    found = found_in(tmp_path)
    assert ids(found) == [f"p{index:03}" for index in range(200)]
    assert all(each.error is None for each in found)
