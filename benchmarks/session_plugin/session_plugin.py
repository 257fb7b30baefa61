"""What the benchmarks open sessions in: one resource that runs whatever it is asked to."""

from __future__ import annotations

import os

import plugin_host_sdk as sdk

__all__ = ["plugin"]

plugin = sdk.Plugin("sessions", version="1.0.0")
sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[sdk.exec.Handler("local")]))

if "BENCHMARK_PROFILE" in os.environ:
    import importlib
    import sys

    # It lies with the plugin that has it from the start.
    sys.path.append(os.path.join(os.path.dirname(__file__), os.pardir, "plugin"))
    importlib.import_module("benchmark_profile").install(plugin)
