"""Folders of installed distributions, as pip leaves them: metadata and no code."""

from __future__ import annotations

from pathlib import Path

__all__ = ["install", "many"]


def install(site: Path, name: str, points: str | None = None, *, version: str = "1.0") -> Path:
    """The folder of one distribution; `points` is its `entry_points.txt`, if it has one."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "RECORD").write_text(f"{folder.name}/METADATA,,\n{folder.name}/RECORD,,\n")
    if points is not None:
        (folder / "entry_points.txt").write_text(points)
    return folder


def many(site: Path, number: int, plugins: int) -> None:
    """So many distributions, of which these many offer a plugin and as many others a script."""
    points: str | None
    for index in range(number):
        name = f"dist-{index:03}"
        if index < plugins:
            points = f"[plugin_host.plugins]\nplugin-{index} = code_{index}:plugin\n"
        else:
            points = f"[console_scripts]\nscript-{index} = code_{index}:main\n" if index % 3 == 0 else None
        install(site, name, points)
