"""The automation plugin's README: every example does what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import page, walk
from tests.host.cli_fork import ForkServer
from tests.source import ROOT

pytestmark = pytest.mark.edges

README = ROOT / "plugins" / "automation" / "README.md"


@pytest.mark.deadline(90)
def test_examples_do_what_the_readme_says(tmp_path: Path, cli_server: ForkServer | None) -> None:
    home, folder = tmp_path / "home", tmp_path / "checkout"
    home.mkdir()
    folder.mkdir()
    (folder / "plugins").symlink_to(ROOT / "plugins")
    config = tmp_path / "plugin-host.toml"
    config.write_text(f'entry_points = false\nplugin_dirs = ["{ROOT / "plugins"}"]\n')
    walking = walk.Walk(folder, walk.environment(home, config), cli_server)
    for block in page.blocks(README):
        walking.run(block)
    walking.finish(README.name)
    if walking.problems:
        pytest.fail("\n\n".join(walking.problems), pytrace=False)
