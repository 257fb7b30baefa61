"""Cannot be imported."""

from __future__ import annotations

print("about to fail")
raise LookupError("the flux compensator is missing")
