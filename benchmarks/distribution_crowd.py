"""A folder of 300 installed distributions, of which ten offer a plugin: metadata as pip leaves them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["NUMBER", "PLUGINS", "fill"]

NUMBER, PLUGINS = 300, 10

# About what the metadata of a real one hold.
_DESCRIPTION = "A line of a long description, as most of them have.\n" * 80
_CLASSIFIERS = "Classifier: Programming Language :: Python :: 3\n" * 12


def fill(site: Path) -> None:
    """Write the folder's distributions; a third of those without a plugin have a script."""
    for index in range(NUMBER):
        folder = site / f"dist_{index:03}-1.0.dist-info"
        folder.mkdir(parents=True)
        about = f"Metadata-Version: 2.1\nName: dist-{index:03}\nVersion: 1.0\nSummary: Number {index}\n"
        (folder / "METADATA").write_text(f"{about}{_CLASSIFIERS}\n{_DESCRIPTION}")
        (folder / "RECORD").write_text(f"{folder.name}/METADATA,sha256={'0' * 43},4000\n" * 30)
        if index < PLUGINS:
            points = f"[plugin_host.plugins]\nplugin-{index} = code_{index}:plugin\n"
        elif index % 3 == 0:
            points = f"[console_scripts]\nscript-{index} = code_{index}:main\n"
        else:
            continue
        (folder / "entry_points.txt").write_text(points)
