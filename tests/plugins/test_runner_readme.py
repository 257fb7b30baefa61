"""The runner plugin's README: every example does what it shows, and every setting is explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.docs import page, walk
from tests.host.cli_fork import ForkServer
from tests.source import ROOT

pytestmark = pytest.mark.edges

RUNNER = ROOT / "plugins" / "runner"
README = RUNNER / "README.md"


@pytest.mark.deadline(60)
def test_examples_do_what_the_readme_says(tmp_path: Path, cli_server: ForkServer | None) -> None:
    folder, home = tmp_path / "checkout", tmp_path / "home"
    (folder / "plugins").mkdir(parents=True)
    (folder / "plugins" / "runner").symlink_to(RUNNER)
    home.mkdir()
    config = tmp_path / "plugin-host.toml"
    config.write_text("entry_points = false\n")
    walking = walk.Walk(folder, walk.environment(home, config), cli_server)
    for block in page.blocks(README):
        walking.run(block)
    walking.finish(README.name)
    if walking.problems:
        pytest.fail("\n\n".join(walking.problems), pytrace=False)


def test_links_lead_somewhere() -> None:
    for _, target in page.links(README):
        name, _, anchor = target.partition("#")
        there = (README.parent / name).resolve()
        assert there.exists(), target
        assert not anchor or anchor in page.anchors(there), target


def test_every_setting_is_explained() -> None:
    schema = json.loads((RUNNER / "plugin_manifest.json").read_text())["settings_schema"]
    text = README.read_text()
    assert [name for name in schema["properties"] if f"| `{name}` |" not in text] == []
