"""Another plugin than its manifest says."""

from __future__ import annotations

import plugin_host_sdk as sdk

plugin = sdk.Plugin("somebody_else", version="1.0.0")
