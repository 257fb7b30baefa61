"""What tests with real plugin processes need; see ``tests.stage``."""

from __future__ import annotations

from tests.stage import _python3_is_this_one, logged

__all__ = ["_python3_is_this_one", "logged"]
