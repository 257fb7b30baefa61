"""How often this process has been forked off: what a host has left behind in its parent cannot be used."""

from __future__ import annotations

import os

__all__ = ["generation"]

generation = 0
"""Differs from what it was in the parent, and never else."""


def _note() -> None:
    global generation
    generation += 1


os.register_at_fork(after_in_child=_note)
