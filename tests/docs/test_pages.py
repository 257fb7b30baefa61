"""Every page: its examples run and print what it shows, its links lead somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import page, walk
from tests.host.cli_fork import ForkServer
from tests.source import ROOT

pytestmark = pytest.mark.edges

DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [*sorted(DOCS.glob("*.md")), README, ROOT / "sdk" / "README.md"]

each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a page's files go: examples name it as the current folder."""
    folder = tmp_path / "page"
    folder.mkdir()
    return folder


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of an example: no plugin is found but those of the page and of this checkout."""
    config = tmp_path / "plugin-host.toml"
    config.write_text("entry_points = false\n")
    home = tmp_path / "home"
    home.mkdir()
    return walk.environment(home, config)


@pytest.mark.deadline(180)
@each_page
def test_examples_do_what_the_page_says(
    path: Path, folder: Path, env: dict[str, str], cli_server: ForkServer | None
) -> None:
    if path == README:
        # As the reader has it after the first line: the plugins of this checkout are there.
        Path(env["PLUGIN_HOST_CONFIG"]).write_text(
            f'entry_points = false\nplugin_dirs = ["{ROOT / "plugins"}"]\n'
        )
    walking = walk.Walk(folder, env, cli_server)
    for block in page.blocks(path):
        walking.run(block)
    walking.finish(path.name)
    if walking.problems:
        pytest.fail("\n\n".join(walking.problems), pytrace=False)


@each_page
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for line, target in page.links(path):
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        if not there.exists() or (anchor and anchor not in page.anchors(there)):
            broken.append(f"{path.name}:{line}: {target}")
    assert broken == []


@each_page
def test_prose_is_free_of_tabs_and_trailing_blanks(path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), 1)
    assert [number for number, line in lines if "\t" in line or line != line.rstrip()] == []


def test_the_index_names_every_page() -> None:
    named = {target for _, target in page.links(DOCS / "index.md")}
    assert named >= {path.name for path in DOCS.glob("*.md")} - {"index.md"}
