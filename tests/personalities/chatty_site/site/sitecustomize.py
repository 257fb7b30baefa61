"""Prints before the plugin's first line: the wire is still standard output."""

print("sitecustomize says hello")
