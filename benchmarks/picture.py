"""Pictures of results as files: the same results always give the same picture."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["missing", "open_pyplot", "save"]

_DPI = 130


def missing() -> str | None:
    """Why nothing can be drawn; None when it can."""
    if importlib.util.find_spec("matplotlib") is None:
        return "no pictures: matplotlib is not installed (pip install matplotlib)"
    return None


def open_pyplot() -> Any:
    """matplotlib's `pyplot`, without a window. Raises ImportError where it is missing."""
    importlib.import_module("matplotlib").use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    pyplot.rcParams.update({"font.size": 9, "svg.hashsalt": "plugin-host", "svg.fonttype": "none"})
    return pyplot


def save(figure: Any, folder: Path, name: str) -> list[Path]:
    """Write it as PNG and as SVG, and let go of it; returns their paths."""
    paths = [folder / f"{name}.{suffix}" for suffix in ("png", "svg")]
    for path in paths:
        # A date inside would make every file another one.
        figure.savefig(path, dpi=_DPI, metadata={"Date": None} if path.suffix == ".svg" else None)
    importlib.import_module("matplotlib.pyplot").close(figure)
    return paths
