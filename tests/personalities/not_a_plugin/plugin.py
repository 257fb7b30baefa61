"""Has something else where its manifest says the plugin is."""

from __future__ import annotations

plugin = {"id": "not_a_plugin"}
