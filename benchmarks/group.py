"""What is measured together, in one place: figures, and whoever takes part for their sake alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .contestant import Contestant
    from .figure import Figure

__all__ = ["Group"]


@dataclass(frozen=True, slots=True)
class Group:
    """An entry of the catalogue. Contestants that several groups measure are in `rival`."""

    figures: tuple[Figure, ...]
    contestants: tuple[Contestant, ...] = ()
