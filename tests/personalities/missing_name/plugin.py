"""Has a plugin under another name than its manifest says."""

from __future__ import annotations

import plugin_host_sdk as sdk

plugin = sdk.Plugin("missing_name", version="1.0.0")
