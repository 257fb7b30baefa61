"""What a check found: of what it speaks, how bad it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Level", "fault", "note", "ok"]

Level = Literal["ok", "note", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `section` is the check it belongs to, `subject` what was looked at.

    A "note" is worth knowing and stops nothing; a "fault" keeps something from working as it should.
    `advice` is empty when there is nothing to do.
    """

    section: str
    level: Level
    subject: str
    text: str
    advice: str = ""


def ok(section: str, subject: str, text: str) -> Finding:
    """All is well."""
    return Finding(section, "ok", subject, text)


def note(section: str, subject: str, text: str, advice: str = "") -> Finding:
    """Worth knowing."""
    return Finding(section, "note", subject, text, advice)


def fault(section: str, subject: str, text: str, advice: str = "") -> Finding:
    """To be put right."""
    return Finding(section, "fault", subject, text, advice)
